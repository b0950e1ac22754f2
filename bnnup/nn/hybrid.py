"""A narrow network whose full-precision flow computes, with binary convolutions beside it.

The flow and the skip over every binary convolution are E2FIF's (Song et al., IEEE TIP 2023).
Convolutions that begin as the identity, so that a skip costs nothing to run, follow RepVGG
(Ding et al., CVPR 2021) and SESR (Bhardwaj et al., MLSys 2022).
"""

from torch import nn

from bnnup.nn.ends import Ends
from bnnup.nn.layers import BinaryConvolution, Convolution


class Hybrid(Ends):
    """``blocks`` pairs of a binary convolution and a full-precision one of ``channels`` channels.

    The binary one adds to the flow and bends it; so the full-precision one, which is
    linear, needs no activation of its own.
    """

    def __init__(self, scale: int, blocks: int = 7, channels: int = 16) -> None:
        body = nn.Sequential()
        for _ in range(blocks):
            body.append(BinaryConvolution(channels, channels))
            body.append(Convolution(channels, channels).pass_on())
        super().__init__(scale, channels, body)
