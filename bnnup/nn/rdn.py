"""RDN in E2FIF form, and a narrow one that computes in full precision between its signs.

Where channels change, the skip of a binary convolution averages.

RDN: Zhang et al., CVPR 2018. E2FIF: Song et al., IEEE TIP 2023.
"""

import torch
from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, Convolution, Layer

CONVOLUTIONS = 8  # in a block, besides its fusion
HYBRID_CONVOLUTIONS = 2


class Block(nn.Module):
    """Densely connected binary convolutions, fused by a 1×1.

    Each convolution reads all features so far and adds ``channels`` more. In a ``hybrid``
    block the fusion is a 3×3 in full precision, which begins by passing on what came in.
    """

    def __init__(self, channels: int, *, hybrid: bool) -> None:
        super().__init__()
        convolutions = HYBRID_CONVOLUTIONS if hybrid else CONVOLUTIONS
        widths = [(i + 1) * channels for i in range(convolutions + 1)]
        self.growth = nn.ModuleList(
            BinaryConvolution(width, channels, skip="average") for width in widths[:-1]
        )
        self.fusion = _fusion(widths[-1], channels, 3 if hybrid else 1, hybrid=hybrid)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.growth:
            x = torch.cat([x, convolution(x)], 1)
        y: Tensor = self.fusion(x)
        return y


class Body(nn.Module):
    """Blocks whose results are all fused by a 1×1 and a 3×3, and a skip over everything."""

    def __init__(self, blocks: int, channels: int, *, hybrid: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, hybrid=hybrid) for _ in range(blocks))
        self.fusion = _fusion(blocks * channels, channels, 1, hybrid=hybrid)
        self.last = BinaryConvolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y, results = x, []
        for block in self.blocks:
            y = block(y)
            results.append(y)
        fused: Tensor = self.last(self.fusion(torch.cat(results, 1)))
        return fused + x


class RDN(Ends):
    """``blocks`` dense blocks of binary convolutions with growth ``channels``.

    There are eight in a block; in a ``hybrid`` one, two.
    """

    def __init__(
        self, scale: int, blocks: int = 8, channels: int = 64, *, hybrid: bool = False
    ) -> None:
        super().__init__(scale, channels, Body(blocks, channels, hybrid=hybrid))


def _fusion(in_channels: int, channels: int, kernel: int, *, hybrid: bool) -> Layer:
    if hybrid:
        return Convolution(in_channels, channels, kernel).pass_on()
    return BinaryConvolution(in_channels, channels, kernel, skip="average")
