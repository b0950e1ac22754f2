"""Tiles: every pixel exactly once, and nothing beyond the picture."""

import numpy as np
import pytest

from bnnup.pixels.tiling import plan_tiles

SIZES = [(1, 1), (1, 40), (40, 1), (13, 17), (15, 16), (17, 33), (64, 48)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("tile", [1, 7, 16, 1000])
@pytest.mark.parametrize("halo", [0, 3, 50])
def test_every_pixel_is_in_exactly_one_core(size: tuple[int, int], tile: int, halo: int) -> None:
    times = np.zeros(size, int)
    for part in plan_tiles(*size, tile, halo):
        times[part.core] += 1
        for core, outer, length in zip(part.core, part.outer, size, strict=True):
            assert 0 < core.stop - core.start <= tile
            assert outer.start == max(core.start - halo, 0)
            assert outer.stop == min(core.stop + halo, length)
    assert (times == 1).all()


@pytest.mark.parametrize("tile", range(1, 20))
def test_tiles_are_few_and_about_equal(tile: int) -> None:
    """No thin remainders, which would cost a whole halo for a few pixels."""
    for length in range(1, 200):
        widths = [p.core[1].stop - p.core[1].start for p in plan_tiles(1, length, tile, 0)]
        assert sum(widths) == length
        assert len(widths) == -(-length // tile)
        assert max(widths) - min(widths) <= 1


def test_tiles_come_row_by_row() -> None:
    corners = [(p.core[0].start, p.core[1].start) for p in plan_tiles(50, 70, 16, 4)]
    assert corners == sorted(corners)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_stitched_cores_are_the_enlarged_picture(scale: int) -> None:
    picture = np.arange(23 * 31).reshape(23, 31)

    def enlarge(part: np.ndarray) -> np.ndarray:
        return part.repeat(scale, 0).repeat(scale, 1)

    result = np.full((23 * scale, 31 * scale), -1)
    for part in plan_tiles(23, 31, 8, 3):
        part.place(enlarge(picture[part.outer]), result, scale)
    np.testing.assert_array_equal(result, enlarge(picture))
