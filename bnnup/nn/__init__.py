"""Networks as torch modules, and their export to programs."""

from collections.abc import Callable
from functools import partial

from torch import nn

from bnnup.nn.edsr import EDSR
from bnnup.nn.export import export
from bnnup.nn.hybrid import Hybrid
from bnnup.nn.quantize import quantize
from bnnup.nn.rcan import RCAN
from bnnup.nn.rdn import RDN
from bnnup.nn.srresnet import SRResNet

# By name: (scale, blocks, channels) to a network.
ARCHITECTURES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "edsr": EDSR,
    "hybrid": Hybrid,
    "srresnet": SRResNet,
    "rcan": RCAN,
    "rdn": RDN,
    "srresnet-hybrid": partial(SRResNet, hybrid=True),
    "rcan-hybrid": partial(RCAN, hybrid=True),
    "rdn-hybrid": partial(RDN, hybrid=True),
}

__all__ = ["ARCHITECTURES", "EDSR", "RCAN", "RDN", "Hybrid", "SRResNet", "export", "quantize"]
