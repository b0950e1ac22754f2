"""The table of models."""

from dataclasses import dataclass
from pathlib import Path

SCALES = (2, 3, 4)
DEFAULT = "edsr"


@dataclass(frozen=True)
class Entry:
    """A model known by name: in the package if its file is there, otherwise on the Hub.

    ``revision`` is a commit of 40 digits and ``sha256`` the file's; neither is needed
    for a file in the package.
    """

    name: str
    architecture: str
    scale: int
    file: str
    description: str
    repository: str | None = None
    revision: str | None = None
    sha256: str | None = None

    @property
    def label(self) -> str:
        """The name that includes the scale."""
        return f"{self.name}-x{self.scale}"

    @property
    def bundled_path(self) -> Path | None:
        """Where the file lies in the package; None if it does not."""
        path = bundled_folder() / self.file
        return path if path.is_file() else None


ZOO = tuple(
    Entry(name, architecture, scale, f"{name}-x{scale}.safetensors", description)
    for name, architecture, description in (
        ("edsr", "edsr", "EDSR, 16 blocks of 64 channels"),
        ("edsr-small", "edsr", "EDSR, 8 blocks of 32 channels: the fastest"),
        ("srresnet", "srresnet", "SRResNet, 16 blocks of 64 channels"),
        ("rcan", "rcan", "RCAN, 10 groups of 5 blocks of 64 channels, with attention"),
        ("rdn", "rdn", "RDN, 8 dense blocks with a growth of 64 channels"),
    )
    for scale in SCALES
)


def bundled_folder() -> Path:
    """Where the models lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def entries_named(name: str) -> list[Entry]:
    """The models called ``name`` ("edsr": every scale, "edsr-x4": one); none if unknown."""
    return [entry for entry in ZOO if name in (entry.name, entry.label)]
