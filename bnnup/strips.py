"""Strips of a picture, cut anew."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def regroup(strips: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """The same rows in strips of ``rows`` each, the last perhaps less.

    So what an encoder makes of them does not depend on how the picture was worked on.
    """
    rest: NDArray[Any] | None = None
    for strip in strips:
        rest = strip if rest is None or not len(rest) else np.concatenate([rest, strip])
        whole = len(rest) // rows * rows
        for top in range(0, whole, rows):
            yield rest[top : top + rows]
        rest = rest[whole:]
    if rest is not None and len(rest):
        yield rest
