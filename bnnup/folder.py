"""What a folder of pictures becomes: which files, and where each result goes.

Folders are read as their pictures are needed: however many there are, no more than
the names of MANY are in memory at once, and 16 bytes for each of a larger folder.
"""

import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import count, islice
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from bnnup import paths
from bnnup.formats import ending_for

# Of all that Pillow opens, what people call pictures.
FORMATS = {
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
}
MANY = 20_000  # names in a folder; of larger ones they come in the file system's order


@dataclass(frozen=True)
class Known:
    """What the record knows of a result.

    ``key`` and ``bytes`` are those of a finished one. It is ``begun`` if it is on record
    that it is about to be made, and may then be written over; ``new`` if no earlier run
    knew it.
    """

    begun: bool = False
    new: bool = False
    key: int | None = None
    bytes: int = -1


@dataclass(frozen=True)
class Task:
    """A picture to enlarge; None is standard input, or standard output.

    ``problem`` is why nothing can come of it, if that is known before trying; ``known``
    is None where there is no record.
    """

    source: Path | None
    target: Path | None
    problem: str = ""
    known: Known | None = None

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
) -> Iterator[Task]:
    """The pictures below ``folder``, and their places below ``target``.

    Those in a folder come before those in its folders; both in order of name, unless
    there are more than MANY. Patterns like "*.jpg" or "2024/*" are held against the path
    below ``folder``, and against the name alone; ``format_name`` is Pillow's, None keeps
    each file's own.
    """

    but_not = paths.absolute(target)
    waiting = [PurePosixPath()]
    while waiting:
        below = waiting.pop()
        parent = folder / below.as_posix() if below.name else folder
        into = target / below.as_posix() if below.name else target
        try:
            names = _names(parent, _Wanted(below, include, exclude))
            for name, result in name_results(names, format_name):
                yield Task(parent / name, into / result)
            folders = sorted(
                entry.name
                for entry in paths.entries(parent)
                if entry.is_folder
                and not entry.name.startswith(".")
                and paths.absolute(parent / entry.name) != but_not
            )
        except OSError as error:
            problem = f"cannot read the folder {parent}: {error.strerror or error}"
            yield Task(parent, None, problem)
            continue
        waiting.extend(below / name for name in reversed(folders))


def _names(folder: Path, wanted: Callable[[str], bool]) -> Iterable[str]:
    """The names of pictures in a folder; hidden ones are left out."""
    names = _Names(folder, wanted)
    first = [*islice(names, MANY + 1)]
    return sorted(first) if len(first) <= MANY else names


@dataclass(frozen=True)
class _Names:
    """Names that are read from the folder each time."""

    folder: Path
    wanted: Callable[[str], bool]

    def __iter__(self) -> Iterator[str]:
        for entry in paths.entries(self.folder):
            name = entry.name
            is_picture = PurePosixPath(name).suffix.lower() in endings()
            if is_picture and not name.startswith(".") and entry.is_file and self.wanted(name):
                yield name


@dataclass(frozen=True)
class _Wanted:
    """Whether the patterns want a name in the folder ``below``."""

    below: PurePosixPath
    include: Sequence[str]
    exclude: Sequence[str]

    def __call__(self, name: str) -> bool:
        path = self.below / name
        wanted = not self.include or _matches(path, self.include)
        return wanted and not _matches(path, self.exclude)


def _matches(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    names = path.as_posix(), path.name
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def name_results(names: Iterable[str], format_name: str | None) -> Iterator[tuple[str, str]]:
    """Each of a folder's names with that of its result, which no other has.

    Where a.jpg and a.bmp would both become a.png, they become a.jpg.png and a.bmp.png.
    ``names`` are read several times; which result goes where does not depend on their order.
    """
    plain = _Hashes(_with_ending(name, format_name) for name in names)
    own = _Hashes(names)
    twins = sorted(name for name in names if own.repeats(name))  # A.jpg and a.jpg
    for name in names:
        result = _with_ending(name, format_name)
        if name != result and plain.repeats(result):
            ending = PurePosixPath(result).suffix
            same = [twin for twin in twins if _folded(twin) == _folded(name)] or [name]
            longer = (f"{name}{'_' * length}{ending}" for length in count())
            free = (each for each in longer if each not in plain)
            result = next(islice(free, same.index(name), None))
        yield name, result


class _Hashes:
    """Names, in 8 bytes each; those that some file system takes for the same are the same."""

    def __init__(self, names: Iterable[str]) -> None:
        self._all = np.array(array("q", (hash(_folded(name)) for name in names)), np.int64)
        self._all.sort()
        self._repeated = {int(each) for each in self._all[1:][self._all[1:] == self._all[:-1]]}

    def __contains__(self, name: str) -> bool:
        wanted = hash(_folded(name))
        place = int(self._all.searchsorted(wanted))
        return place < len(self._all) and int(self._all[place]) == wanted

    def repeats(self, name: str) -> bool:
        return bool(self._repeated) and hash(_folded(name)) in self._repeated


def _with_ending(name: str, format_name: str | None) -> str:
    path = PurePosixPath(name)
    own = endings()[path.suffix.lower()]
    if format_name is None and own in Image.SAVE:
        return name
    wanted = format_name or "PNG"
    return name if own == wanted else path.with_suffix(ending_for(wanted)).name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
