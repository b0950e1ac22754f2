"""How much memory there is."""

from contextlib import suppress
from pathlib import Path

import psutil


def available() -> int:
    """Bytes that this process could still take."""
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # the limit of a container, which psutil does not see
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        free = min(free, int(limit) - int(used))
    return free
