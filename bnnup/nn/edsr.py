"""EDSR in E2FIF form: every binary convolution under its own full-precision skip.

EDSR: Lim et al., CVPR Workshops 2017. E2FIF: Song et al., IEEE TIP 2023.
"""

from torch import nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution


class EDSR(Ends):
    """``blocks`` residual blocks of two binary convolutions with ``channels`` channels."""

    def __init__(self, scale: int, blocks: int = 16, channels: int = 64) -> None:
        body = nn.Sequential(*(BinaryConvolution(channels, channels) for _ in range(2 * blocks)))
        super().__init__(scale, channels, body)
