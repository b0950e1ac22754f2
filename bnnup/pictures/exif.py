"""EXIF: what a camera says of a picture, byte by byte, and what of it holds for a larger one.

Values that are not understood stay as they are, text in whatever encoding included.
CIPA DC-008, "Exchangeable image file format (Exif)"; OGC 19-008, "GeoTIFF".
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from typing import IO, Any

from bnnup.pictures import ifd
from bnnup.pictures.change import Change
from bnnup.pictures.ifd import Directory, Order, Pointers, TagValue

MARK = b"Exif\0\0"
EXIF, GPS, INTEROP = 34665, 34853, 40965
POINTERS: Pointers = {EXIF: {INTEROP: {}}, GPS: {}}

# EXIF borrows TIFF's tags. These tell how the input's pixels lie in its file, or stand elsewhere.
STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(284, 288, 289, 290, 291, 292, 293, 297, 301, 317, 320, 321, 322, 323, 324, 325, 330, 332),
    *(333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520),
    *(521, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724, 50341, 32997, 32998, 50838, 50839),
}
ORIENTATION, DESCRIPTION = 274, 270
ACROSS, DOWN, UNIT = 282, 283, 296  # density
DENSITY = (ACROSS, DOWN, UNIT)
INCH, CENTIMETRE = 2, 3
WIDTH, HEIGHT = 40962, 40963
RELATED = (4097, 4098)  # width and height of the picture that this was made of
FOCAL_ACROSS, FOCAL_DOWN = 41486, 41487
AREA, LOCATION = 37396, 41492  # of the subject, in pixels
PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS = 33550, 33922, 34264, 34735
PIXELS = {WIDTH, HEIGHT, FOCAL_ACROSS, FOCAL_DOWN, AREA, LOCATION}
GEOGRAPHY = (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION)
RASTER_TYPE, IS_POINT = 1025, 2
# Programs' notes on how their arrays lie in the file, which a reader would follow.
LAYOUTS = (b"ImageJ=", b'{"shape"', b'<?xml version="1.0" encoding="UTF-8"?><OME', b"<OME")


@dataclass(frozen=True)
class Exif:
    """EXIF's directories, or a TIFF's: the main one, in which the others stand."""

    order: Order
    main: Directory

    @classmethod
    def read(cls, file: IO[bytes]) -> "Exif | None":
        """From the beginning of a file; None where there is neither EXIF nor TIFF."""
        place = ifd.open_tiff(file)
        return None if place is None else cls(place.order, place.directory(place.first, POINTERS))

    @classmethod
    def parse(cls, content: bytes) -> "Exif | None":
        """From bytes, with EXIF's mark or without."""
        return cls.read(BytesIO(content.removeprefix(MARK)))

    @classmethod
    def of(cls, content: bytes | None) -> "Exif":
        """From bytes as in Info; empty without any."""
        return (cls.parse(content) if content else None) or cls("<", {})

    def serialize(self) -> bytes | None:
        """As JPEG has it, with the mark; None if it says nothing."""
        if not self.main:
            return None
        head = ifd.head(self.order)
        return MARK + head + ifd.serialized(self.main, self.order, len(head))

    def in_order(self, order: Order) -> "Exif":
        """The same in a byte order."""
        return self if order == self.order else Exif(order, ifd.swapped(self.main))

    def content(self, tag: int) -> bytes | None:
        """The bytes of a tag in the main directory."""
        value = self.main.get(tag)
        return value.content if isinstance(value, TagValue) else None

    def number(self, tag: int) -> Any:
        """The first number of a tag in the main directory."""
        value = self.main.get(tag)
        found = value.numbers(self.order) if isinstance(value, TagValue) else []
        return found[0] if found else None

    def density(self) -> tuple[float, float] | None:
        """Pixels per inch, across and down."""
        per_inch = {INCH: 1.0, CENTIMETRE: 2.54}.get(int(self.number(UNIT) or INCH))
        across, down = self.number(ACROSS), self.number(DOWN)
        if per_inch is None or across is None or down is None:
            return None
        return float(across) * per_inch, float(down) * per_inch

    def with_density(self, dpi: tuple[float, float]) -> "Exif":
        across, down = (ifd.rational(Fraction(value), self.order) for value in dpi)
        unit = ifd.numbers(ifd.SHORT, self.order, INCH)
        return replace(self, main={**self.main, ACROSS: across, DOWN: down, UNIT: unit})

    def changed(self, change: Change) -> tuple["Exif", list[str]]:
        """What still holds after a change of the pixels, and what had to go."""
        kept = {t: v for t, v in self.main.items() if t not in STRUCTURE and t not in DENSITY}
        lost = []
        description = kept.get(DESCRIPTION)
        if isinstance(description, TagValue) and description.content.startswith(LAYOUTS):
            del kept[DESCRIPTION]
            lost.append("a program's description of how its arrays lie in the file")
        if any(tag in kept for tag in GEOGRAPHY):
            if change.orientation == 1:
                kept |= self._geography(change)
            else:
                kept = {tag: value for tag, value in kept.items() if tag not in GEOGRAPHY}
                lost.append("GeoTIFF's position, as the picture is turned")
        inner = kept.get(EXIF)
        if isinstance(inner, dict):
            kept[EXIF] = self._camera(inner, change)
        return replace(self, main=kept), lost

    def _camera(self, directory: Directory, change: Change) -> Directory:
        """EXIF's own directory with what it says of pixels set right, or left out if it cannot."""
        kept = {tag: value for tag, value in directory.items() if tag not in PIXELS}
        numbers = {
            tag: value.numbers(self.order)
            for tag, value in directory.items()
            if tag in PIXELS and isinstance(value, TagValue)
        }
        for tag, length in zip((WIDTH, HEIGHT), change.new, strict=True):
            if tag in numbers:
                kept[tag] = ifd.numbers(ifd.LONG, self.order, length)
        focal = [numbers.get(tag) for tag in (FOCAL_ACROSS, FOCAL_DOWN)]
        if change.across:
            focal.reverse()
        for tag, found, ratio in zip((FOCAL_ACROSS, FOCAL_DOWN), focal, change.ratios, strict=True):
            if found:
                with suppress(struct.error):
                    kept[tag] = ifd.rational(Fraction(found[0]) * ratio, self.order)
        for tag in (AREA, LOCATION):
            with suppress(struct.error):
                if len(found := numbers.get(tag, [])) in (2, 3, 4):
                    kept[tag] = ifd.numbers(ifd.SHORT, self.order, *_subject(found, change))
        if isinstance(interop := kept.get(INTEROP), dict):
            kept[INTEROP] = {t: value for t, value in interop.items() if t not in RELATED}
        return {tag: value for tag, value in kept.items() if value}

    def _geography(self, change: Change) -> Directory:
        """GeoTIFF's ties of pixels to places on Earth, after enlarging."""
        found = {
            tag: [float(number) for number in value.numbers(self.order)]
            for tag in GEOGRAPHY
            if isinstance(value := self.main.get(tag), TagValue)
        }
        across, down = (float(ratio) for ratio in change.ratios)
        # Where integers are the middles of pixels, the first moves with the pixels' size.
        shift = 0.5 if self._counts_middles() else 0.0
        if len(scale := found.get(PIXEL_SCALE, [])) >= 2:
            scale[:2] = scale[0] / across, scale[1] / down
        ties = found.get(TIE_POINTS, [])
        for start in range(0, len(ties) - 5, 6):
            column, row = ties[start : start + 2]
            ties[start] = (column + shift) * across - shift
            ties[start + 1] = (row + shift) * down - shift
        if len(matrix := found.get(TRANSFORMATION, [])) == 16:
            for row in range(0, 16, 4):
                x, y = matrix[row] / across, matrix[row + 1] / down
                matrix[row + 3] += shift * (x + y - matrix[row] - matrix[row + 1])
                matrix[row], matrix[row + 1] = x, y
        return {t: ifd.numbers(ifd.DOUBLE, self.order, *values) for t, values in found.items()}

    def _counts_middles(self) -> bool:
        keys = self.main.get(KEYS)
        found = keys.numbers(self.order) if isinstance(keys, TagValue) else []
        entries = (found[start : start + 4] for start in range(4, len(found) - 3, 4))
        return any(entry[0] == RASTER_TYPE and entry[3] == IS_POINT for entry in entries)


def _subject(found: Sequence[float], change: Change) -> list[int]:
    """A point, a circle's middle and diameter, or a rectangle's middle, width and height."""
    sizes = change.extent(*(found[2], found[-1])) if len(found) > 2 else ()
    return [round(value) for value in (*change.point(*found[:2]), *sizes[: len(found) - 2])]
