"""Chroma that follows luma, so that the edges of colours are as sharp as those of luma.

Where the chroma of a few neighbouring pixels is nearly a line over their luma, the two have
their edges in common, and what a network adds to bicubic luma is, times the slope of that
line, what bicubic chroma lacks. How nearly is told by the share of chroma's variance that
the line explains: noise, flat areas and colours of their own stay as bicubic has them, grey
stays grey. Local lines are those of the guided filter (He, Sun and Tang, "Guided image
filtering", IEEE TPAMI 2013).

Chroma that was compressed is often halved as well, and blurred where luma is not. In
damaged pictures each pixel's chroma is therefore moved towards its line, first, by that share.
"""

import numpy as np
from numpy.typing import NDArray

from bnnup.pixels import bicubic

Plane = NDArray[np.float32]  # (H, W): Y' in [0, 1], or Cb or Cr in ±0.5

SHARP = np.array([1, 2, 1], np.float32) / np.float32(4)
DAMAGED = np.array([1, 2, 3, 2, 1], np.float32) / np.float32(9)
REACH = len(DAMAGED) // 2  # input pixels each way that a line looks at, at most
# Variances below which luma and chroma are noise and rounding: of 2.5 and 0.8 levels of 255.
FLOORS = np.array([1e-4, 1e-5], np.float32)


def window(damaged: bool) -> NDArray[np.float32]:
    """Weights of the pixels that a line is laid through, the same down and across."""
    return DAMAGED if damaged else SHARP


def floors(white: float) -> NDArray[np.float32]:
    """``FLOORS`` of values whose luma spans ``white`` from black to white."""
    return FLOORS * np.float32(white * white)


def follow(
    chroma: Plane,
    luma: Plane,
    enlarged: Plane,
    factor: int,
    *,
    damaged: bool,
    white: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Plane:
    """Chroma, ``factor`` times as large, led by what ``luma`` became, ``enlarged``.

    ``chroma`` and ``luma`` are (H, W), ``enlarged`` and the result (factor·H, factor·W).
    Borders are replicated; every pixel is the same sum in the same order wherever it lies.
    ``white`` is what luma spans from black to white, ``shift`` that of ``bicubic.enlarge``.
    """
    slope, chroma = lines(chroma, luma, damaged=damaged, white=white)
    gained = enlarged - bicubic.enlarge(luma, factor, shift)
    spread = slope.repeat(factor, axis=0).repeat(factor, axis=1)
    result: Plane = bicubic.enlarge(chroma, factor, shift) + spread * gained
    return result


def lines(chroma: Plane, luma: Plane, *, damaged: bool, white: float = 1.0) -> tuple[Plane, Plane]:
    """Slope of chroma over luma around each pixel, weakened by what the line leaves
    unexplained; and the chroma, moved towards the line if ``damaged``."""
    weights = window(damaged)
    noise, rounding = floors(white)
    mean_y, mean_c = _mean(luma, weights), _mean(chroma, weights)
    both = _mean(luma * chroma, weights) - mean_y * mean_c
    slope = both / (_mean(luma * luma, weights) - mean_y * mean_y + noise)
    share = slope * both / (_mean(chroma * chroma, weights) - mean_c * mean_c + rounding)
    if damaged:
        chroma = chroma + share * (mean_c + slope * (luma - mean_y) - chroma)
    return slope * share, chroma


def _mean(plane: Plane, weights: NDArray[np.float32]) -> Plane:
    return _mean_of_rows(_mean_of_rows(plane, weights).T, weights).T


def _mean_of_rows(plane: Plane, weights: NDArray[np.float32]) -> Plane:
    reach = len(weights) // 2
    padded = np.pad(plane, ((reach, reach), (0, 0)), mode="edge")
    total: Plane = weights[0] * padded[: len(plane)]
    for tap in range(1, len(weights)):
        total += weights[tap] * padded[tap : tap + len(plane)]
    return total
