"""Bicubic resampling, MATLAB's kind: Keys' kernel with a = −0.5, aligned pixel edges.

``reduce`` reproduces MATLAB's antialiased ``imresize`` of 8-bit pictures bit for
bit (the one whose border clamps), which the field's benchmarks are made with.
``enlarge`` is the base that the networks add to, and carries the chroma.

Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981.
"""

import numpy as np
from numpy.typing import NDArray

TAPS = 5  # an enlarged pixel reads input pixels −2 … +2 around its own


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = −0.5; zero outside |x| < 2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def reduce(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) uint8 to 1/factor of the size, antialiased.

    H and W must be multiples of the factor. Height is reduced first, and both
    passes round half up to 8 bits, as MATLAB does.
    """
    if picture.shape[0] % factor or picture.shape[1] % factor:
        raise ValueError(f"{picture.shape[:2]} is not a multiple of {factor}")
    return _reduce_rows(_reduce_rows(picture, factor).swapaxes(0, 1), factor).swapaxes(0, 1)


def _reduce_rows(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    height = picture.shape[0]
    centre = (np.arange(height // factor) + 0.5) * factor - 0.5
    first = np.floor(centre - 2 * factor).astype(np.int64) + 1
    rows = first[:, None] + np.arange(4 * factor)
    weights = cubic((centre[:, None] - rows) / factor)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = rows.clip(0, height - 1)
    flat = picture.reshape(height, -1)
    total = np.zeros((len(centre), flat.shape[1]))
    for tap in range(4 * factor):
        total += weights[:, tap, None] * flat[rows[:, tap]]
    reduced = np.floor(total + 0.5).clip(0, 255).astype(np.uint8)
    return reduced.reshape(-1, *picture.shape[1:])


def phases(factor: int, shift: float = 0.0) -> NDArray[np.float32]:
    """(factor, 5): weights of input pixels −2 … +2 for each place within a pixel."""
    offset = (np.arange(factor) + 0.5) / factor - 0.5 + shift
    return cubic(offset[:, None] - np.arange(-2, 3)).astype(np.float32)


def enlarge(
    plane: NDArray[np.float32], factor: int, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """(H, W) float32 to (factor·H, factor·W), borders replicated, values not clipped.

    Every pixel is the same sum in the same order wherever it lies, so parts of a
    picture enlarge to the same bits as the whole. ``shift``, within ±0.5 input pixels
    down and right, is added to where the input is read.
    """
    down, right = shift
    return _enlarge_rows(_enlarge_rows(plane, factor, down).T, factor, right).T


def _enlarge_rows(plane: NDArray[np.float32], factor: int, shift: float) -> NDArray[np.float32]:
    height, width = plane.shape
    padded = np.pad(plane, ((2, 2), (0, 0)), mode="edge")
    result = np.empty((height, factor, width), np.float32)
    for phase, weights in enumerate(phases(factor, shift)):
        total = weights[0] * padded[:height]
        for tap in range(1, TAPS):
            total += weights[tap] * padded[tap : tap + height]
        result[:, phase] = total
    return result.reshape(height * factor, width)
