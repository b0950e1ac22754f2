"""What the processor can do, where a library does not ask by itself."""

import ctypes
import ctypes.util
import sys
from contextlib import suppress
from pathlib import Path

PF_AVX512F = 41  # of Windows' IsProcessorFeaturePresent
FACTS = Path("/proc/cpuinfo")


def has_avx512() -> bool:
    """Also False where the system does not say."""
    with suppress(OSError, AttributeError):
        if sys.platform == "win32":
            return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(PF_AVX512F))
        if sys.platform == "darwin":
            return _sysctl(b"hw.optional.avx512f") == 1
        return "avx512f" in FACTS.read_text(errors="replace")
    return False


def _sysctl(name: bytes) -> int:
    """A whole number that the kernel keeps; 0 if it knows no such name."""
    value = ctypes.c_int(0)
    size = ctypes.c_size_t(ctypes.sizeof(value))
    library = ctypes.CDLL(ctypes.util.find_library("c"))
    failed = library.sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else value.value
