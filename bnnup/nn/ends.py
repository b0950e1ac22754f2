"""What every backbone shares: luma in, features between, luma out."""

from torch import Tensor, nn

from bnnup.nn.layers import Bicubic, Convolution, PixelShuffle

FEATURE_RANGE = 10.0  # features between head and tail are this many times larger


class Ends(nn.Module):
    """Luma (N, 1, H, W) in [0, 1] to luma (N, 1, scale·H, scale·W), not clipped.

    A full-precision head makes ``channels`` features, ``body`` refines them, and a
    full-precision tail turns them into what bicubic misses. A backbone is its body.
    """

    def __init__(self, scale: int, channels: int, body: nn.Module) -> None:
        super().__init__()
        self.head = Convolution(1, channels, gain=FEATURE_RANGE)
        self.body = body
        self.tail = Convolution(channels, scale**2, gain=1 / FEATURE_RANGE).zero()
        self.shuffle = PixelShuffle(scale)
        self.bicubic = Bicubic(scale)

    def forward(self, luma: Tensor) -> Tensor:
        features = self.body(self.head(luma))
        luma = self.bicubic(luma) + self.shuffle(self.tail(features))
        return luma
