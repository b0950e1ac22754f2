"""What a folder of pictures becomes: which files, and where each result goes."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from PIL import Image

from bnnup.formats import ending_for

# Of all that Pillow opens, what people call pictures.
FORMATS = {
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
}


@dataclass(frozen=True)
class Task:
    """A picture to enlarge; None is standard input, or standard output.

    ``problem`` is why nothing can come of it, if that is known before trying.
    """

    source: Path | None
    target: Path | None
    problem: str = ""

    @property
    def name(self) -> str:
        return "standard input" if self.source is None else str(self.source)


@cache
def endings() -> dict[str, str]:
    """Format by ending, in small letters with the dot."""
    known = Image.registered_extensions()
    return {ending: name for ending, name in known.items() if name in FORMATS}


def find_tasks(
    folder: Path,
    target: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    format_name: str | None = None,
) -> list[Task]:
    """The pictures below ``folder`` in order of name, and their places below ``target``.

    Patterns like "*.jpg" or "2024/*" are held against the path below ``folder``, and
    against the name alone; ``format_name`` is Pillow's, None keeps each file's own.
    """
    unreadable: list[Task] = []
    found = [
        path
        for path in _walk(folder, os.path.realpath(target), unreadable)
        if (not include or _matches(path, include)) and not _matches(path, exclude)
    ]
    names = _name_results(found, format_name)
    tasks = [Task(folder / path, target / names[path]) for path in found]
    return tasks + unreadable


def _walk(folder: Path, but_not: str, unreadable: list[Task]) -> Iterator[Path]:
    """Paths below ``folder``, relative to it; hidden files and folders are left out."""

    def note(error: OSError) -> None:
        problem = f"cannot read the folder {error.filename}: {error.strerror}"
        unreadable.append(Task(Path(error.filename), None, problem))

    for parent, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) != but_not
        )
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in endings() and path.is_file():
                yield path.relative_to(folder)


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    names = path.as_posix(), path.name
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def _name_results(paths: Sequence[Path], format_name: str | None) -> dict[Path, Path]:
    """Where each result goes; where a.jpg and a.bmp would both become a.png, a.jpg.png."""
    names = {path: _with_ending(path, format_name) for path in paths}
    seen = Counter(_folded(name) for name in names.values())
    taken = {_folded(path) for path, name in names.items() if path == name}
    for path, name in names.items():
        if path == name or seen[_folded(name)] == 1:
            continue
        ending = name.suffix
        name = path.with_name(path.name + ending)
        while _folded(name) in taken:
            ending = f"_{ending}"
            name = path.with_name(path.name + ending)
        names[path] = name
        taken.add(_folded(name))
    return names


def _with_ending(path: Path, format_name: str | None) -> Path:
    own = endings()[path.suffix.lower()]
    if format_name is None and own in Image.SAVE:
        return path
    wanted = format_name or "PNG"
    return path if own == wanted else path.with_suffix(ending_for(wanted))


def _folded(path: Path) -> str:
    """The same for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", path.as_posix()).casefold()
