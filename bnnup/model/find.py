"""The way from a model's name to its file."""

import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from bnnup.errors import ModelNotFoundError
from bnnup.model.zoo import ZOO, Entry, entries_named


def find_files(name: str, scale: int | None = None, *, update: bool = False) -> list[Path]:
    """The files of a name, every scale of it if none is given, fetched where they are missing.

    ``update`` asks the Hub for newer ones. Raises ModelNotFoundError or HubError.
    """
    if os.path.isfile(name):
        return [Path(name)]
    if entries := entries_named(name):
        entries = [entry for entry in entries if scale in (None, entry.scale)]
        if scale is None:
            entries = [entry for entry in entries if entry.bundled_path] or entries
        if entries:
            return [find_entry(entry, update=update) for entry in entries]
    if entries_named(name) or is_path(name) or "/" not in name:
        return [find_model(name, scale or 2)]  # which says what is wrong
    from bnnup.model import hub

    place = hub.Place.parse(name)
    if place.file is not None or scale is not None:
        return [hub.fetch(place, scale, update=update)]
    if not update and (cached := hub.list_snapshot(place)):
        return cached
    files = hub.list_files(place)
    if not files:
        raise ModelNotFoundError(f"{place} has no models, that is, no .safetensors files")
    return [hub.fetch(replace(place, file=file), update=update) for file in files]


REPOSITORY = "BNNUP_HUB_REPO"  # environment variable: where models lie that name no repository


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
        from bnnup.model import hub

        return hub.fetch(hub.Place.parse(name), scale)
    known = ", ".join(dict.fromkeys(entry.name for entry in ZOO))
    near = get_close_matches(name[:80].lower(), [entry.name for entry in ZOO], 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise ModelNotFoundError(
        f"no model {name[:80]!r}{guess}; known: {known}, owner/repo on the Hub, or a path to a file"
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
    from bnnup.model import hub

    place = hub.Place.parse(f"{repository}/{entry.file}@{entry.revision or hub.NEWEST}")
    return hub.fetch(place, entry.scale, sha256=entry.sha256, update=update)


def is_path(name: str) -> bool:
    """Whether a name that is no file can only mean one, rather than a place on the Hub."""
    if name.startswith((".", "/", "~")) or "\\" in name:
        return True
    if not name.endswith(".safetensors"):
        return False
    return name.count("/") < 2 or os.path.isdir(os.path.dirname(name))
