"""PNG, written strip by strip: 8 and 16 bit, pictures of any size in little memory.

W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

import struct
import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures.metadata import Info
from bnnup.pixels.tiling import regroup

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
PAETH = 4  # the filter that suits enlarged pictures best
LONGEST = (1 << 31) - 1  # pixels each way
ROWS = 64  # filtered at a time
METRES_PER_INCH = 0.0254


def write_png(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes uint8 or uint16 strips that make up a picture of ``shape`` from top to bottom.

    Paeth-filtered photographs hold few repetitions that are not runs, so only runs are
    looked for: a seventh of the time, and no larger. ValueError if PNG cannot hold it.
    """
    height, width = shape[:2]
    if max(height, width) > LONGEST:
        raise ValueError(f"its sides end at {LONGEST} pixels")
    deflate = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    file.write(SIGNATURE)
    _write_head(file, dtype.itemsize * 8, shape, info)
    above = np.zeros((1, *shape[1:]), dtype)
    for rows in regroup(strips, ROWS):
        _write_chunk(file, b"IDAT", deflate.compress(_filter(np.concatenate([above, rows]))))
        above = rows[-1:]
    _write_chunk(file, b"IDAT", deflate.flush())
    _write_chunk(file, b"IEND", b"")


def _filter(rows: NDArray[Any]) -> bytes:
    """The rows below the first, each preceded by its filter, as the difference from Paeth's guess.

    Left, up and upper left are those of the same byte of the neighbouring pixel.
    """
    count = len(rows) - 1
    pixel = rows[0, 0].nbytes
    big_endian = rows.astype(rows.dtype.newbyteorder(">"), copy=False)
    samples = np.ascontiguousarray(big_endian).view(np.uint8).reshape(count + 1, -1)
    padded = np.pad(samples, ((0, 0), (pixel, 0))).astype(np.int16)
    left, up, corner = padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel]
    to_left, to_up = up - corner, left - corner  # how far the guess left + up − corner is away
    to_corner = np.abs(to_left + to_up)
    to_left, to_up = np.abs(to_left), np.abs(to_up)
    guess = np.where(to_up <= to_corner, up, corner)
    np.copyto(guess, left, where=(to_left <= to_up) & (to_left <= to_corner))
    filtered = np.empty((count, samples.shape[1] + 1), np.uint8)
    filtered[:, 0] = PAETH
    np.subtract(padded[1:, pixel:], guess, out=filtered[:, 1:], casting="unsafe")
    return filtered.tobytes()


def _write_head(file: IO[bytes], bits: int, shape: tuple[int, ...], info: Info) -> None:
    channels = shape[2] if len(shape) == 3 else 1
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, COLOR_TYPES[channels], 0, 0, 0)
    _write_chunk(file, b"IHDR", header)
    if "icc_profile" in info:
        _write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(info["icc_profile"]))
    if "dpi" in info:
        per_metre = (round(density / METRES_PER_INCH) for density in info["dpi"])
        _write_chunk(file, b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if "exif" in info:
        _write_chunk(file, b"eXIf", info["exif"].removeprefix(b"Exif\0\0"))
    if "xmp" in info:
        _write_chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + info["xmp"])


def _write_chunk(file: IO[bytes], kind: bytes, content: bytes) -> None:
    if kind == b"IDAT" and not content:
        return
    checksum = zlib.crc32(content, zlib.crc32(kind))
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", checksum))
