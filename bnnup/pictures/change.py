"""What happens to a picture between its file and the result: turned upright, then enlarged."""

from dataclasses import dataclass
from fractions import Fraction

Dimensions = tuple[int, int]  # width and height
Sides = tuple[str, bool]  # which of "x" and "y", and whether counted from the far end

# Where x and y of the upright picture come from, by EXIF's orientation.
UPRIGHT: dict[int, tuple[Sides, Sides]] = {
    1: (("x", False), ("y", False)),
    2: (("x", True), ("y", False)),
    3: (("x", True), ("y", True)),
    4: (("x", False), ("y", True)),
    5: (("y", False), ("x", False)),
    6: (("y", True), ("x", False)),
    7: (("y", True), ("x", True)),
    8: (("y", False), ("x", True)),
}


@dataclass(frozen=True)
class Change:
    """From ``old``, the size as stored, by an EXIF ``orientation``, to the size ``new``."""

    old: Dimensions
    new: Dimensions
    orientation: int = 1

    @property
    def across(self) -> bool:
        """Whether rows and columns change places."""
        return self.orientation >= 5

    @property
    def ratios(self) -> tuple[Fraction, Fraction]:
        """How many times wider and higher the result is than the upright picture."""
        width, height = self.old[::-1] if self.across else self.old
        return Fraction(self.new[0], width), Fraction(self.new[1], height)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A place in the stored picture, in pixels from its upper left corner, in the result."""
        sides = {"x": (x, self.old[0]), "y": (y, self.old[1])}
        placed = []
        for (side, far), ratio in zip(UPRIGHT[self.orientation], self.ratios, strict=True):
            value, length = sides[side]
            placed.append(float((length - value if far else value) * ratio))
        return placed[0], placed[1]

    def extent(self, width: float, height: float) -> tuple[float, float]:
        """The width and height of something in the stored picture, in the result."""
        if self.across:
            width, height = height, width
        return float(width * self.ratios[0]), float(height * self.ratios[1])
