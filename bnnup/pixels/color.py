"""R'G'B' and Y'CbCr: what the network sees and what bicubic carries.

BT.601, full range, in float: Y' is 0 for black and 1 for white, Cb and Cr are 0
for grey and within ±0.5. Element-wise in a fixed order, so that a pixel converts
to the same bits in every tile.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", np.uint8, np.uint16, np.float32)

KR, KG, KB = np.float32(0.299), np.float32(0.587), np.float32(0.114)
CB_SPAN, CR_SPAN = np.float32(2 * (1 - 0.114)), np.float32(2 * (1 - 0.299))
# Shares of Cr in red and green, of Cb in green and blue.
MERGING = np.array([CR_SPAN, CR_SPAN * KR / KG, CB_SPAN * KB / KG, CB_SPAN], np.float32)

WHITES = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


def luma(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) R'G'B' in [0, 1] to (H, W) Y' in [0, 1]."""
    red, green, blue = (rgb[..., i] for i in range(3))
    # Differences first: of a grey pixel they vanish, and its luma is its value to the bit.
    y: NDArray[np.float32] = green + KR * (red - green) + KB * (blue - green)
    return y


def split(
    rgb: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(H, W, 3) R'G'B' to Y', Cb and Cr, each (H, W)."""
    y = luma(rgb)
    return y, (rgb[..., 2] - y) / CB_SPAN, (rgb[..., 0] - y) / CR_SPAN


def merge(
    y: NDArray[np.float32], cb: NDArray[np.float32], cr: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Y', Cb and Cr, each (H, W), to (H, W, 3) R'G'B', not clipped."""
    cr_red, cr_green, cb_green, cb_blue = MERGING
    red = y + cr_red * cr
    green = y - cr_green * cr - cb_green * cb
    blue = y + cb_blue * cb
    return np.stack([red, green, blue], axis=-1)


def quantize(pixels: NDArray[np.float32], dtype: np.dtype[Sample]) -> NDArray[Sample]:
    """Float in about [0, 1] to the dtype's range, clipped, integers rounded half up; in place."""
    # Not ``clip``, which lets NaN through: what it becomes as an integer depends on the CPU.
    pixels = np.fmin(np.fmax(pixels, 0, out=pixels), 1, out=pixels)
    if dtype != np.float32:
        pixels *= np.float32(WHITES[dtype])
        pixels += np.float32(0.5)  # which the conversion to integers cuts off
    quantized: NDArray[Sample] = pixels.astype(dtype, copy=False)
    return quantized
