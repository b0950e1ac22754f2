"""SRResNet in E2FIF form, and a narrow one that computes in full precision between its signs.

SRResNet: Ledig et al., CVPR 2017. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, Convolution, Layer


class Body(nn.Module):
    """Blocks of two convolutions, only the first of which has an activation.

    One more binary convolution follows, and a skip over everything. A block needs no
    skip of its own: the convolutions' skips already lead past it, and a second one would
    double the features with every block.
    """

    def __init__(self, blocks: int, channels: int, *, hybrid: bool) -> None:
        super().__init__()
        layers: list[Layer] = []
        for _ in range(blocks):
            layers.append(BinaryConvolution(channels, channels))
            if hybrid:
                layers.append(Convolution(channels, channels).pass_on())
            else:
                layers.append(BinaryConvolution(channels, channels, activation="none"))
        layers.append(BinaryConvolution(channels, channels, activation="none"))
        self.convolutions = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolutions(x)
        return y + x


class SRResNet(Ends):
    """``blocks`` blocks of two convolutions with ``channels`` channels.

    Both are binary; in a ``hybrid`` one the second is not.
    """

    def __init__(
        self, scale: int, blocks: int = 16, channels: int = 64, *, hybrid: bool = False
    ) -> None:
        super().__init__(scale, channels, Body(blocks, channels, hybrid=hybrid))
