"""EDSR in E2FIF form: every binary convolution under its own full-precision skip.

EDSR: Lim et al., CVPR Workshops 2017. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import Tensor, nn

from bnnup.nn.layers import Bicubic, BinaryConvolution, Convolution, PixelShuffle

FEATURE_RANGE = 10.0  # features between head and tail are this many times larger


class EDSR(nn.Module):
    """Luma (N, 1, H, W) in [0, 1] to luma (N, 1, scale·H, scale·W), not clipped.

    A residual block is two binary convolutions. Head and tail stay in full
    precision; the network adds to bicubic what bicubic misses.
    """

    def __init__(self, scale: int, blocks: int = 16, channels: int = 64) -> None:
        super().__init__()
        self.head = Convolution(1, channels, gain=FEATURE_RANGE)
        self.body = nn.Sequential(
            *(BinaryConvolution(channels, channels) for _ in range(2 * blocks))
        )
        self.tail = Convolution(channels, scale**2, gain=1 / FEATURE_RANGE).zero()
        self.shuffle = PixelShuffle(scale)
        self.bicubic = Bicubic(scale)

    def forward(self, luma: Tensor) -> Tensor:
        features = self.body(self.head(luma))
        luma = self.bicubic(luma) + self.shuffle(self.tail(features))
        return luma
