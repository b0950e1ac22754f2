"""RCAN in E2FIF form.

RCAN: Zhang et al., ECCV 2018. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, ChannelAttention

GROUPS = 10
REDUCTION = 16  # channels to squeezed channels, as in RCAN
WINDOW = 1  # pixels each way; a wider one adds half of itself to the halo, in every block


class Block(nn.Module):
    """Two binary convolutions, the second fed by the first and weighed by attention.

    Attention weighs what the second convolution adds, never the flow past it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = BinaryConvolution(channels, channels)
        self.second = BinaryConvolution(channels, channels, skip="none", activation="none")
        self.attention = ChannelAttention(channels, max(channels // REDUCTION, 1), WINDOW)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        correction: Tensor = self.attention(self.second(y))
        return y + correction


class RCAN(Ends):
    """Ten groups of ``blocks`` attention blocks and one more binary convolution each."""

    def __init__(self, scale: int, blocks: int = 5, channels: int = 64) -> None:
        parts: list[nn.Module] = []
        for _ in range(GROUPS):
            parts += [Block(channels) for _ in range(blocks)]
            parts.append(BinaryConvolution(channels, channels))
        super().__init__(scale, channels, nn.Sequential(*parts))
