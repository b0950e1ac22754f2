"""PSNR and SSIM as the super-resolution literature computes them.

Both look at studio-range BT.601 luma of 8-bit pictures, with ``scale`` pixels
shaved from each border.
"""

import numpy as np
from numpy.typing import NDArray

SSIM_WINDOW = 11  # pixels
SSIM_SIGMA = 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def studio_luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W, 3) uint8 to (H, W) luma in 16 … 235; grey (H, W) keeps its values."""
    pixels = picture.astype(np.float64)
    if pixels.ndim == 2:
        return pixels
    luma: NDArray[np.float64] = 16 + (pixels @ np.array([65.481, 128.553, 24.966])) / 255
    return luma


def score(
    result: NDArray[np.uint8], original: NDArray[np.uint8], scale: int
) -> tuple[float, float]:
    """PSNR in dB and SSIM of an enlarged picture against the original of the same shape.

    Equal pictures have infinity and 1. The original's luma is rounded to 8 bits, as MATLAB's
    rgb2ycbcr hands it over; of the ways to round, only this one lands on the published
    bicubic scores.
    """
    if np.array_equal(result, original):
        return float("inf"), 1.0
    a = shave(studio_luma(result), scale)
    b = shave(np.rint(studio_luma(original)), scale)
    return psnr(a, b), ssim(a, b)


def shave(plane: NDArray[np.float64], border: int) -> NDArray[np.float64]:
    """The plane without ``border`` pixels on each side."""
    height, width = plane.shape
    return plane[border : height - border, border : width - border]


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; inf when equal."""
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean structural similarity (Wang et al., IEEE TIP 2004), peak 255.

    11×11 Gaussian window, σ = 1.5, only where it lies wholly inside the picture.
    """
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    bottom = (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
    return float(np.mean(top / bottom))


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    offset = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-(offset**2) / (2 * SSIM_SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        views = np.lib.stride_tricks.sliding_window_view(plane, SSIM_WINDOW, axis)
        plane = views @ window
    return plane
