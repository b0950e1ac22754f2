"""Paths that need not be local: s3://, gs://, hf://, memory:// and whatever fsspec knows.

A remote path behaves as a ``pathlib.Path`` in all that bnnup does with paths, and is
typed as one; what differs between the two is here and nowhere else.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from bnnup.errors import MediaError

WINDOWS = os.name == "nt"
SLASHES = ("/", "\\") if WINDOWS else ("/",)  # what ends the name of a folder

# Where a file appears whole when it has arrived, and moving it would copy it.
ATOMIC = {"abfs", "abfss", "az", "gcs", "gs", "hf", "memory", "s3", "s3a"}


@dataclass(frozen=True)
class FolderEntry:
    """What a folder holds; ``is_folder`` is one to go into: links to folders are neither."""

    name: str
    is_folder: bool
    is_file: bool


def to_path(text: str) -> Path:
    """A local path, or a remote one if it begins like "s3://".

    Raises MediaError if nothing is installed that knows such places.
    """
    protocol, mark, rest = text.partition("://")
    if not mark or len(protocol) < 2:  # a letter alone is a drive
        return Path(text)
    if protocol in ("file", "local"):
        return Path(rest[1:] if re.match("/[A-Za-z]:", rest) and WINDOWS else rest)
    from fsspec.registry import known_implementations
    from upath import UPath

    try:
        path = UPath(text, use_listings_cache=False)  # or listings would fill the memory
        path.fs  # noqa: B018  # is made, or not
    except ImportError as error:
        package = known_implementations[protocol]["class"].partition(".")[0]
        remedy = str(error) if package == "fsspec" else f"pip install {package}"
        raise MediaError(f"{protocol}:// needs another package: {remedy}") from error
    except Exception as error:  # credentials, names: as varied as the places
        raise MediaError(f"{text} is not a place that bnnup can reach: {error}") from error
    return cast(Path, path)


def with_slashes(text: str) -> str:
    """A relative path or pattern as it is written on every system."""
    return text.replace("\\", "/") if WINDOWS else text


def is_local(path: Path) -> bool:
    return isinstance(path, Path)


def is_private(path: Path) -> bool:
    """Whether this process alone can see what lies there."""
    return not is_local(path) and _remote(path).protocol == "memory"


def absolute(path: Path) -> str:
    """The one absolute form of a path, however it is written."""
    return os.path.realpath(path) if is_local(path) else str(path)


def is_below(path: Path, folder: Path) -> bool:
    """Whether ``path`` is written as one in ``folder``; a local path never is in a remote one."""
    return is_local(path) == is_local(folder) and path.is_relative_to(folder)


def exists(path: Path) -> bool:
    return os.path.exists(path) if is_local(path) else path.exists()


def is_folder(path: Path) -> bool:
    return os.path.isdir(path) if is_local(path) else path.is_dir()


def entries(folder: Path) -> Iterator[FolderEntry]:
    """What a folder holds, in no order; OSError if it cannot be read.

    Local folders are read bit by bit, remote ones as a whole.
    """
    if is_local(folder):
        with os.scandir(folder) as found:
            for entry in found:
                yield FolderEntry(entry.name, entry.is_dir(follow_symlinks=False), _is_file(entry))
        return
    remote = _remote(folder)
    for fact in remote.fs.ls(remote.path, detail=True):
        name = fact["name"].rstrip("/").rpartition("/")[2]
        if fact["name"].strip("/") != remote.path.strip("/"):  # some stores list the folder itself
            yield FolderEntry(name, fact["type"] == "directory", fact["type"] == "file")


def _is_file(entry: os.DirEntry[str]) -> bool:
    """True, too, for a link that leads in circles or where one may not look.

    What is wrong with it shows when it is opened, and concerns no other entry.
    """
    try:
        return entry.is_file()
    except OSError:
        return True


def open_binary(path: Path) -> IO[bytes]:
    """A file to read that can seek: a remote one is fetched at once."""
    return path.open("rb") if is_local(path) else BytesIO(path.read_bytes())


def upload(file: str, path: Path, token: str) -> None:
    """A local file to ``path``, which is there whole or not at all."""
    remote = _remote(path)
    if remote.protocol in ATOMIC:
        remote.fs.put_file(file, remote.path)
        return
    remote.fs.makedirs(remote.parent.path, exist_ok=True)
    temporary = path.with_name(f".{token}.tmp")
    remote.fs.put_file(file, _remote(temporary).path)
    remote.fs.mv(_remote(temporary).path, remote.path)


def _remote(path: Path) -> Any:
    """As the UPath that it is."""
    return path
