"""Frames of a film, enlarged plane by plane.

Luma goes through the network, and chroma follows it, where chroma's samples lie: no
detour over R'G'B', and depth, range and subsampling stay what they are.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bnnup.backends.choose import follow
from bnnup.pixels.tiling import Tile, plan_tiles, widen
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.planes import Plane, PlaneFormat

Area = tuple[slice, slice]  # rows and columns
BLOCK = 64  # luma pixels each way: the grain in which changes are looked for


class FrameUpscaler:
    """Enlarges the frames of one film, one after the other.

    What depends on no pixel that changed since the frame before is taken from the
    result before, which is exact. ``pixels`` counts luma pixels that came in,
    ``reused`` those among them that did not have to be computed.
    """

    def __init__(self, upscaler: Upscaler, form: PlaneFormat) -> None:
        self.pixels = 0
        self.reused = 0
        self._upscaler = upscaler
        self._form = form
        self._before: list[tuple[Plane, Plane]] = []  # planes and what became of them
        self._alpha: FrameUpscaler | None = None
        if form.alpha:  # which is a picture in grey
            grey = PlaneFormat(form.bits, None, full_range=True)
            self._alpha = FrameUpscaler(upscaler, grey)

    def __call__(self, planes: list[Plane]) -> list[Plane]:
        """The planes of a frame, scale times as large each way, in the same format.

        Planes are shaped as ``PlaneFormat.shapes`` says. Codes beyond black and white
        are kept; rounding is half up, and what no code can hold is clipped. The result
        shares memory with later ones: it is not to be written to.
        """
        if self._alpha is not None:
            *planes, alpha = planes
        luma = self._luma(planes[0], self._before[0] if self._before else None)
        enlarged = [luma, *self._chroma(planes, luma)] if planes[1:] else [luma]
        self._before = list(zip(planes, enlarged, strict=True))
        return enlarged if self._alpha is None else [*enlarged, *self._alpha([alpha])]

    def _luma(self, plane: Plane, before: tuple[Plane, Plane] | None) -> Plane:
        scale = self._upscaler.scale
        if before is None:
            areas = [(slice(0, plane.shape[0]), slice(0, plane.shape[1]))]
            result = np.empty((scale * plane.shape[0], scale * plane.shape[1]), plane.dtype)
        else:
            areas = changed_areas(plane, before[0], self._upscaler.model.program.halo)
            result = before[1].copy() if areas else before[1]
        self.pixels += plane.size
        self.reused += plane.size - sum(_size(area) for area in areas)
        for area in areas:
            for tile in self._tiles(area, plane.shape):
                tile.place(self._enlarge(plane[tile.outer]), result, scale)
        return result

    def _tiles(self, area: Area, shape: tuple[int, ...]) -> Iterator[Tile]:
        """Tiles of an area of a plane, which look beyond the area, not beyond the plane."""
        rows, columns = (span.stop - span.start for span in area)
        halo = self._upscaler.model.program.halo
        scale = self._upscaler.scale
        side = self._upscaler.tile_side((scale * shape[0], scale * shape[1]), halo)
        for tile in plan_tiles(rows, columns, side, 0):
            down, right = (
                slice(area[axis].start + core.start, area[axis].start + core.stop)
                for axis, core in enumerate(tile.core)
            )
            yield Tile((down, right), (widen(down, halo, shape[0]), widen(right, halo, shape[1])))

    def _enlarge(self, codes: Plane) -> Plane:
        black, span = np.float32(self._form.black), np.float32(self._form.span)
        enlarged = self._upscaler.backend.run((codes.astype(np.float32) - black) / span)
        enlarged *= span
        enlarged += black
        return self._to_codes(enlarged)

    def _chroma(self, planes: list[Plane], enlarged: Plane) -> list[Plane]:
        """Cb and Cr of a frame whose luma has been enlarged."""
        before = self._before
        if before and enlarged is before[0][1]:
            pairs = zip(planes[1:], before[1:], strict=True)
            if all(np.array_equal(plane, last) for plane, (last, _) in pairs):
                return [result for _, result in before[1:]]
        form, scale = self._form, self._upscaler.scale
        y, cb, cr = form.at_chroma(planes[0]), *(p.astype(np.float32) for p in planes[1:])
        shape = form.shapes(*enlarged.shape)[1]
        luma = form.at_chroma(enlarged)
        missing = [(0, scale * small - large) for small, large in zip(y.shape, shape, strict=True)]
        led = follow(
            (y, cb, cr),
            np.pad(luma, missing, mode="edge") if any(map(any, missing)) else luma,
            damaged=self._upscaler.model.for_damaged,
            white=form.span,
            shift=form.shift(scale),
            threads=self._upscaler.backend.threads,
        )
        return [self._to_codes(plane[: shape[0], : shape[1]]) for plane in led]

    def _to_codes(self, values: NDArray[np.float32]) -> Plane:
        """Rounds half up and clips; uses up the values, since this happens for every pixel."""
        values += np.float32(0.5)
        values.clip(0, self._form.largest, out=values)
        codes: Plane = values.astype(self._form.dtype)  # which cuts off what follows the point
        return codes


def changed_areas(plane: Plane, before: Plane, halo: int) -> list[Area]:
    """Disjoint areas of a plane outside of which no pixel within ``halo`` changed.

    They are made of blocks. If working on them one by one looked at more pixels, halo
    included, than the whole plane has, the whole plane is the only area.
    """
    height, width = plane.shape
    changed = plane != before
    blocks = np.logical_or.reduceat(changed, range(0, height, BLOCK), axis=0)
    blocks = np.logical_or.reduceat(blocks, range(0, width, BLOCK), axis=1)
    reach = -(-halo // BLOCK)
    near = np.zeros_like(blocks)
    for row, column in np.argwhere(blocks):
        near[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = 1
    areas = [
        (
            slice(rows.start * BLOCK, min(rows.stop * BLOCK, height)),
            slice(columns.start * BLOCK, min(columns.stop * BLOCK, width)),
        )
        for rows, columns in rectangles(near)
    ]
    effort = sum(
        _size((widen(rows, halo, height), widen(columns, halo, width))) for rows, columns in areas
    )
    return areas if effort < plane.size else [(slice(0, height), slice(0, width))]


def rectangles(marks: NDArray[np.bool_]) -> Iterator[Area]:
    """Disjoint rectangles that cover what is marked: runs, joined with equal runs below."""
    open_runs: dict[tuple[int, int], int] = {}  # first and past-the-last column: first row
    for row, marked in enumerate([*marks, np.zeros(marks.shape[1], np.bool_)]):
        edges = np.flatnonzero(np.diff(marked, prepend=False, append=False)).tolist()
        runs = set(zip(edges[::2], edges[1::2], strict=True))
        for run in [run for run in open_runs if run not in runs]:
            yield slice(open_runs.pop(run), row), slice(*run)
        for run in runs:
            open_runs.setdefault(run, row)


def _size(area: Area) -> int:
    rows, columns = area
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
