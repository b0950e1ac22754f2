"""How large a result shall be, and the way there: whole-number enlargements, then one reduction."""

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement

from bnnup.model.zoo import SCALES

LARGEST = 64  # times each way
PASSES = 3  # that it takes


@dataclass(frozen=True)
class Size:
    """Exactly one field is set; the proportions of the picture are kept.

    ``factor`` is each way, ``width`` and ``height`` are in pixels, ``fit`` is a box in
    pixels that the result just fits into, ``megapixels`` its area in millions.
    """

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None
    megapixels: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in vars(self).values() if value is not None]
        if len(given) != 1:
            raise ValueError("give one of scale, width, height, fit and megapixels")
        lengths = self.fit or (*given,)
        if not all(math.isfinite(length) and length > 0 for length in lengths):
            raise ValueError("sizes are numbers above 0")
        if self.factor is not None and not 1 < self.factor <= LARGEST:
            raise ValueError(f"a picture is enlarged more than once and at most {LARGEST} times")

    @property
    def label(self) -> str:
        """What the names of results end with."""
        if self.factor is not None:
            return f"x{self.factor:g}"
        if self.width is not None:
            return f"w{self.width}"
        if self.height is not None:
            return f"h{self.height}"
        return f"{self.megapixels:g}mp" if self.fit is None else "{}x{}".format(*self.fit)

    def factor_for(self, width: int, height: int) -> float:
        """How many times larger each way a picture of (width, height) becomes; perhaps below 1."""
        if self.width is not None:
            return self.width / width
        if self.height is not None:
            return self.height / height
        if self.fit is not None:
            return min(self.fit[0] / width, self.fit[1] / height)
        if self.megapixels is not None:
            return math.sqrt(self.megapixels * 1e6 / (width * height))
        return self.factor or 1

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what a picture of (width, height) becomes."""
        factor = self.factor_for(width, height)
        return (max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5)))


def read_box(text: str) -> tuple[int, int]:
    """ "3840x2160" to (3840, 2160); ValueError for anything else."""
    width, times, height = text.lower().replace("×", "x").partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise ValueError(f"a box is WIDTHxHEIGHT, like 3840x2160, not {text!r}")
    return int(width), int(height)


def plan_passes(factor: float) -> tuple[int, ...]:
    """The scales of the networks to run one after the other, for at least ``factor``.

    As few as possible; of those that are as few, the least that is reached, and the
    small ones first, which costs less. No scale for a factor of 1 or less; ValueError if
    it is more than LARGEST.
    """
    if factor <= 1:
        return ()
    for count in range(1, PASSES + 1):
        enough = [
            scales
            for scales in combinations_with_replacement(SCALES, count)
            if math.prod(scales) >= factor * (1 - 1e-9)
        ]
        if enough:
            return min(enough, key=math.prod)
    raise ValueError(f"{factor:.1f} times is too much; the limit is {LARGEST} times each way")
