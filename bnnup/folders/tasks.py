"""What a folder of pictures becomes: which files, and where each result goes.

Folders are read as their pictures are needed: however many there are, no more than
the names of MANY are in memory at once, and 16 bytes for each of a larger folder.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from bnnup.folders.naming import name_results
from bnnup.pictures.formats import endings
from bnnup.system import paths

IsResult = Callable[[Path], bool]  # whether the record says that a job made it

MANY = 20_000  # names in a folder; of larger ones they come in the file system's order


@dataclass(frozen=True)
class Known:
    """What the record knows of a result.

    ``key`` and ``bytes`` are those of a finished one. It is ``begun`` if it is on record
    that it is about to be made, and may then be written over; ``new`` if no earlier run
    knew it, ``unfinished`` if one began it and came no further.
    """

    begun: bool = False
    new: bool = False
    unfinished: bool = False
    key: int | None = None
    bytes: int = -1


@dataclass(frozen=True)
class Stream:
    """Where bytes come from, or go, once and in order: standard input, for example."""

    file: IO[bytes]
    name: str


@dataclass(frozen=True)
class Task:
    """A picture to enlarge: from a path or a stream, to a path or a stream.

    ``problem`` is why nothing can come of it, if that is known before trying, and
    ``hint`` that of its error; there may then be no target. ``known`` is None where there
    is no record. ``is_result``: by the record, the source was made by such a job itself.
    """

    source: Path | Stream
    target: Path | Stream | None
    problem: str = ""
    hint: str = ""
    known: Known | None = None
    is_result: bool = False

    @property
    def name(self) -> str:
        return self.source.name if isinstance(self.source, Stream) else str(self.source)

    @property
    def result_name(self) -> str:
        """Of the file that is made; "-" if none is."""
        return str(self.target) if self.has_file else "-"

    @property
    def has_file(self) -> bool:
        """Whether the result goes to a file."""
        return not (self.target is None or isinstance(self.target, Stream))


def find_tasks(
    folder: Path,
    target: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    format_name: str | None = None,
    is_result: IsResult | None = None,
) -> Iterator[Task]:
    """The pictures below ``folder``, and their places below ``target``, as ``walk`` finds them.

    ``format_name`` is Pillow's, None keeps each file's own.
    """
    name = partial(name_results, format_name=format_name)
    wanted = endings()
    return walk(folder, target, wanted, name, include=include, exclude=exclude, is_result=is_result)


def walk(
    folder: Path,
    target: Path,
    endings: Collection[str],
    name_results: Callable[[Iterable[str]], Iterator[tuple[str, str]]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    is_result: IsResult | None = None,
) -> Iterator[Task]:
    """The files below ``folder`` with one of the ``endings``, and their places below ``target``.

    Those in a folder come before those in its folders; both in order of name, unless
    there are more than MANY. Patterns like "*.jpg" or "2024/*" are held against the path
    below ``folder``, and against the name alone; ``name_results`` names the results of a
    folder's files, of which those that ``is_result`` tells are results themselves.
    """

    but_not = paths.absolute(target)
    waiting = [PurePosixPath()]
    while waiting:
        below = waiting.pop()
        parent = folder / below.as_posix() if below.name else folder
        into = target / below.as_posix() if below.name else target
        try:
            wanted = _Wanted(below, endings, include, exclude)
            made = set() if is_result is None else _results(parent, wanted, is_result)
            for name, result in name_results(_names(parent, replace(wanted, made=made))):
                yield Task(parent / name, into / result)
            for name in sorted(made):
                yield Task(parent / name, into / name, is_result=True)
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


def _results(folder: Path, wanted: Callable[[str], bool], is_result: IsResult) -> set[str]:
    return {name for name in _Names(folder, wanted) if is_result(folder / name)}


def _names(folder: Path, wanted: Callable[[str], bool]) -> Iterable[str]:
    """The wanted names in a folder."""
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
            if self.wanted(entry.name) and entry.is_file:
                yield entry.name


@dataclass(frozen=True)
class _Wanted:
    """Whether endings and patterns want a name in the folder ``below``; never a hidden one.

    Nor one of those that a job has ``made``.
    """

    below: PurePosixPath
    endings: Collection[str]
    include: Sequence[str]
    exclude: Sequence[str]
    made: Collection[str] = ()

    def __call__(self, name: str) -> bool:
        path = self.below / name
        if name in self.made or name.startswith(".") or path.suffix.lower() not in self.endings:
            return False
        wanted = not self.include or _matches(path, self.include)
        return wanted and not _matches(path, self.exclude)


def _matches(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    names = path.as_posix().casefold(), path.name.casefold()
    wanted = [paths.with_slashes(pattern).casefold() for pattern in patterns]
    return any(fnmatchcase(name, pattern) for name in names for pattern in wanted)
