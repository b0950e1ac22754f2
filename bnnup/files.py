"""Originals in a folder, and files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

ORIGINALS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def originals_in(folder: Path) -> list[Path]:
    """Pictures to train on or to score by, directly inside a folder, in order of name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ORIGINALS)


@contextmanager
def replacing(path: Path, token: str | None = None) -> Iterator[Path]:
    """A path beside ``path`` to write to: moved there at the end, removed on any error.

    Its name does not grow from the target's, which may be as long as names can be. It
    is random, or made of ``token``: a second try then replaces what is left of a first
    that was killed.
    """
    temporary = temporary_for(path, token or token_hex(8))
    try:
        if token:
            temporary.unlink(missing_ok=True)
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_for(path: Path, token: str) -> Path:
    return path.with_name(f".{token}.tmp")
