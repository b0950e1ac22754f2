"""TIFF, written strip by strip: 8 and 16 bit, pictures of any size in little memory.

Adobe, "TIFF Revision 6.0", with its supplements on Deflate (2002); files that might
pass 4 GiB are BigTIFF. The byte order is that of the metadata, of which some, like a
camera's notes, cannot be turned round.
"""

import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures import ifd
from bnnup.pictures.exif import Exif
from bnnup.pictures.ifd import BYTE, LONG, LONG8, SHORT, UNDEFINED, Directory, Order, TagValue
from bnnup.pictures.metadata import ICC_TAG, IPTC_TAG, XMP_TAG, Info
from bnnup.pixels.tiling import regroup

CLASSIC_END = (1 << 32) - (1 << 28)  # bytes of pixels; what cannot be compressed grows a little
PLACES, SIZES = 273, 279  # the strips', in bytes
CONTIGUOUS = 1  # the channels of a pixel lie side by side
DEFLATE, HORIZONTAL = 8, 2  # compression and predictor
GREY, RGB = 1, 2  # photometric interpretations
NOT_ASSOCIATED = 2  # alpha that the colour is not multiplied by
ROWS = 64  # a strip


def write_tiff(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes uint8 or uint16 strips that make up a picture of ``shape`` from top to bottom.

    ``file`` is empty and can seek: the directory is written before the strips to keep
    its place, and once more when their sizes are known.
    """
    exif, big = Exif.of(info.get("exif")), int(np.prod(shape)) * dtype.itemsize >= CLASSIC_END
    if big:
        exif = exif.in_order("<")  # Pillow knows no others
    order = exif.order
    directory = {**exif.main, **_directory(shape, dtype, info, order)}
    count = -(-shape[0] // ROWS)

    def head(places: list[int], sizes: list[int]) -> bytes:
        kind, head = LONG8 if big else LONG, ifd.head(order, big=big)
        directory[PLACES] = ifd.numbers(kind, order, *places)
        directory[SIZES] = ifd.numbers(kind, order, *sizes)
        return head + ifd.serialized(directory, order, len(head), big=big)

    place = file.write(head([0] * count, [0] * count))
    places, sizes = [], []
    for strip in regroup(strips, ROWS):
        places.append(place)
        sizes.append(file.write(zlib.compress(_predict(strip, order))))
        place += sizes[-1]
    file.seek(0)
    file.write(head(places, sizes))


def _predict(strip: NDArray[Any], order: Order) -> bytes:
    """Differences from the pixel to the left, which compress better."""
    ordered = strip.astype(strip.dtype.newbyteorder(order))
    ordered[:, 1:] -= strip[:, :-1]
    return ordered.tobytes()


def _directory(shape: tuple[int, ...], dtype: np.dtype[Any], info: Info, order: Order) -> Directory:
    height, width = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    lengths = {256: width, 257: height}
    words = {259: DEFLATE, 262: RGB if channels > 2 else GREY, 277: channels, 278: ROWS}
    words |= {284: CONTIGUOUS, 317: HORIZONTAL}
    if channels in (2, 4):
        words[338] = NOT_ASSOCIATED
    directory: Directory = {tag: ifd.numbers(LONG, order, value) for tag, value in lengths.items()}
    directory |= {tag: ifd.numbers(SHORT, order, value) for tag, value in words.items()}
    directory[258] = ifd.numbers(SHORT, order, *(dtype.itemsize * 8,) * channels)
    if "dpi" in info:
        directory |= Exif(order, {}).with_density(info["dpi"]).main
    for tag, name, kind in (
        (XMP_TAG, "xmp", BYTE),
        (ICC_TAG, "icc_profile", UNDEFINED),
        (IPTC_TAG, "iptc", UNDEFINED),
    ):
        if name in info:
            directory[tag] = TagValue(kind, info[name])
    return directory
