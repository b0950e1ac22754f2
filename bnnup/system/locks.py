"""Files that one process at a time holds, for as long as it lives."""

import errno
from contextlib import suppress
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def take(file: IO[bytes]) -> bool:
    """Holds an open file until it is closed; False if another process holds it.

    True, too, on file systems that have no locks.
    """
    if fcntl is None:
        return _take_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _take_on_windows(file: IO[bytes]) -> bool:
    """Its locks are of bytes, also of bytes that a file does not have."""
    import msvcrt

    place = file.tell()
    file.seek(1 << 30)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        return error.errno == errno.EINVAL  # as file systems without locks say
    finally:
        with suppress(OSError):
            file.seek(place)
    return True
