"""HEIC, what phones make: more than 8 bits, which Pillow has no images for."""

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import MediaError


def read_deep(file: IO[bytes]) -> NDArray[Any]:
    """(H, W), (H, W, 3) or (H, W, 4) uint16 of 10 or 12 bits, upright, white at 65535."""
    import pillow_heif

    file.seek(0)
    image = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint16:
        raise MediaError(f"HEIC of the mode {image.mode} is not understood")
    bits = int(image.info.get("bit_depth", 10))
    low = (pixels >> (16 - bits)).astype(np.uint32)  # as stored; the library shifts them up
    return np.ascontiguousarray((low * 65535 + (1 << bits - 1)) // ((1 << bits) - 1), np.uint16)
