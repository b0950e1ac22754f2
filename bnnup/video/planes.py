"""Planar Y'CbCr frames: what their samples mean."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]  # (H, W) uint8, or uint16 for more than 8 bits


SUBSAMPLINGS = {
    "410": (2, 2),
    "411": (0, 2),
    "420": (1, 1),
    "422": (0, 1),
    "440": (1, 0),
    "444": (0, 0),
}

# Where a chroma sample lies among the luma samples that share it, down and right:
# −1 is on the first of them, 0 in the middle, 1 on the last. The names are libav's.
LOCATIONS = {
    "left": (0, -1),
    "center": (0, 0),
    "topleft": (-1, -1),
    "top": (-1, 0),
    "bottomleft": (1, -1),
    "bottom": (1, 0),
}


@dataclass(frozen=True)
class PlaneFormat:
    """What the samples of planar frames mean.

    ``bits`` are 8 to 16; ``subsampling`` is the base-2 logarithm of luma samples per
    chroma sample, down and right, or None for grey; ``full_range`` says whether black
    and white are the least and the largest code, or 16 and 235 times 2^(bits − 8).
    """

    bits: int
    subsampling: tuple[int, int] | None
    full_range: bool
    location: str = "left"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a plane: codes of more than 8 bits take two bytes, right-aligned."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def largest(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    @property
    def black(self) -> int:
        """Luma's code for black."""
        return 0 if self.full_range else 16 << self.bits - 8

    @property
    def span(self) -> int:
        """Codes from luma's black to its white."""
        return self.largest if self.full_range else 219 << self.bits - 8

    def shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(rows, columns) of each plane; chroma of odd sides is rounded up."""
        if self.subsampling is None:
            return [(height, width)]
        down, right = self.subsampling
        chroma = -(-height >> down), -(-width >> right)
        return [(height, width), chroma, chroma]

    def shift(self, scale: int) -> tuple[float, float]:
        """What enlarging chroma adds to where it reads, down and right, in chroma samples.

        Enlarging keeps the edges of a plane where they are. A sample beside the middle
        of its luma samples stays beside it by as many samples, and these shrink.
        """
        if self.subsampling is None:
            return 0.0, 0.0
        sides = LOCATIONS[self.location]
        offsets = (
            side * (0.5 - 2.0 ** -(halvings + 1))
            for side, halvings in zip(sides, self.subsampling, strict=True)
        )
        down, right = (offset * (1 / scale - 1) for offset in offsets)
        return down, right


def read_pix_fmt(name: str) -> PlaneFormat | None:
    """What one of libav's names means, like gray, yuv420p, yuvj422p or yuv444p10le.

    None for formats that are not planar Y'CbCr or grey in 8 to 16 little-endian bits.
    Grey and yuvj have the full range, as libav has it where nothing else is said.
    """
    match = re.fullmatch(r"(?:gray|yuv(?P<full>j?)(?P<chroma>4\d\d)p)((?P<bits>\d+)(le)?)?", name)
    bits = int(match["bits"] or 8) if match else 0
    if match is None or not 8 <= bits <= 16:
        return None
    if match["chroma"] is None:
        return PlaneFormat(bits, None, full_range=True)
    if match["chroma"] not in SUBSAMPLINGS:
        return None
    location = "center" if match["full"] else "left"
    return PlaneFormat(bits, SUBSAMPLINGS[match["chroma"]], bool(match["full"]), location)
