"""Files that appear whole or not at all, and where they may be written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import IO

from bnnup.errors import MediaError, reason
from bnnup.system import paths


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


def check_writable(path: Path, *, force: bool) -> None:
    """MediaError if a file could not be written to ``path``, before any work is done."""
    if paths.is_folder(path):
        raise MediaError(f"{path} is a folder; name a file")
    if paths.exists(path) and not force:
        raise MediaError(f"{path} exists; name another with -o, or overwrite it with --force")
    if not paths.is_local(path):
        return
    if not os.path.isdir(path.parent):
        raise MediaError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"the folder {path.parent} cannot be written to")


@contextmanager
def writing(path: Path, token: str | None = None) -> Iterator[IO[bytes]]:
    """A file that is at ``path``, whole and on the disk, after the block; MediaError if not.

    ``token`` is that of ``files.replacing``. What goes elsewhere is a local file first.
    """
    try:
        if paths.is_local(path):
            with replacing(path, token) as temporary, temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the new name to an empty file
                # A worker that was given up may have lived on: the later one made its file anew.
                if not os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                    raise OSError("another process writes it, too")
        else:
            with TemporaryDirectory() as folder:
                local = Path(folder) / "result"
                with local.open("x+b") as file:
                    yield file
                paths.upload(str(local), path, token or token_hex(8))
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(f"cannot write {path}: it does not fit into memory") from error
    except Exception as error:  # as varied as with reading
        raise MediaError(f"cannot write {path}: {reason(error)}") from error
