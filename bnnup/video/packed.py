"""Frames whose chroma lies in one plane, as decoders and cameras give them: nv12, p010."""

from dataclasses import dataclass

import numpy as np

from bnnup.video.planes import Plane, PlaneFormat


@dataclass(frozen=True)
class Packing:
    """``planar`` is the same format in three planes.

    Codes are ``shift`` bits higher than there; Cb comes before Cr unless they are
    ``swapped``.
    """

    planar: str
    shift: int = 0
    swapped: bool = False

    def shapes(self, form: PlaneFormat, height: int, width: int) -> list[tuple[int, int]]:
        """(rows, columns) of the two planes."""
        luma, (rows, columns), _ = form.shapes(height, width)
        return [luma, (rows, 2 * columns)]

    def unpack(self, planes: list[Plane]) -> list[Plane]:
        """Two planes to three."""
        luma, chroma = (plane >> self.shift for plane in planes)
        pair = [chroma[:, 0::2], chroma[:, 1::2]]
        return [luma, *(reversed(pair) if self.swapped else pair)]

    def pack(self, planes: list[Plane]) -> list[Plane]:
        """Three planes to two."""
        luma, *pair = (plane << self.shift for plane in planes)
        chroma = np.stack(pair[::-1] if self.swapped else pair, -1)
        return [luma, chroma.reshape(len(chroma), -1)]


PACKINGS = {
    "nv12": Packing("yuv420p"),
    "nv21": Packing("yuv420p", swapped=True),
    "nv16": Packing("yuv422p"),
    "nv24": Packing("yuv444p"),
    "nv42": Packing("yuv444p", swapped=True),
    "p010le": Packing("yuv420p10le", shift=6),
    "p210le": Packing("yuv422p10le", shift=6),
    "p410le": Packing("yuv444p10le", shift=6),
    "p012le": Packing("yuv420p12le", shift=4),
    "p016le": Packing("yuv420p16le"),
    "p216le": Packing("yuv422p16le"),
    "p416le": Packing("yuv444p16le"),
}


def planar_form(name: str) -> str:
    """The same format in three planes, of one in two; others are left as they are."""
    return PACKINGS[name].planar if name in PACKINGS else name


def packing_named(name: str) -> Packing | None:
    """None if chroma is not packed; "p010" is "p010le"."""
    return PACKINGS.get(name) or PACKINGS.get(f"{name}le")
