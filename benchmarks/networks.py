"""Full-precision networks as others run them: luma in, luma out, random weights.

Weights do not change a network's time. Networks that are trained with branches are given as
the plain ones that they are converted to. On luma they are faster than on RGB, for which some
were published.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

Activation = Callable[[int], nn.Module]


def convolution(before: int, after: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, padding=size // 2)


def relu(_: int) -> nn.Module:
    return nn.ReLU()


class Plain(nn.Module):
    """``layers`` convolutions between a first and a last one, whose result is shuffled.

    ``anchored`` adds the pixel itself to each of those it becomes; ``last`` is one more
    convolution at the end.
    """

    def __init__(
        self,
        scale: int,
        layers: int,
        channels: int,
        activation: Activation,
        anchored: bool = True,
        last: bool = False,
    ) -> None:
        super().__init__()
        widths = [1] + [channels] * (layers + 1)
        body = [
            module
            for before, after in pairwise(widths)
            for module in (convolution(before, after), activation(after))
        ]
        ends = [convolution(channels, scale**2)] + [convolution(scale**2, scale**2)] * last
        self.body = nn.Sequential(*body, *ends)
        self.anchored = anchored
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        shuffled: torch.Tensor = self.shuffle(y + x if self.anchored else y)
        return shuffled


def ecbsr(scale: int, layers: int, channels: int) -> nn.Module:
    return Plain(scale, layers, channels, nn.PReLU)


def abpn(scale: int) -> nn.Module:
    return Plain(scale, 4, 28, relu, last=True)


def etds(scale: int) -> nn.Module:
    return Plain(scale, 7, 48, relu, anchored=False)


def fsrcnn(scale: int) -> nn.Module:
    """FSRCNN(56, 12, 4)."""
    narrow = [layer for _ in range(4) for layer in (convolution(12, 12), nn.PReLU(12))]
    return nn.Sequential(
        *(convolution(1, 56, 5), nn.PReLU(56)),
        *(convolution(56, 12, 1), nn.PReLU(12)),
        *narrow,
        *(convolution(12, 56, 1), nn.PReLU(56)),
        nn.ConvTranspose2d(56, 1, 9, stride=scale, padding=4, output_padding=scale - 1),
    )


class SelfCalibrated(nn.Module):
    """PAN's block: half of the channels pass pixel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.first, self.second = (convolution(channels, half, 1) for _ in range(2))
        self.plain = convolution(half, half)
        self.gate, self.gated = convolution(half, half, 1), convolution(half, half)
        self.after = convolution(half, half)
        self.joined = convolution(channels, channels, 1)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.activation(self.plain(self.activation(self.first(x))))
        b = self.activation(self.second(x))
        b = self.activation(self.after(self.gated(b) * torch.sigmoid(self.gate(b))))
        y: torch.Tensor = x + self.joined(torch.cat([a, b], 1))
        return y


class Enlarging(nn.Module):
    """One of PAN's steps: nearest neighbour, then pixel attention."""

    def __init__(self, before: int, after: int, scale: int) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=scale, mode="nearest")
        self.first, self.gate = convolution(before, after), convolution(after, after, 1)
        self.second = convolution(after, after)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(self.enlarge(x))
        z: torch.Tensor = self.activation(
            self.second(self.activation(y * torch.sigmoid(self.gate(y))))
        )
        return z


class PAN(nn.Module):
    """Pixel attention network, 16 blocks of 40 channels."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
        self.first = convolution(1, 40)
        self.body = nn.Sequential(*(SelfCalibrated(40) for _ in range(16)), convolution(40, 40))
        widths = [40] + [24] * len(steps)
        self.ends = nn.Sequential(
            *(Enlarging(a, b, s) for (a, b), s in zip(pairwise(widths), steps, strict=True)),
            convolution(24, 1),
        )
        self.base = nn.Upsample(scale_factor=scale, mode="bilinear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.first(x)
        y: torch.Tensor = self.ends(features + self.body(features)) + self.base(x)
        return y
