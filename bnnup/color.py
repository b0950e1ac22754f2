"""R'G'B' and Y'CbCr: what the network sees and what bicubic carries.

BT.601, full range, in float: Y' is 0 for black and 1 for white, Cb and Cr are 0
for grey and within ±0.5. Element-wise in a fixed order, so that a pixel converts
to the same bits in every tile.
"""

import numpy as np
from numpy.typing import NDArray

KR, KG, KB = np.float32(0.299), np.float32(0.587), np.float32(0.114)
CB_SPAN, CR_SPAN = np.float32(2 * (1 - 0.114)), np.float32(2 * (1 - 0.299))


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
    red = y + CR_SPAN * cr
    green = y - CR_SPAN * KR / KG * cr - CB_SPAN * KB / KG * cb
    blue = y + CB_SPAN * cb
    return np.stack([red, green, blue], axis=-1)
