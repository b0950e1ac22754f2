"""Netpbm's formats: bitmaps, greymaps and pixmaps of up to 16 bits.

https://netpbm.sourceforge.net/doc/ (pbm, pgm, ppm).
"""

import re
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures.metadata import Info
from bnnup.pictures.picture import stretched

# Kind, width, height and, but for bitmaps, the value of white; comments may stand between.
GAP = rb"(?:\s|#[^\n\r]{0,999}[\n\r]){1,99}"
HEADER = re.compile(rb"P([2356])" + (GAP + rb"(\d{1,9})") * 3 + rb"(?:\s|#[^\n\r]{0,999}[\n\r])")
HEAD = 1 << 16  # bytes that a header with its comments may take
PLAIN, COLOR = ("2", "3"), ("3", "6")
WHITE = 128  # the least grey that a bitmap shows as white
FORMATS = {b"P1": "PBM", b"P4": "PBM", b"P2": "PGM", b"P5": "PGM", b"Pf": "PFM", b"PF": "PFM"}


def kind(file: IO[bytes]) -> str:
    """Which of the formats that Pillow calls PPM a file has."""
    file.seek(0)
    return FORMATS.get(file.read(2), "PPM")


def white(file: IO[bytes]) -> int:
    """The value of white of a greymap or pixmap; 255 for what is none."""
    found = _header(file)
    return 255 if found is None else int(found[4])


def read_pnm(file: IO[bytes]) -> NDArray[Any]:
    """(H, W) or (H, W, 3), uint8 or, if white is above 255, uint16: white is their largest.

    ValueError if the file ends before, or holds more than white.
    """
    found = _header(file)
    if found is None:
        raise ValueError("its header is not understood")
    number, (width, height, most) = found[1].decode(), (int(found[place]) for place in (2, 3, 4))
    shape = (height, width, 3) if number in COLOR else (height, width)
    count, dtype = int(np.prod(shape)), np.dtype(np.uint8 if most < 256 else ">u2")
    file.seek(found.end())
    if number in PLAIN:
        text = re.sub(rb"#[^\n\r]*", b"", file.read())
        samples = np.array(text.split()[:count], dtype=object).astype(np.int64)
    else:
        samples = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    if len(samples) < count:
        raise ValueError("it ends too early")
    if not 0 < most < 65536 or (count and not 0 <= samples.min() <= samples.max() <= most):
        raise ValueError(f"it holds values outside 0 to {most}, which is its white")
    return stretched(samples.reshape(shape), most)


def _header(file: IO[bytes]) -> "re.Match[bytes] | None":
    file.seek(0)
    return HEADER.match(file.read(HEAD))


def write_pnm(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes uint8 or uint16 strips of grey or RGB from top to bottom."""
    number = 6 if len(shape) == 3 else 5
    most = np.iinfo(dtype).max
    file.write(b"P%d\n%d %d\n%d\n" % (number, shape[1], shape[0], most))
    for strip in strips:
        file.write(strip.astype(dtype.newbyteorder(">")).tobytes())


def write_bitmap(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes strips of grey as black and white."""
    file.write(b"P4\n%d %d\n" % (shape[1], shape[0]))
    for strip in strips:
        dark = strip < (WHITE if dtype == np.uint8 else WHITE * 257)
        file.write(np.packbits(dark, axis=1).tobytes())
