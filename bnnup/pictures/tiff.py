"""TIFF, written strip by strip: 8 and 16 bit, pictures of any size in little memory.

Adobe, "TIFF Revision 6.0", with its supplements on Deflate (2002); files that might
pass 4 GiB are BigTIFF.
"""

import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from bnnup.pictures.metadata import Info, directories
from bnnup.pixels.tiling import regroup

CLASSIC, BIG = b"II*\0" + bytes(4), b"II+\0\x08\0\0\0" + bytes(8)  # headers
CLASSIC_END = (1 << 32) - (1 << 28)  # bytes of pixels; what cannot be compressed grows a little
PLACES, SIZES = 273, 279  # the strips', in bytes
CONTIGUOUS = 1  # the channels of a pixel lie side by side
DEFLATE, HORIZONTAL = 8, 2  # compression and predictor
GREY, RGB = 1, 2  # photometric interpretations
NOT_ASSOCIATED = 2  # alpha that the colour is not multiplied by
INCH = 2
BYTE, LONG, UNDEFINED, LONG8 = 1, 4, 7, 16  # types of tags
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
    directory = _directory(shape, dtype, info)
    count = -(-shape[0] // ROWS)
    directory[PLACES] = directory[SIZES] = (0,) * count
    directory.save(file)
    places, sizes, place = [], [], 0
    for strip in regroup(strips, ROWS):
        places.append(place)
        sizes.append(file.write(zlib.compress(_predict(strip))))
        place += sizes[-1]
    # Pillow counts places from the end of the directory.
    directory[PLACES], directory[SIZES] = tuple(places), tuple(sizes)
    file.seek(0)
    directory.save(file)


def _predict(strip: NDArray[Any]) -> bytes:
    """Differences from the pixel to the left, which compress better."""
    little_endian = strip.astype(strip.dtype.newbyteorder("<"))
    little_endian[:, 1:] -= strip[:, :-1]
    return little_endian.tobytes()


def _directory(shape: tuple[int, ...], dtype: np.dtype[Any], info: Info) -> ImageFileDirectory_v2:
    height, width = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    bits = dtype.itemsize * 8
    big = height * width * channels * dtype.itemsize >= CLASSIC_END
    directory = ImageFileDirectory_v2(BIG if big else CLASSIC)
    if "exif" in info:
        exif = Image.Exif()
        exif.load(info["exif"])
        directory.update(exif)
        directory.update(directories(exif))
    directory.update({256: width, 257: height, 258: (bits,) * channels, 259: DEFLATE})
    directory.update({262: RGB if channels > 2 else GREY, 277: channels, 278: ROWS})
    directory.update({284: CONTIGUOUS, 317: HORIZONTAL})
    if channels in (2, 4):
        directory[338] = NOT_ASSOCIATED
    if "dpi" in info:
        directory.update({282: info["dpi"][0], 283: info["dpi"][1], 296: INCH})
    for tag, name, kind in ((700, "xmp", BYTE), (34675, "icc_profile", UNDEFINED)):
        if name in info:
            directory.tagtype[tag] = kind
            directory[tag] = info[name]
    for tag in (PLACES, SIZES):
        directory.tagtype[tag] = LONG8 if big else LONG
    return directory
