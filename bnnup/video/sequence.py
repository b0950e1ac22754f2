"""Numbered pictures as a film: frames/%05d.png."""

import re
from pathlib import Path

from bnnup.errors import MediaError
from bnnup.system import paths

NUMBER = re.compile(r"%(0\d+)?d")
FORMAT = "image2"  # libav's name
RATE = 25  # frames a second, if nothing is said


def is_sequence(path: Path) -> bool:
    """Whether a name stands for many: it has a place for numbers, and no file has the name."""
    return bool(NUMBER.search(path.name)) and not paths.exists(path)


def first_number(path: Path) -> int:
    """Of a sequence. MediaError if it has no pictures, or not all of them."""
    numbers = sorted(number for number, _ in _pictures(path))
    if not numbers:
        raise MediaError(f"there are no pictures called {path}")
    missing = set(range(numbers[0], numbers[-1])) - set(numbers)
    if missing:
        raise MediaError(f"{path.with_name(path.name % min(missing))} is missing")
    return numbers[0]


def plain_name(path: Path) -> Path:
    """The sequence's name without the number, or that of its folder if nothing is left."""
    stem = NUMBER.sub("", path.stem).strip("_-. ")
    return path.with_name((stem or path.absolute().parent.name) + path.suffix)


def identity(path: Path) -> tuple[int, float, int]:
    """What tells a film, or all pictures of a sequence, from others that take their names: bytes,
    the time of the last change, and the file system's numbers, where it has any, added up."""
    files = [file for _, file in _pictures(path)] if is_sequence(path) else [path]
    facts = [file.stat() for file in files]
    return (
        sum(fact.st_size for fact in facts),
        max(fact.st_mtime for fact in facts),
        sum(getattr(fact, "st_ino", 0) for fact in facts),
    )


def _pictures(path: Path) -> list[tuple[int, Path]]:
    """Numbers and files."""
    before, after = NUMBER.split(path.name, maxsplit=1)[0], NUMBER.split(path.name)[-1]
    name = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    found = [(name.fullmatch(entry.name), entry.name) for entry in paths.entries(path.parent)]
    # Not what has more or fewer digits than the place asks for.
    return [
        (int(match[1]), path.with_name(own))
        for match, own in found
        if match is not None and path.name % int(match[1]) == own
    ]
