"""RCAN in E2FIF form, and a narrow one that computes in full precision between its signs.

RCAN: Zhang et al., ECCV 2018. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import Tensor, nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, ChannelAttention, Convolution, Layer

GROUPS = 10
HYBRID_GROUPS = 2
REDUCTION = 16  # channels to squeezed channels, as in RCAN
HYBRID_REDUCTION = 4
WINDOW = 1  # pixels each way; a wider one adds half of itself to the halo, in every block


class Block(nn.Module):
    """Two convolutions, the second fed by the first and weighed by attention.

    Attention weighs what the second convolution adds, never the flow past it. Both are
    binary; in a ``hybrid`` block the second is not.
    """

    def __init__(self, channels: int, *, hybrid: bool) -> None:
        super().__init__()
        self.first = BinaryConvolution(channels, channels)
        self.second: Layer
        if hybrid:
            self.second, reduction = Convolution(channels, channels), HYBRID_REDUCTION
        else:
            self.second = BinaryConvolution(channels, channels, skip="none", activation="none")
            reduction = REDUCTION
        squeeze = max(channels // reduction, 1)
        self.attention = ChannelAttention(channels, squeeze, WINDOW)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        correction: Tensor = self.attention(self.second(y))
        return y + correction


class RCAN(Ends):
    """Groups of ``blocks`` attention blocks and one more binary convolution each.

    There are ten groups; in a ``hybrid`` one, two.
    """

    def __init__(
        self, scale: int, blocks: int = 5, channels: int = 64, *, hybrid: bool = False
    ) -> None:
        parts: list[nn.Module] = []
        for _ in range(HYBRID_GROUPS if hybrid else GROUPS):
            parts += [Block(channels, hybrid=hybrid) for _ in range(blocks)]
            parts.append(BinaryConvolution(channels, channels))
        super().__init__(scale, channels, nn.Sequential(*parts))
