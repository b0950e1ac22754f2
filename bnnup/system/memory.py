"""How much memory there is."""

from contextlib import suppress
from pathlib import Path

import psutil

GROUP = Path("/sys/fs/cgroup")  # a container's, whose limits psutil does not see


def available() -> int:
    """Bytes that this process could still take."""
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, limit - used + _reclaimable())
    return free


def _reclaimable() -> int:
    """Bytes of files in memory that nobody has read lately, which the system gives up."""
    with suppress(OSError):
        for line in (GROUP / "memory.stat").read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "inactive_file":
                return int(number)
    return 0
