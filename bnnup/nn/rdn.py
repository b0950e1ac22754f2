"""RDN in E2FIF form: where channels change, the skip averages.

RDN: Zhang et al., CVPR 2018. E2FIF: Song et al., IEEE TIP 2023.
"""

import torch
from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution

CONVOLUTIONS = 8  # in a block


class Block(nn.Module):
    """Densely connected binary convolutions, fused by a 1×1.

    Each convolution reads all features so far and adds ``channels`` more.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [(i + 1) * channels for i in range(CONVOLUTIONS + 1)]
        self.growth = nn.ModuleList(
            BinaryConvolution(width, channels, skip="average") for width in widths[:-1]
        )
        self.fusion = BinaryConvolution(widths[-1], channels, kernel=1, skip="average")

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.growth:
            x = torch.cat([x, convolution(x)], 1)
        y: Tensor = self.fusion(x)
        return y


class Body(nn.Module):
    """Blocks whose results are all fused by a 1×1 and a 3×3, and a skip over everything."""

    def __init__(self, blocks: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.fusion = BinaryConvolution(blocks * channels, channels, kernel=1, skip="average")
        self.last = BinaryConvolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y, results = x, []
        for block in self.blocks:
            y = block(y)
            results.append(y)
        fused: Tensor = self.last(self.fusion(torch.cat(results, 1)))
        return fused + x


class RDN(Ends):
    """``blocks`` dense blocks of eight binary convolutions with growth ``channels``."""

    def __init__(self, scale: int, blocks: int = 8, channels: int = 64) -> None:
        super().__init__(scale, channels, Body(blocks, channels))
