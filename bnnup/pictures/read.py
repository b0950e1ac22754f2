"""Picture files and PIL images to arrays."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bnnup.errors import MediaError, reason
from bnnup.pictures.animation import read_animation
from bnnup.pictures.metadata import kept_info, orientation
from bnnup.pictures.picture import Picture
from bnnup.pictures.sixteen_bit import is_deep, read_deep, stand_in

MIRRORED = ((0, 0), (0, 1), (1, 1), (1, 0))  # rows and columns, for orientations 1 … 4 and 5 … 8


def limit_megapixels(megapixels: float) -> None:
    """Pictures that state a larger size are refused from now on, as Pillow does for 179.

    A few kilobytes can unpack to gigabytes, so there has to be a limit.
    """
    Image.MAX_IMAGE_PIXELS = math.floor(megapixels * 1e6 / 2)  # Pillow's error starts at twice it


def read_picture(path: Path) -> Picture:
    """Reads a file and turns it upright; MediaError when it is no sound picture."""
    try:
        with path.open("rb") as file:
            return decode(file, str(path))
    except OSError as error:
        raise MediaError(f"cannot read {path}: {reason(error)}") from error


def decode(file: IO[bytes], name: str) -> Picture:
    """The picture in an open file that can seek, upright; ``name`` stands in MediaErrors."""
    with _explaining(name), _opened(file) as image:
        return _load(image, file)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: upright size in pixels, format, bits of a sample."""

    width: int
    height: int
    format: str
    bits: int


def peek(file: IO[bytes], name: str) -> Header:
    """The header of an open file, and nothing else of it; ``name`` stands in MediaErrors."""
    with _explaining(name), _opened(file) as image:
        width, height = image.size
        # Pillow turns the size of a TIFF itself; PNG with EXIF at its end would have to be decoded.
        turned = image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info)
        if not turned and orientation(image) >= 5:
            width, height = height, width
        header = Header(width, height, image.format or "", 16 if is_deep(image) else 8)
    file.seek(0)
    return header


def _opened(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        image = stand_in(file)
        if image is None:
            raise
        return image


@contextmanager
def _explaining(name: str) -> Iterator[None]:
    """Whatever goes wrong with the file ``name`` in the block, as a MediaError."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{name} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        size = str(error).partition("(")[2].partition(" ")[0]
        megapixels = f" ({int(size) / 1e6:.0f} megapixels)" if size.isdigit() else ""
        raise MediaError(
            f"{name} is too large{megapixels}; if it is what it says, raise --max-megapixels"
        ) from error
    except MemoryError as error:
        raise MediaError(f"{name} does not fit into memory") from error
    except Exception as error:  # decoders raise whatever broken data leads them to
        raise MediaError(f"cannot read {name}: {reason(error)}") from error


def _load(image: Image.Image, file: IO[bytes]) -> Picture:
    format_name = image.format or ""
    if animation := read_animation(image, file):
        info = kept_info(image)
        return Picture(next(animation.frames()), info, format_name, animation=animation)
    pages = getattr(image, "n_frames", 1)
    notes = (f"only the first of {pages} pictures in the file",) if pages > 1 else ()
    pixels = read_deep(file, format_name) if is_deep(image) else None
    if pixels is None:
        image.load()  # which turns TIFF upright, and no other format
        picture = Picture.of(image, notes)
    else:
        picture = Picture(pixels, kept_info(image), notes=notes)
    upright = turn_upright(picture.pixels, orientation(image))
    return Picture(upright, picture.info, format_name, picture.notes)


def turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undoes an EXIF orientation: 1 is upright, from 5 on rows and columns change places."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = MIRRORED[(orientation - 1) % 4]
    return np.ascontiguousarray(pixels[:: 1 - 2 * rows, :: 1 - 2 * columns])
