"""What others reach: published scores, and the networks that can be timed here.

Scores are PSNR in dB on BT.601 luma. BBCU-M and BBCU-L: Xia et al., "Basic Binary
Convolution Unit for Binarized Image Restoration Network", ICLR 2023. E2FIF: Song et al.,
IEEE TIP 2023. FSRCNN: Dong et al., ECCV 2016. ECBSR: Zhang et al., "Edge-oriented
Convolution Block for Real-time Super Resolution on Mobile Devices", ACM MM 2021. ABPN: Du
et al., "Anchor-based Plain Net for Mobile Image Super-Resolution", CVPR Workshops 2021.
ETDS: Chao et al., "Equivalent Transformation and Dual Stream Network Construction for
Mobile Image Super-Resolution", CVPR 2023, whose table has the scores of the last three.
PAN: Zhao et al., "Efficient Image Super-Resolution Using Pixel Attention", ECCV Workshops
2020.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from benchmarks import networks


@dataclass(frozen=True)
class Anchor:
    """Published scores by scale, on Set5 and Set14; ``network(scale)`` is what can be timed.

    Binary networks were only ever simulated in float, and have no time of their own.
    """

    name: str
    scores: dict[int, tuple[float, float | None]]
    network: Callable[[int], nn.Module] | None = None
    ops: dict[int, float] = field(default_factory=dict)  # as cost.count, at 320×180


BINARY = (
    Anchor("E2FIF, SRResNet", {2: (37.50, 32.96), 4: (31.33, 27.93)}),
    Anchor("BBCU-M", {2: (37.44, 33.04), 4: (31.54, 28.20)}, ops={2: 1.83e9, 4: 3.95e9}),
    Anchor("BBCU-L", {2: (37.58, 33.18), 4: (31.79, 28.38)}, ops={2: 18.55e9, 4: 79.2e9}),
)
FULL_PRECISION = (
    Anchor(
        "ECBSR-M4C16",
        {2: (37.18, 32.79), 3: (33.07, 29.53), 4: (30.87, 27.80)},
        partial(networks.ecbsr, layers=4, channels=16),
    ),
    Anchor("ABPN-M4C28", {2: (37.36, 32.96), 4: (31.32, 28.10)}, networks.abpn),
    Anchor(
        "ECBSR-M4C32",
        {2: (37.39, 33.03), 3: (33.56, 29.78)},
        partial(networks.ecbsr, layers=4, channels=32),
    ),
    Anchor("FSRCNN", {2: (37.00, None), 3: (33.16, None), 4: (30.71, 27.59)}, networks.fsrcnn),
    Anchor(
        "ECBSR-M6C40",
        {2: (37.61, 33.18), 4: (31.62, 28.27)},
        partial(networks.ecbsr, layers=6, channels=40),
    ),
    Anchor("ETDS-L", {2: (37.64, 33.24), 3: (33.88, 30.00), 4: (31.69, 28.31)}, networks.etds),
    Anchor("PAN", {2: (38.00, 33.59), 4: (32.13, 28.61)}, networks.PAN),
)
