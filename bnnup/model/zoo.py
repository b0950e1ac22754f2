"""The table of networks, and of their models: one for each scale."""

from dataclasses import dataclass, replace
from pathlib import Path

SCALES = (2, 3, 4)


@dataclass(frozen=True)
class Network:
    """A network known by name, and the recipe by which it is trained at every scale.

    ``learning_rate`` is the optimizer's at the peak of a ×2 run from scratch. A network that is
    ``trained_for`` real pictures, with the damage that these have, for films or for
    screenshots, starts from ``body``.
    """

    name: str
    architecture: str
    blocks: int
    channels: int
    learning_rate: float
    description: str
    trained_for: str = "clean"
    body: str | None = None
    optimizer: str = "adam"


@dataclass(frozen=True)
class Entry:
    """A network at one scale: in the package if its file is there, otherwise on the Hub."""

    name: str
    architecture: str
    scale: int
    description: str

    @property
    def label(self) -> str:
        """The name that includes the scale."""
        return f"{self.name}-x{self.scale}"

    @property
    def file(self) -> str:
        """What the file is called, in the package as on the Hub."""
        return f"{self.label}.safetensors"

    @property
    def bundled_path(self) -> Path | None:
        """Where the file lies in the package; None if it does not."""
        path = bundled_folder() / self.file
        return path if path.is_file() else None


def _real(body: Network, learning_rate: float) -> Network:
    return replace(
        body,
        name=f"{body.name}-real",
        learning_rate=learning_rate,
        description=f"{body.name}, for pictures with JPEG's or other damage",
        trained_for="real",
        body=body.name,
    )


EDSR = Network("edsr", "edsr", 16, 64, 1.5e-3, "EDSR, 16 blocks of 64 channels")
EDSR_SMALL = Network(
    "edsr-small", "edsr", 8, 32, 4e-3, "EDSR, 8 blocks of 32 channels: small and fast"
)
HYBRID_LARGE = Network(
    "hybrid-large",
    "hybrid",
    16,
    32,
    1.5e-3,
    "up to 16 binary and as many full-precision convolutions of 32 channels, in turn",
    optimizer="soap",
)
HYBRID_LARGE_REAL = _real(HYBRID_LARGE, 8e-4)
NETWORKS = (
    HYBRID_LARGE,
    Network(
        "hybrid",
        "hybrid",
        7,
        16,
        3e-3,
        "7 binary and 7 full-precision convolutions of 16 channels, in turn",
        optimizer="soap",
    ),
    EDSR,
    EDSR_SMALL,
    HYBRID_LARGE_REAL,
    replace(
        HYBRID_LARGE_REAL,
        name="hybrid-large-film",
        description="hybrid-large, for films, which are compressed",
        trained_for="film",
        body=HYBRID_LARGE_REAL.name,
    ),
    _real(EDSR, 1e-3),
    _real(EDSR_SMALL, 2e-3),
    Network(
        "edsr-small-screen",
        "edsr",
        8,
        32,
        1e-3,
        "edsr-small, for screenshots and other pictures drawn pixel by pixel",
        "screen",
        "edsr-small",
    ),
    Network(
        "srresnet",
        "srresnet-hybrid",
        7,
        16,
        3e-3,
        "SRResNet, 7 blocks of 16 channels, half of them in full precision",
        optimizer="soap",
    ),
    Network(
        "rcan",
        "rcan-hybrid",
        3,
        16,
        4e-3,
        "RCAN, 2 groups of 3 blocks of 16 channels, half of them in full precision",
        optimizer="soap",
    ),
    Network(
        "rdn",
        "rdn-hybrid",
        3,
        16,
        4e-3,
        "RDN, 3 dense blocks with a growth of 16 channels, fused in full precision",
        optimizer="soap",
    ),
)
ZOO = tuple(
    Entry(network.name, network.architecture, scale, network.description)
    for network in NETWORKS
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
