"""Pictures to files, strip by strip where the format allows it."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.errors import MediaError, reason
from bnnup.pictures.animation import Animation, write_animation
from bnnup.pictures.formats import (
    ALPHA_FORMATS,
    DEEP_COLOR_FORMATS,
    DEEP_FORMATS,
    NO_DENSITY,
    STREAMED,
    Encoding,
    format_of,
)
from bnnup.pictures.metadata import Info, for_size, with_density_in_exif
from bnnup.pictures.picture import Picture, from_pixels
from bnnup.system.files import writing

Strips = Iterable[NDArray[Any]]  # rows of pixels as in Picture, from top to bottom


def check_fits(picture: Picture, size: tuple[int, int], encoding: Encoding, name: str) -> None:
    """MediaError if the format cannot hold ``picture`` at (width, height), before any work.

    Encoders say no to depths, to alpha, to long sides, to metadata; strips as long
    as the sides learn of it for next to nothing. ``name`` stands in the message.
    """
    width, height = size
    channels = picture.pixels.shape[2:]
    _check_kind(channels, picture.pixels.dtype, encoding.format, name)
    for shape in (height, 1, *channels), (1, width, *channels):
        strip = np.zeros(shape, picture.pixels.dtype)
        try:
            encode([strip], shape, picture.info, encoding, BytesIO())
        except MediaError:
            raise
        except Exception as error:
            said = f"{encoding.format} cannot hold {width}×{height} pixels: {reason(error)}"
            raise MediaError(said) from error


def _check_kind(channels: tuple[int, ...], dtype: np.dtype[Any], format: str, name: str) -> None:
    instead = f"write {Path(name).stem}.png instead"
    if channels in ((2,), (4,)) and format not in ALPHA_FORMATS:
        raise MediaError(f"{format} cannot hold transparency; {instead}")
    if dtype == np.uint16 and format not in (DEEP_COLOR_FORMATS if channels else DEEP_FORMATS):
        raise MediaError(f"{format} cannot hold 16 bits; {instead}")


def write_picture(picture: Picture, path: Path, encoding: Encoding | None = None) -> None:
    """Writes a file in the format of its ending, whole or not at all."""
    encoding = encoding or Encoding(format_of(path))
    _check_kind(picture.pixels.shape[2:], picture.pixels.dtype, encoding.format, path.name)
    with writing(path) as file:
        encode([picture.pixels], picture.pixels.shape, picture.info, encoding, file)


def encode(
    strips: Strips, shape: tuple[int, ...], info: Info, encoding: Encoding, file: IO[bytes]
) -> None:
    """Writes strips that make up a picture of ``shape`` (H, W) or (H, W, 2 to 4).

    ``info`` is in Pillow's terms. Raises whatever Pillow, the disk or the strips raise.
    """
    info = for_size(info, shape[1], shape[0])
    if write := STREAMED.get(encoding.format):
        encoding.options()
        strips = iter(strips)
        first = next(strips)
        write(_with(first, strips), shape, first.dtype, info, file)
        return
    image = _assemble(strips, shape)
    if encoding.format == "GIF" and image.mode == "LA":  # of which its encoder drops the alpha
        image = image.convert("RGBA")
    if encoding.format in NO_DENSITY:
        info = with_density_in_exif(info)
    image.save(file, encoding.format, **encoding.options(), **info)


def encode_animation(
    strips: Strips,
    shape: tuple[int, ...],
    animation: Animation,
    info: Info,
    encoding: Encoding,
    file: IO[bytes],
) -> None:
    """Writes strips that make up frames of ``shape`` (H, W, 3 or 4), one after the other."""
    info = for_size(info, shape[1], shape[0])
    frames = _split(strips, shape)
    write_animation(frames, animation, encoding.format, encoding.options(), info, file)


def _split(strips: Strips, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Whole frames of strips, none of which belongs to two."""
    frame, top = np.empty(shape, np.uint8), 0
    for strip in strips:
        frame[top : top + len(strip)] = strip
        top += len(strip)
        if top == shape[0]:
            yield frame
            frame, top = np.empty(shape, np.uint8), 0


def _with(first: NDArray[Any], rest: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    yield first
    yield from rest


def _assemble(strips: Strips, shape: tuple[int, ...]) -> Image.Image:
    """A PIL image of strips, which are not needed any more once they are in it."""
    image, top = None, 0
    for strip in strips:
        part = from_pixels(strip)
        if image is None:
            if part.size == (shape[1], shape[0]):
                return part
            image = Image.new(part.mode, (shape[1], shape[0]))
        image.paste(part, (0, top))
        top += len(strip)
    assert image is not None
    return image
