"""Chroma that follows luma: sharper where both have their edges in common, itself elsewhere."""

import numpy as np
import pytest

from bnnup.pixels import bicubic, chroma
from bnnup.pixels.bicubic import cubic

Plane = np.ndarray
SIDE = 48


def halve(plane: Plane) -> Plane:
    """Antialiased bicubic to half the size, in float."""
    taps = np.arange(8)
    weights = cubic((taps - 3.5) / 2)
    weights /= weights.sum()

    def rows(p: Plane) -> Plane:
        padded = np.pad(p, ((3, 3), (0, 0)), mode="edge")
        return np.asarray(sum(weights[t] * padded[t : t + len(p) : 2] for t in taps))

    return np.asarray(rows(rows(plane).T).T, np.float32)


def discs(seed: int = 0) -> Plane:
    """Sharp circles and lines, 0 and 1."""
    y, x = np.mgrid[: 2 * SIDE, : 2 * SIDE]
    centres = np.random.default_rng(seed).uniform(0, 2 * SIDE, (6, 2))
    inside = sum(np.hypot(y - a, x - b) < 9 for a, b in centres) % 2
    return np.asarray(np.maximum(inside, (x + y) % 31 < 2), np.float32)


def error(result: Plane, original: Plane) -> float:
    return float(np.sqrt(np.mean((result - original)[4:-4, 4:-4] ** 2)))


@pytest.mark.parametrize("damaged", [False, True])
def test_lines_are_weighted_least_squares(damaged: bool) -> None:
    """Against numpy's solver in double precision, where there is variance enough."""
    rng = np.random.default_rng(1)
    luma = rng.uniform(0, 1, (12, 14)).astype(np.float32)
    blue = (0.3 * luma + rng.normal(0, 0.03, luma.shape)).astype(np.float32)
    slopes, moved = chroma.lines(blue, luma, damaged=damaged)
    one_way = [1, 2, 3, 2, 1] if damaged else [1, 2, 1]
    weights = np.outer(one_way, one_way).ravel() / sum(one_way) ** 2
    reach = len(one_way) // 2
    for y, x in ((3, 4), (6, 9), (8, 3)):
        window = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
        a, b = (plane[window].astype(np.float64).ravel() for plane in (luma, blue))
        slope, start = np.polyfit(a, b, 1, w=np.sqrt(weights))
        left = np.sum(weights * (b - slope * a - start) ** 2)
        share = 1 - left / np.sum(weights * (b - np.sum(weights * b)) ** 2)
        assert slopes[y, x] == pytest.approx(slope * share, rel=0.03)
        on_line = start + slope * luma[y, x]
        expected = blue[y, x] + share * (on_line - blue[y, x]) if damaged else blue[y, x]
        assert moved[y, x] == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("slope", [0.4, -0.3])
def test_an_edge_in_both_is_as_sharp_in_chroma_as_in_luma(slope: float, damaged: bool) -> None:
    original = discs()
    luma = np.float32(0.2) + np.float32(0.6) * original
    blue = slope * original - 0.1
    small = halve(luma), halve(blue)
    by_bicubic = error(bicubic.enlarge(small[1], 2), blue)
    led = chroma.follow(small[1], small[0], luma, 2, damaged=damaged)
    assert error(led, blue) < 0.35 * by_bicubic


def test_halved_chroma_is_mended_in_damaged_pictures() -> None:
    """As JPEG's 4:2:0 leaves it: half the resolution of the small picture."""
    original = discs()
    luma = np.float32(0.2) + np.float32(0.6) * original
    red = 0.4 * original - 0.2
    small = halve(luma), halve(red)
    blurred = bicubic.enlarge(halve(small[1]), 2)
    errors = [
        error(chroma.follow(blurred, small[0], luma, 2, damaged=damaged), red)
        for damaged in (False, True)
    ]
    by_bicubic = error(bicubic.enlarge(blurred, 2), red)
    assert errors[1] < 0.8 * by_bicubic
    assert errors[1] < errors[0] < by_bicubic


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_grey_stays_grey_and_flat_stays_flat(factor: int, damaged: bool) -> None:
    luma = halve(discs())
    enlarged = np.kron(luma, np.ones((factor, factor), np.float32))
    grey = np.zeros_like(luma)
    assert (chroma.follow(grey, luma, enlarged, factor, damaged=damaged) == 0).all()
    flat = np.full_like(luma, 0.3)
    led = chroma.follow(flat, luma, enlarged, factor, damaged=damaged)
    np.testing.assert_allclose(led, 0.3, atol=1e-3 / 4)  # a 16th of a level of 8 bits


def test_noise_of_luma_colours_nothing() -> None:
    """Chroma has noise of its own; what a network makes of luma's noise stays out of it."""
    rng = np.random.default_rng(2)
    luma = (0.5 + rng.normal(0, 0.01, (SIDE, SIDE))).astype(np.float32)
    blue = rng.normal(0, 0.01, (SIDE, SIDE)).astype(np.float32)
    enlarged = bicubic.enlarge(luma, 2)
    smooth = np.full_like(enlarged, 0.5)
    led = chroma.follow(blue, luma, smooth, 2, damaged=False)
    assert error(led, bicubic.enlarge(blue, 2)) < 0.2 * 0.01


def test_colours_of_their_own_stay_theirs() -> None:
    """An edge that luma does not have stays as bicubic has it."""
    luma, blue = halve(discs(3)), halve(0.3 * discs(4))
    enlarged = discs(3)
    of_its_own = bicubic.enlarge(blue, 2)
    led = chroma.follow(blue, luma, enlarged, 2, damaged=False)
    original = 0.3 * discs(4)
    assert error(led, original) < 1.1 * error(of_its_own, original)
