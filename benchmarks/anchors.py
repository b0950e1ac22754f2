"""What others reach: published scores, and how long their networks take here.

Scores are PSNR in dB on BT.601 luma. FSRCNN: Dong et al., ECCV 2016. SRResNet in full
precision, BBCU-M and BBCU-L: Xia et al., "Basic Binary Convolution Unit for Binarized
Image Restoration Network", ICLR 2023. E2FIF: Song et al., IEEE TIP 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import Call

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Anchor:
    """Published scores at a scale; ``prepare(scale, height, width)`` gives the network to be timed.

    Binary networks that were only ever simulated in float have no time of their own.
    """

    name: str
    scale: int
    set5: float
    set14: float | None
    ops: float | None = None  # as bnnup.model.cost counts, at an input of 320×180
    prepare: Callable[[int, int, int], Call] | None = None


def prepare_fsrcnn(scale: int, height: int, width: int) -> Call:
    """FSRCNN(56, 12, 4) on luma, random weights: they do not change its time."""
    from torch import nn

    narrow = [layer for _ in range(4) for layer in (nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12))]
    network = nn.Sequential(
        *(nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56)),
        *(nn.Conv2d(56, 12, 1), nn.PReLU(12)),
        *narrow,
        *(nn.Conv2d(12, 56, 1), nn.PReLU(56)),
        nn.ConvTranspose2d(56, 1, 9, stride=scale, padding=4, output_padding=scale - 1),
    )
    return _in_float(network, 1, height, width)


def prepare_srresnet(scale: int, height: int, width: int) -> Call:
    """SRResNet in full precision, 16 blocks of 64 channels on RGB, random weights."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(64, 64, 3, padding=1)
            self.second = nn.Conv2d(64, 64, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = x + self.second(self.first(x).relu())
            return y

    steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
    enlarge = [
        layer
        for step in steps
        for layer in (nn.Conv2d(64, 64 * step**2, 3, padding=1), nn.PixelShuffle(step), nn.ReLU())
    ]
    network = nn.Sequential(
        *(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()),
        *(Block() for _ in range(16)),
        *enlarge,
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
        nn.Conv2d(64, 3, 3, padding=1),
    )
    return _in_float(network, 3, height, width)


def _in_float(network: "torch.nn.Module", channels: int, height: int, width: int) -> Call:
    """A call of torch in float32 on one core, with the fastest memory layout."""
    import torch

    torch.set_num_threads(1)
    network = network.eval().to(memory_format=torch.channels_last)
    pixels = np.random.default_rng(0).random((1, channels, height, width), np.float32)
    x = torch.from_numpy(pixels).to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return network(x)

    return run


ANCHORS = (
    Anchor("FSRCNN, full precision", 2, 37.00, None, prepare=prepare_fsrcnn),
    Anchor("E2FIF, SRResNet", 2, 37.50, 32.96),
    Anchor("BBCU-M", 2, 37.44, 33.04, ops=1.83e9),
    Anchor("BBCU-L", 2, 37.58, 33.18, ops=18.55e9),
    Anchor("SRResNet, full precision", 2, 38.00, 33.59, ops=85.4e9, prepare=prepare_srresnet),
    Anchor("FSRCNN, full precision", 3, 33.16, None, prepare=prepare_fsrcnn),
    Anchor("FSRCNN, full precision", 4, 30.71, 27.59, prepare=prepare_fsrcnn),
    Anchor("E2FIF, SRResNet", 4, 31.33, 27.93),
    Anchor("BBCU-M", 4, 31.54, 28.20, ops=3.95e9),
    Anchor("BBCU-L", 4, 31.79, 28.38, ops=79.2e9),
    Anchor("SRResNet, full precision", 4, 32.16, 28.60, ops=146.1e9, prepare=prepare_srresnet),
)
