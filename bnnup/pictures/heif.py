"""HEIC, what phones make: in 8 and 10 bits, of which Pillow has no images for the latter."""

from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import MediaError
from bnnup.pictures.metadata import Info

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by number of channels
BITS = 10  # that are written of 16
WHITE = 65535


def read_deep(file: IO[bytes]) -> NDArray[Any]:
    """(H, W) or (H, W, 2 to 4) uint16 of 10 or 12 bits, upright, white at 65535."""
    import pillow_heif

    file.seek(0)
    image = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint16:
        raise MediaError(f"HEIC of mode {image.mode} is not understood")
    bits = int(image.info.get("bit_depth", BITS))
    stored = (pixels >> (16 - bits)).astype(np.uint32)  # the library shifts them up
    return np.ascontiguousarray((stored * WHITE + (1 << bits - 1)) // ((1 << bits) - 1), np.uint16)


def write_heif(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
    **options: Any,
) -> None:
    """Writes uint8 strips in 8 bits, and uint16 ones in 10."""
    import pillow_heif

    pixels = np.concatenate(list(strips))
    mode = MODES[shape[2] if len(shape) == 3 else 1]
    if dtype == np.uint16:
        mode += ";16"
        for row in pixels:  # the library cuts off what is below 10 bits
            most = (1 << BITS) - 1
            row[...] = (row.astype(np.uint32) * most + WHITE // 2) // WHITE << (16 - BITS)
    image = pillow_heif.from_bytes(mode, (shape[1], shape[0]), pixels.tobytes())
    if "icc_profile" in info:
        image.info["icc_profile"] = info["icc_profile"]
    points = dict(info.get("color", ())).get(b"cICP")
    if points is not None:
        options |= {"color_primaries": points[0], "transfer_characteristics": points[1]}
    for name in "exif", "xmp":
        options[name] = info.get(name)
    image.save(file, **options)
