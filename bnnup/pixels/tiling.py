"""Cutting a picture into tiles that give exactly the untiled result, and into strips.

A tile is a core, and around it a margin as wide as the network looks (its halo),
cut off where the picture ends: there the network replicates the picture's border
as it would without tiles.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """Rows and columns of input pixels: ``core`` is wanted, ``outer`` is needed for it."""

    core: tuple[slice, slice]
    outer: tuple[slice, slice]

    def place(self, enlarged: NDArray[Any], target: NDArray[Any], scale: int, top: int = 0) -> None:
        """Writes the core of an enlarged ``outer`` to where it belongs in ``target``.

        ``target`` is what becomes of the picture from input row ``top`` on.
        """
        inner = tuple(
            slice((core.start - outer.start) * scale, (core.stop - outer.start) * scale)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        rows, columns = self.core
        rows = slice((rows.start - top) * scale, (rows.stop - top) * scale)
        target[rows, columns.start * scale : columns.stop * scale] = enlarged[inner]


def plan_tiles(height: int, width: int, tile: int, halo: int) -> Iterator[Tile]:
    """Tiles of about equal size, cores at most ``tile`` pixels each way, row by row."""
    for rows in _spans(height, tile):
        for columns in _spans(width, tile):
            outer = widen(rows, halo, height), widen(columns, halo, width)
            yield Tile((rows, columns), outer)


def _spans(length: int, tile: int) -> list[slice]:
    edges = np.linspace(0, length, -(-length // tile) + 1).round().astype(int).tolist()
    return list(starmap(slice, pairwise(edges)))


def widen(span: slice, halo: int, length: int) -> slice:
    """A span with ``halo`` more pixels at either end, as far as the side is long."""
    return slice(max(span.start - halo, 0), min(span.stop + halo, length))


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
