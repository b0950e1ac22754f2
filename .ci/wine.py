"""What Wine lacks, for a Python that runs there: its sitecustomize.py."""

import ctypes
import os
from typing import Any

# Functions of complex numbers, which numpy calls when it is imported.
CODE = {
    "creal": "f20f1001c3",  # movsd xmm0, [rcx]; ret
    "cimag": "f20f104108c3",  # movsd xmm0, [rcx + 8]; ret
    "crealf": "660f6ec1c3",  # movd xmm0, ecx; ret
    "cimagf": "48c1e920660f6ec1c3",  # shr rcx, 32; movd xmm0, ecx; ret
}
CODE |= {"creall": CODE["creal"], "cimagl": CODE["cimag"]}  # long double is double
WRITABLE = 0x40  # and executable: PAGE_EXECUTE_READWRITE


def symlink(*_: Any, **__: Any) -> None:
    """Wine tells of success but makes nothing; Windows refuses it to ordinary users."""
    raise OSError(0, "A required privilege is not held by the client", None, 1314)


for name, code in CODE.items():
    place = ctypes.cast(ctypes.CDLL("ucrtbase")[name], ctypes.c_void_p)
    ctypes.windll.kernel32.VirtualProtect(place, 16, WRITABLE, ctypes.byref(ctypes.c_ulong()))  # type: ignore[attr-defined]
    ctypes.memmove(place, bytes.fromhex(code), len(code) // 2)
os.symlink = symlink
