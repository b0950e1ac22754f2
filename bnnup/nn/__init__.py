"""Networks as torch modules, and their export to programs."""

from bnnup.nn.edsr import EDSR
from bnnup.nn.export import export

ARCHITECTURES = {"edsr": EDSR}

__all__ = ["ARCHITECTURES", "EDSR", "export"]
