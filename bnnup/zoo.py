"""The table of models, and the way from a name to a file."""

import os
from dataclasses import dataclass
from pathlib import Path

from bnnup.errors import ModelNotFoundError

SCALES = (2, 3, 4)
DEFAULT = "edsr"
REPOSITORY = "BNNUP_HUB_REPO"  # environment variable: where models lie that name no repository


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
    package = Path(__file__).parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def entries_named(name: str) -> list[Entry]:
    """The models called ``name`` ("edsr": every scale, "edsr-x4": one); none if unknown."""
    return [entry for entry in ZOO if name in (entry.name, entry.label)]


def find_model(name: str, scale: int) -> Path:
    """The file of a model: a path, a name of the table, or a place on the Hub.

    Only the last, and what the table has but not the package, asks the Hub, once:
    what is cached is used as it is. Raises ModelNotFoundError or HubError.
    """
    if os.path.isfile(name):  # unlike Path.is_file, false for names that no system takes
        return Path(name)
    if entries := entries_named(name):
        fitting = [entry for entry in entries if entry.scale == scale]
        if not fitting:
            scales = ", ".join(f"×{entry.scale}" for entry in entries)
            raise ModelNotFoundError(f"{name} enlarges {scales}, not ×{scale}: choose it with -s")
        return find_entry(fitting[0])
    if is_path(name):
        raise ModelNotFoundError(f"no such model file: {name}")
    if "/" in name:
        from bnnup import hub

        return hub.fetch(hub.Place.parse(name), scale)
    known = ", ".join(dict.fromkeys(entry.name for entry in ZOO))
    raise ModelNotFoundError(
        f"no model {name[:80]!r}; known: {known}, owner/repo on the Hub, or a path to a file"
    )


def repository_of(entry: Entry) -> str | None:
    """Where on the Hub a known model is, as far as anybody said."""
    return entry.repository or os.environ.get(REPOSITORY) or None


def find_entry(entry: Entry, *, update: bool = False) -> Path:
    """A known model's file, from the Hub if it is not in the package."""
    if (path := entry.bundled_path) is not None:
        return path
    if (repository := repository_of(entry)) is None:
        raise ModelNotFoundError(
            f"{entry.label} is not in the package: name a repository on the Hub that has "
            f"{entry.file} with 'bnnup --hub-repo owner/repo …' or {REPOSITORY}"
        )
    from bnnup import hub

    place = hub.Place.parse(f"{repository}/{entry.file}@{entry.revision or hub.NEWEST}")
    return hub.fetch(place, entry.scale, sha256=entry.sha256, update=update)


def is_path(name: str) -> bool:
    """Whether a name that is no file can only mean one, rather than a place on the Hub."""
    if name.startswith((".", "/", "~")) or "\\" in name:
        return True
    if not name.endswith(".safetensors"):
        return False
    return name.count("/") < 2 or os.path.isdir(os.path.dirname(name))
