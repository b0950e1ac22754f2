"""The one way from a model's name to its file.

A name is a path to a file, a name of the table (``zoo``), or a place on the Hub. Only
the last, and what the table has but not the package, asks the Hub, once: what is
cached is used as it is.
"""

import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from bnnup.errors import ModelNotFoundError
from bnnup.model.zoo import ZOO, Entry, entries_named

REPOSITORY = "BNNUP_HUB_REPO"  # environment variable: the repository of what the package lacks


def find_model(name: str, scale: int) -> Path:
    """The file of the model ``name`` for ``scale``; ModelNotFoundError or HubError."""
    (path,) = find_models(name, scale)
    return path


def find_models(name: str, scale: int | None = None, *, update: bool = False) -> list[Path]:
    """The files of a name: the one for ``scale``, or those of all scales if it is None.

    What is missing is fetched, and ``update`` asks the Hub for newer files. Raises
    ModelNotFoundError or HubError.
    """
    if os.path.isfile(name):  # unlike Path.is_file, false for names that no system takes
        return [Path(name)]
    if entries := entries_named(name):
        return [find_entry(entry, update=update) for entry in _fitting(name, entries, scale)]
    if is_path(name):
        raise ModelNotFoundError(f"no such model file: {name}")
    if "/" in name:
        return _find_on_hub(name, scale, update)
    known = ", ".join(dict.fromkeys(entry.name for entry in ZOO))
    near = get_close_matches(name[:80].lower(), [entry.name for entry in ZOO], 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise ModelNotFoundError(
        f"no model {name[:80]!r}{guess}; known: {known}, owner/repo on the Hub, or a path to a file"
    )


def _fitting(name: str, entries: list[Entry], scale: int | None) -> list[Entry]:
    if scale is None:  # what is at hand is all that is meant
        return [entry for entry in entries if entry.bundled_path] or entries
    fitting = [entry for entry in entries if entry.scale == scale]
    if not fitting:
        scales = ", ".join(f"×{entry.scale}" for entry in entries)
        raise ModelNotFoundError(f"{name} enlarges {scales}, not ×{scale}", hint="scale")
    return fitting


def _find_on_hub(name: str, scale: int | None, update: bool) -> list[Path]:
    from bnnup.model import hub  # slow to import, and rarely needed

    place = hub.Place.parse(name)
    if place.file is not None or scale is not None:
        return [hub.fetch(place, scale, update=update)]
    if not update and (cached := hub.list_snapshot(place)):
        return cached
    files = hub.list_files(place)
    if not files:
        raise ModelNotFoundError(f"{place} has no models, which are .safetensors files")
    return [hub.fetch(replace(place, file=file), update=update) for file in files]


def find_entry(entry: Entry, *, update: bool = False) -> Path:
    """A known model's file, from the Hub if it is not in the package."""
    if (path := entry.bundled_path) is not None:
        return path
    if (repository := default_repository()) is None:
        raise ModelNotFoundError(
            f"{entry.label} is not in the package, and {REPOSITORY} names no repository on the Hub",
            hint="repository",
        )
    from bnnup.model import hub

    return hub.fetch(hub.Place.parse(f"{repository}/{entry.file}"), entry.scale, update=update)


def default_repository() -> str | None:
    """Where on the Hub the known models are that the package lacks, if that is set."""
    return os.environ.get(REPOSITORY) or None


def is_path(name: str) -> bool:
    """Whether a name can only mean a file, and not a place on the Hub."""
    if name.startswith((".", "/", "~")) or "\\" in name:
        return True
    if not name.endswith(".safetensors"):
        return False
    return name.count("/") < 2 or os.path.isdir(os.path.dirname(name))
