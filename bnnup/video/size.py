"""How large the pictures of a film become."""

import math
import re
from dataclasses import dataclass

from bnnup.errors import MediaError
from bnnup.model.zoo import SCALES
from bnnup.upscale.size import Size


@dataclass(frozen=True)
class Exact:
    """Both sides in pixels, whatever the proportions of the film."""

    width: int
    height: int

    @property
    def label(self) -> str:
        """What the names of results end with."""
        return f"{self.width}x{self.height}"

    def factor_for(self, width: int, height: int) -> float:
        """How many times larger a film of (width, height) becomes, at its longer stretch."""
        return max(self.width / width, self.height / height)


FilmSize = Size | Exact


def read_film_size(text: str) -> FilmSize:
    """ "1280x720" exactly, or one side of it: "1920x-2", where the other follows."""
    match = re.fullmatch(r"([1-9]\d{0,4}|-[12])[x×]([1-9]\d{0,4}|-[12])", text.strip().lower())
    width, height = (int(side) for side in match.groups()) if match else (-1, -1)
    if width < 0 and height < 0:
        raise MediaError(
            f"{text!r} is not a size; write width and height, like 1280x720, or one of them, "
            "like 1280x-2"
        )
    if height < 0:
        return Size(width=width)
    return Size(height=height) if width < 0 else Exact(width, height)


def scale_for(size: FilmSize, width: int, height: int) -> int:
    """The least scale of a network that makes a film of (width, height) so large.

    MediaError if the film is no smaller, or asked to be more than 4 times as large. At other
    sizes beyond that, the rest is left to interpolation.
    """
    factor = size.factor_for(width, height)
    if isinstance(size, Size) and (size.factor or 0) > SCALES[-1]:
        raise MediaError(f"films are enlarged at most {SCALES[-1]} times each way", hint="scale")
    if factor <= 1:
        raise MediaError(
            f"a film of {width}×{height} does not become larger at {size.label}", hint="scale"
        )
    return next((scale for scale in SCALES if scale >= factor * (1 - 1e-9)), SCALES[-1])


def sides(size: FilmSize, width: int, height: int) -> tuple[int, int]:
    """What frames of (width, height) become.

    Sides that follow from others, or are rounded, are even, as players like them.
    """
    if isinstance(size, Exact):
        return size.width, size.height
    factor = size.factor_for(width, height)
    if size.factor is not None and factor in SCALES:
        return size.of(width, height)
    limits = size.fit or (size.width, size.height)
    first, second = (
        _even(factor * side, limit) for side, limit in zip((width, height), limits, strict=True)
    )
    return first, second


def _even(length: float, limit: int | None) -> int:
    """The even number next to a length, not above the limit."""
    near = max(2, 2 * math.floor(length / 2 + 0.5))
    return near if limit is None else max(2, min(near, limit - limit % 2))
