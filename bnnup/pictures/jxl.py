"""JPEG XL: pixels by libjxl in 8 and 16 bits, metadata in the boxes around them.

ISO/IEC 18181-2, the file format.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures.boxes import boxes
from bnnup.pictures.exif import MARK
from bnnup.pictures.metadata import Info
from bnnup.pictures.picture import from_floats, stretched

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
EXIF, XMP, CODESTREAM = b"Exif", b"xml ", b"jxlc"
PART = b"jxlp"  # of the codestream, after its number
BARE, HEADER = b"\xff\x0a", 64  # how a codestream begins, and the bytes of it with the size
RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
# Sides of a preview: any, or an eighth of them.
PREVIEWS = (((1, 6), (65, 8), (321, 10), (1345, 12)), ((16, 0), (32, 0), (1, 5), (33, 9)))
TO_EXIF = 4  # bytes that tell where in its box EXIF begins


@dataclass(frozen=True)
class JxlHeader:
    """Width and height, upright; bits of a sample, 0 for floats; whether there are frames."""

    width: int
    height: int
    bits: int
    moving: bool


class _Bits:
    """The bits of a codestream, from the lowest of each byte on."""

    def __init__(self, stream: bytes) -> None:
        self._rest = int.from_bytes(stream, "little")

    def take(self, count: int) -> int:
        value = self._rest & (1 << count) - 1
        self._rest >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """One of four numbers: a start, and bits to add to it."""
        start, count = choices[self.take(2)]
        return start + self.take(count)

    def take_size(self) -> tuple[int, int]:
        small = self.take(1)
        height = self._take_side(small)
        over, under = RATIOS[self.take(3)]
        return (height * over // under if over else self._take_side(small)), height

    def take_preview(self) -> None:
        choices = PREVIEWS[self.take(1)]
        self.choose(*choices)
        if not self.take(3):
            self.choose(*choices)

    def take_animation(self) -> None:
        self.choose((100, 0), (1000, 0), (1, 10), (1, 30))
        self.choose((1, 0), (1001, 0), (1, 8), (1, 10))
        self.choose((0, 0), (0, 3), (0, 16), (0, 32))
        self.take(1)

    def _take_side(self, small: int) -> int:
        return 8 * (self.take(5) + 1) if small else self.choose((1, 9), (1, 13), (1, 18), (1, 30))


def read_header(content: bytes) -> JxlHeader:
    """What the first bits of the codestream say; sides of 1 or more whatever they are."""
    stream = content if content.startswith(BARE) else _codestream(content)
    bits = _Bits(stream[2:HEADER])
    width, height = bits.take_size()
    if bits.take(1):  # all is as usual
        return JxlHeader(width, height, 8, moving=False)
    moving = False
    if bits.take(1):
        if bits.take(3) + 1 >= 5:  # EXIF's orientation
            width, height = height, width
        if bits.take(1):
            bits.take_size()  # it is meant to be shown in
        if bits.take(1):
            bits.take_preview()
        if moving := bool(bits.take(1)):
            bits.take_animation()
    is_float = bits.take(1)
    depth = 0 if is_float else bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    return JxlHeader(width, height, depth, moving)


def _codestream(content: bytes) -> bytes:
    """The beginning of it, in a file of boxes."""
    for kind, within in boxes(content):
        if kind == CODESTREAM:
            return within[:HEADER]
        if kind == PART:
            return within[4:HEADER]
    return b""


def read_jxl(content: bytes) -> NDArray[Any]:
    """(H, W) or (H, W, 2 to 4), uint8 or uint16, upright; of a film the first frame."""
    import imagecodecs

    pixels: NDArray[Any] = imagecodecs.jpegxl_decode(content, index=0)
    if pixels.dtype.kind == "f":
        return from_floats(pixels)
    most = (1 << min(read_header(content).bits or 16, 16)) - 1
    return stretched(np.minimum(pixels, most), most)


def read_xmp(content: bytes) -> bytes | None:
    """The XMP of a file, if it has a box of it."""
    if not content.startswith(SIGNATURE):
        return None
    return next((within for kind, within in boxes(content) if kind == XMP), None)


def write_jxl(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
    *,
    quality: int | None = None,
) -> None:
    """Writes uint8 or uint16 strips; without loss if there is no ``quality``, 1 … 100."""
    import imagecodecs

    pixels = np.concatenate(list(strips))
    how: dict[str, Any] = {"lossless": True}
    if quality is not None:
        how = {"lossless": False, "distance": _distance(quality)}
    coded = bytes(imagecodecs.jpegxl_encode(pixels, usecontainer=True, **how))
    metadata = b""
    if "exif" in info:
        metadata += _box(EXIF, bytes(TO_EXIF) + info["exif"].removeprefix(MARK))
    if "xmp" in info:
        metadata += _box(XMP, info["xmp"])
    for kind, content in boxes(coded):
        if kind in (CODESTREAM, PART):
            file.write(metadata)
            metadata = b""
        file.write(_box(kind, content))


def _box(kind: bytes, content: bytes) -> bytes:
    if len(content) + 8 < 1 << 32:
        return struct.pack(">I4s", len(content) + 8, kind) + content
    return struct.pack(">I4sQ", 1, kind, len(content) + 16) + content


def _distance(quality: int) -> float:
    """Butteraugli's distance for a quality as JPEG has it, by libjxl's own formula."""
    if quality >= 100:
        return 0.01
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53.0 / 3000 * quality**2 - 23.0 / 20 * quality + 25
