"""Numbered pictures: frames/%05d.png."""

import re
from itertools import pairwise
from pathlib import Path

from bnnup.errors import MediaError
from bnnup.system import paths

NUMBER = re.compile(r"%(0\d{1,2})?d")
FORMAT = "image2"  # libav's name
RATE = 25  # frames a second, if nothing is said


def is_sequence(path: Path) -> bool:
    """Whether a name stands for many: it has a place for numbers, and no file has the name."""
    return bool(NUMBER.search(path.name)) and not paths.exists(path)


def first_number(path: Path) -> int:
    """Of a sequence. MediaError if it has no pictures, or not all of them."""
    numbers = sorted(pictures(path))
    if not numbers:
        raise MediaError(f"there are no pictures called {path}")
    for number, after in pairwise(numbers):
        if after > number + 1:
            raise MediaError(f"{numbered(path, number + 1)} is missing")
    return numbers[0]


def plain_name(path: Path) -> Path:
    """The sequence's name without the number, or that of its folder if nothing is left."""
    stem = NUMBER.sub("", path.stem).strip("_-. ")
    return path.with_name((stem or path.absolute().parent.name) + path.suffix)


def identity(path: Path) -> tuple[int, float, int]:
    """What tells a film, or all pictures of a sequence, from others that take their names: bytes,
    the time of the last change, and the file system's numbers, where it has any, added up."""
    files = [*pictures(path).values()] if is_sequence(path) else [path]
    facts = [file.stat() for file in files]
    return (
        sum(fact.st_size for fact in facts),
        max(fact.st_mtime for fact in facts),
        sum(getattr(fact, "st_ino", 0) for fact in facts),
    )


def pattern(path: Path) -> str:
    """The sequence as libav takes it, where other % than that of the number are doubled."""
    place = NUMBER.search(path.name)
    assert place is not None
    parts = path.name[: place.start()], path.name[place.end() :]
    before, after = (part.replace("%", "%%") for part in parts)
    folder = str(path.parent).replace("%", "%%")
    return f"{folder}/{before}{place[0]}{after}"


def numbered(path: Path, number: int) -> Path:
    """A picture of the sequence."""
    return path.with_name(NUMBER.sub(lambda match: f"{number:{match[1] or ''}d}", path.name))


def pictures(path: Path) -> dict[int, Path]:
    """The files of a sequence by their numbers, in no order; none if there is no such folder."""
    if not paths.is_folder(path.parent):
        return {}
    before, after = NUMBER.split(path.name, maxsplit=1)[0], NUMBER.split(path.name)[-1]
    name = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    found = [(name.fullmatch(entry.name), entry.name) for entry in paths.entries(path.parent)]
    # Not what has more or fewer digits than the place asks for.
    return {
        int(match[1]): path.with_name(own)
        for match, own in found
        if match is not None and numbered(path, int(match[1])).name == own
    }
