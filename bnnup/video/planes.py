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
    and white are the least and the largest code, or 16 and 235 times 2^(bits − 8). With
    ``alpha`` there is a fourth plane, of the range 0 to the largest code, beside colours that
    have not been multiplied with it.
    """

    bits: int
    subsampling: tuple[int, int] | None
    full_range: bool
    location: str = "left"
    alpha: bool = False

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
        return [(height, width), chroma, chroma, *([(height, width)] if self.alpha else [])]

    def at_chroma(self, luma: Plane) -> NDArray[np.float32]:
        """(H, W) luma where chroma's samples lie, shaped as a plane of chroma."""
        if self.subsampling is None:
            raise ValueError("grey has no chroma")
        for side, halvings in zip(LOCATIONS[self.location], self.subsampling, strict=True):
            luma = _thinned(luma, 1 << halvings, side).T
        return luma.astype(np.float32, copy=False)

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


def _thinned(plane: Plane, step: int, side: int) -> Plane:
    """One row of every ``step``: their mean, or one around the first (−1) or the last (1)."""
    if step == 1:
        return plane
    weights = np.ones(step, np.float32)
    if side:
        weights = np.convolve(weights, weights)  # to nearly the neighbouring samples
    rows = -(-len(plane) // step)
    before = step - 1 if side < 0 else 0
    after = step * rows + len(weights) - len(plane)
    padded = np.pad(plane, ((before, after), (0, 0)), mode="edge")
    parts = (w * padded[i : i + step * rows : step] for i, w in enumerate(weights / weights.sum()))
    total: Plane = sum(parts, np.zeros((rows, plane.shape[1]), np.float32))
    return total


def read_pix_fmt(name: str) -> PlaneFormat | None:
    """What one of libav's names means, like gray, yuv420p, yuvj422p or yuv444p10le.

    None for formats that are not planar Y'CbCr or grey in 8 to 16 little-endian bits.
    Grey and yuvj have the full range, as libav has it where nothing else is said.
    """
    kind = r"gray|yuv(?P<full>j?)(?P<alpha>a?)(?P<chroma>4\d\d)p"
    match = re.fullmatch(rf"(?:{kind})((?P<bits>\d+)(le)?)?", name)
    bits = int(match["bits"] or 8) if match else 0
    if match is None or not 8 <= bits <= 16:
        return None
    if match["chroma"] is None:
        return PlaneFormat(bits, None, full_range=True)
    if match["chroma"] not in SUBSAMPLINGS:
        return None
    location = "center" if match["full"] else "left"
    found = SUBSAMPLINGS[match["chroma"]]
    return PlaneFormat(bits, found, bool(match["full"]), location, bool(match["alpha"]))
