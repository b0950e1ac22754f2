"""The table of models, and the way from a name to a file."""

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bnnup.errors import ModelNotFoundError

SCALES = (2, 3, 4)


@dataclass(frozen=True)
class Entry:
    """A model that travels in the package, one file a scale."""

    name: str
    scales: tuple[int, ...]
    description: str

    def path(self, scale: int) -> Path:
        return bundled_folder() / f"{self.name}-x{scale}.safetensors"


ZOO = (Entry("edsr", SCALES, "EDSR, 16 blocks of 64 channels: photographs"),)
DEFAULT = "edsr"


def bundled_folder() -> Path:
    """Where the models lie: inside an installed package, or beside it in a checkout."""
    package = Path(str(resources.files("bnnup")))
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def find_model(name: str, scale: int) -> Path:
    """The file of a model given by name or by path; ModelNotFoundError lists the names.

    A name wins over a file or folder in the working directory that happens to share it.
    """
    for entry in ZOO:
        if entry.name == name and scale in entry.scales:
            return entry.path(scale)
    if os.path.isfile(name):  # unlike Path.is_file, false for names that no system takes
        return Path(name)
    if name.endswith(".safetensors"):
        raise ModelNotFoundError(f"no such model file: {name}")
    known = ", ".join(f"{entry.name} (×{' ×'.join(map(str, entry.scales))})" for entry in ZOO)
    raise ModelNotFoundError(f"no model {name!r} for ×{scale}; known: {known}, or a path to a file")
