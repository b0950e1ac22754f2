"""SRResNet in E2FIF form.

SRResNet: Ledig et al., CVPR 2017. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution


class Body(nn.Module):
    """Blocks of two binary convolutions, only the first of which has an activation.

    One more convolution follows, and a skip over everything. A block needs no skip of
    its own: the convolutions' skips already lead past it, and a second one would
    double the features with every block.
    """

    def __init__(self, blocks: int, channels: int) -> None:
        super().__init__()
        activations = ["rprelu", "none"] * blocks + ["none"]
        self.convolutions = nn.Sequential(
            *(BinaryConvolution(channels, channels, activation=a) for a in activations)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolutions(x)
        return y + x


class SRResNet(Ends):
    """``blocks`` blocks of two binary convolutions with ``channels`` channels."""

    def __init__(self, scale: int, blocks: int = 16, channels: int = 64) -> None:
        super().__init__(scale, channels, Body(blocks, channels))
