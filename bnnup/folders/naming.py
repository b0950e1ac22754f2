"""What results in a folder are called."""

import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path, PurePosixPath

import numpy as np

from bnnup.pictures.formats import FORMATS, ending_for, endings
from bnnup.pictures.read import peek
from bnnup.system import paths


def name_results(names: Iterable[str], format_name: str | None) -> Iterator[tuple[str, str]]:
    """Each of a folder's pictures with the name of its result, as ``name_apart`` has it."""
    return name_apart(names, partial(_with_ending, format_name=format_name))


def name_apart(names: Iterable[str], rename: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Each of a folder's names with what ``rename`` makes of it, which no other has.

    Where a.jpg and a.bmp would both become a.png, they become a.jpg.png and a.bmp.png.
    ``names`` are read several times; which result goes where does not depend on their order.
    """
    plain = _Hashes(rename(name) for name in names)
    own = _Hashes(names)
    twins = sorted(name for name in names if own.repeats(name))  # A.jpg and a.jpg
    for name in names:
        result = rename(name)
        if name != result and plain.repeats(result):
            ending = PurePosixPath(result).suffix
            same = [twin for twin in twins if _folded(twin) == _folded(name)] or [name]
            longer = (f"{name}{'_' * length}{ending}" for length in count())
            free = (each for each in longer if each not in plain)
            result = next(islice(free, same.index(name), None))
        yield name, result


def ending_of(source: Path, format_name: str | None) -> str:
    """The ending of a single picture's result; MediaError if it is no picture.

    A format if there is one, else the picture's own, which its content tells where its
    name does not. What is only read becomes PNG.
    """
    if format_name is not None:
        return ending_for(format_name)
    own = endings().get(source.suffix.lower())
    if own is not None:
        return source.suffix if own.written else ending_for("PNG")
    with paths.open_binary(source) as file:
        found = FORMATS[peek(file, str(source)).format]
    return ending_for(found.name if found.written else "PNG")


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
    if format_name is None and own.written:
        return name
    wanted = format_name or "PNG"
    return name if own.name == wanted else path.with_suffix(ending_for(wanted)).name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
