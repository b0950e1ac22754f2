"""Signs to bits and back.

The convention, the same in files and in the engine: bit 1 means −1, bit 0 means
+1 and ``sign(0) = +1``; bits run along channels, lowest bit first; the bits past
the last channel are 0. The dot product of two rows of K signs is then
``K − 2·popcount(a xor b)``.
"""

import numpy as np
from numpy.typing import NDArray


def pack_signs(x: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(…, C) real to (…, ceil(C / 8)) bytes of signs."""
    return np.packbits(x < 0, axis=-1, bitorder="little")


def unpack_signs(bits: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    """(…, ceil(C / 8)) bytes to (…, C) of ±1."""
    negative = np.unpackbits(bits, axis=-1, count=channels, bitorder="little")
    return 1 - 2 * negative.astype(np.float32)


def pack_weight(weight: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Real convolution weights (O, I, k, k) to their signs (O, k, k, ceil(I / 8))."""
    return pack_signs(np.moveaxis(weight, 1, -1))


def unpack_weight(packed: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    """Packed signs (O, k, k, ceil(I / 8)) to ±1 of shape (O, I, k, k)."""
    return np.moveaxis(unpack_signs(packed, channels), -1, 1)
