"""Files that appear whole or not at all, and where they may be written."""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from bnnup.errors import MediaError, reason
from bnnup.system import paths

WINDOWS = os.name == "nt"
LONGEST_NAME = 255  # bytes, or on Windows units of UTF-16, on the file systems that there are
TRIES, PAUSE = 20, 0.05  # seconds
# What Windows takes for a device, whatever ending follows, and the signs that no name there has.
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"
}
NO_LETTERS = '<>:"|?*'


@contextmanager
def replacing(path: Path, token: str | None = None) -> Iterator[Path]:
    """A path beside ``path`` to write to: moved there at the end, removed on any error.

    Its name does not grow from the target's, which may be as long as names can be. It
    is random, or made of ``token``: a second try then replaces what is left of a first
    that was killed. A device or a pipe is written to, and stays.
    """
    if _is_special(path):
        with TemporaryDirectory() as folder:
            temporary = Path(folder) / "result"
            yield temporary
            with temporary.open("rb") as file:
                _pour(file, path)
        return
    temporary = temporary_for(path, token or token_hex(8))
    try:
        if token:
            temporary.unlink(missing_ok=True)
        yield temporary
        _sync(temporary)
        _replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def move(file: Path, path: Path, token: str) -> None:
    """A local file to ``path``, on the same file system or elsewhere, where it appears whole.

    It is on the disk then. Links are followed, and a file that is replaced leaves its mode to
    the new one; a device or a pipe is written to, and stays.
    """
    if not paths.is_local(path):
        paths.upload(str(file), path, token)
    elif _is_special(path):
        with file.open("rb") as source:
            _pour(source, path)
    elif os.path.islink(path):  # it may lead to another file system
        with writing(path, token) as target, file.open("rb") as source:
            shutil.copyfileobj(source, target)
    else:
        _keep_mode(file, path)
        _sync(file)
        _replace(file, path)
        return
    file.unlink()


def _sync(file: Path) -> None:
    """Waits until it is on the disk: a power cut could leave a new name to an empty file."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())


def _pour(source: IO[bytes], path: Path) -> None:
    """Writes to what is at ``path``, a device or a pipe, instead of replacing it."""
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _replace(file: Path, path: Path) -> None:
    """Moves over ``path``, which on Windows must wait until nobody has it open.

    Virus scanners and indexers look into each new file for a moment.
    """
    for _ in range(TRIES if WINDOWS else 0):
        with suppress(PermissionError):
            file.replace(path)
            return
        time.sleep(PAUSE)
    try:
        file.replace(path)
    except PermissionError as error:
        if not WINDOWS:
            raise
        raise OSError("another program has it open") from error


def temporary_for(path: Path, token: str) -> Path:
    return path.with_name(f".{token}.tmp")


def check_writable(path: Path, *, force: bool) -> None:
    """MediaError if a file could not be written to ``path``, before any work is done.

    Devices and pipes are there to be written to, so need no ``force``.
    """
    if paths.is_folder(path):
        raise MediaError(f"{path} is a folder; name a file")
    if paths.is_local(path):
        if WINDOWS and not is_name_on_windows(path.name):
            raise MediaError(f"Windows does not allow the name {path.name}", hint="output")
        if _is_special(path):
            if not os.access(path, os.W_OK):
                raise MediaError(f"{path} cannot be written to")
            return
        path = _followed(path)
    if paths.exists(path) and not force:
        raise MediaError(f"{path} exists", hint="force or output")
    if WINDOWS and os.path.exists(path) and not os.access(path, os.W_OK):
        raise MediaError(f"{path} is read-only", hint="output")
    if not paths.is_local(path):
        return
    if not os.path.isdir(path.parent):
        raise MediaError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"the folder {path.parent} cannot be written to")
    if _length(path.name) > LONGEST_NAME:
        raise MediaError(f"the name {path.name} is too long", hint="output")


def is_name_on_windows(name: str) -> bool:
    """Whether a file there can have this name, and keeps it."""
    stem = name.partition(".")[0].rstrip(" ").upper()
    return not (
        stem in DEVICES
        or name.endswith((".", " "))
        or any(letter in NO_LETTERS or letter < " " for letter in name)
    )


def _length(name: str) -> int:
    """Of a file's name, as the system counts it."""
    if WINDOWS:
        return len(name.encode("utf-16-le", "surrogatepass")) // 2
    return len(os.fsencode(name))


def _followed(path: Path) -> Path:
    """Where a link leads, whether there is something or not."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe or a socket: what is there to be written to, not replaced."""
    if not os.path.exists(path):
        return False
    if os.path.islink(path) and (path.is_relative_to("/dev") or path.is_relative_to("/proc")):
        return True  # /dev/stdout may lead to a file that others hold open
    return not (os.path.isfile(path) or os.path.isdir(path))


@contextmanager
def writing(path: Path, token: str | None = None) -> Iterator[IO[bytes]]:
    """A file that is at ``path``, whole and on the disk, after the block; MediaError if not.

    Links are followed, and a file that is replaced leaves its mode to the new one.
    ``token`` is that of ``files.replacing``. What goes elsewhere, or to a device or pipe,
    is a local file first.
    """
    try:
        if not paths.is_local(path):
            with TemporaryDirectory() as folder:
                local = Path(folder) / "result"
                with local.open("x+b") as file:
                    yield file
                paths.upload(str(local), path, token or token_hex(8))
        elif _is_special(path):
            with TemporaryFile() as file:  # encoders seek, which pipes cannot
                yield file
                file.seek(0)
                _pour(file, path)
        else:
            path = _followed(path)
            with replacing(path, token) as temporary, temporary.open("x+b") as file:
                yield file
                file.flush()
                _keep_mode(temporary, path)
                # A worker that was given up may have lived on: the later one made its file anew.
                if not os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                    raise OSError("another process is writing it, too")
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(f"cannot write {path}: it does not fit into memory") from error
    except Exception as error:  # as varied as with reading
        raise MediaError(f"cannot write {path}: {reason(error)}") from error


def _keep_mode(file: Path, path: Path) -> None:
    """Who may do what with a file that is replaced holds for the new one."""
    with suppress(OSError, AttributeError):  # not every system knows all of it
        old = path.stat()
        if os.geteuid() == 0:
            os.chown(file, old.st_uid, old.st_gid)  # which clears some of the mode
        file.chmod(stat.S_IMODE(old.st_mode))
