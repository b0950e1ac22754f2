"""Bicubic resampling against MATLAB's own output and against the definition."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnup.pixels import bicubic


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("folder", "count"), [("Set5", 5), ("Set14", 14)])
def test_reduce_reproduces_matlab_bit_for_bit(
    data: Path, folder: str, count: int, scale: int
) -> None:
    originals = sorted((data / "bench" / folder / "HR").glob("*.png"))
    assert len(originals) == count
    for path in originals:
        original = pixels(path)
        height, width = (length - length % scale for length in original.shape[:2])
        matlab = pixels(data / "bench" / folder / f"LRx{scale}" / path.name)
        np.testing.assert_array_equal(bicubic.reduce(original[:height, :width], scale), matlab)


def test_reduce_refuses_sizes_that_are_no_multiple() -> None:
    with pytest.raises(ValueError, match="not a multiple of 3"):
        bicubic.reduce(np.zeros((9, 10), np.uint8), 3)


def keys(x: float) -> float:
    """Keys' kernel, a = −0.5, as printed in the paper."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def enlarge_by_definition(plane: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel as the double sum over its sixteen neighbours, clamped at the border."""
    height, width = plane.shape
    result = np.zeros((height * factor, width * factor))
    for i in range(height * factor):
        for j in range(width * factor):
            y, x = (i + 0.5) / factor - 0.5, (j + 0.5) / factor - 0.5
            for r in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
                for c in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
                    value = plane[min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
                    result[i, j] += keys(y - r) * keys(x - c) * value
    return result


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (7, 5)], ids=str)
def test_enlarge_follows_the_definition(shape: tuple[int, int], factor: int) -> None:
    plane = np.random.default_rng(0).random(shape).astype(np.float32)
    np.testing.assert_allclose(
        bicubic.enlarge(plane, factor), enlarge_by_definition(plane, factor), atol=1e-6
    )


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_a_part_gives_the_same_bits(factor: int) -> None:
    plane = np.random.default_rng(1).random((40, 37)).astype(np.float32)
    part = bicubic.enlarge(plane[8:31, 5:30], factor)
    inner = slice(2 * factor, -2 * factor)
    whole = bicubic.enlarge(plane, factor)[8 * factor : 31 * factor, 5 * factor : 30 * factor]
    np.testing.assert_array_equal(part[inner, inner], whole[inner, inner])
