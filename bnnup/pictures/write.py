"""Pictures to files, strip by strip where the format allows it."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.errors import MediaError, reason
from bnnup.pictures import photoshop
from bnnup.pictures.animation import Animation
from bnnup.pictures.fit import check_kind, fit
from bnnup.pictures.formats import Encoding, Format, format_of
from bnnup.pictures.metadata import Info, for_size, with_density_in_exif
from bnnup.pictures.picture import Picture, from_pixels
from bnnup.system.files import writing

Strips = Iterable[NDArray[Any]]  # rows of pixels as in Picture, from top to bottom
PILLOWS = ("icc_profile", "exif", "xmp", "dpi", "comment")  # what its encoders call as Info does


def check_fits(picture: Picture, size: tuple[int, int], encoding: Encoding, name: str) -> None:
    """MediaError if the format cannot hold ``picture`` at (width, height), before any work.

    Encoders say no to depths, to alpha, to long sides, to metadata; strips as long
    as the sides learn of it for next to nothing. ``name`` stands in the message.
    """
    width, height = size
    channels = picture.pixels.shape[2:]
    check_kind(picture.pixels, encoding.kind, name)
    longest = encoding.kind.longest
    if longest is not None and max(size) > longest:
        raise MediaError(
            f"{encoding.format} cannot hold {width}×{height} pixels: "
            f"its sides have at most {longest}"
        )
    for shape in (height, 1, *channels), (1, width, *channels):
        strip = np.zeros(shape, picture.pixels.dtype)
        try:
            encode([strip], shape, picture.info, encoding, BytesIO())
        except MediaError:
            raise
        except Exception as error:
            said = f"{encoding.format} cannot hold {width}×{height} pixels: {reason(error)}"
            raise MediaError(said) from error


def write_picture(picture: Picture, path: Path, encoding: Encoding | None = None) -> None:
    """Writes a file in the format of its ending, whole or not at all."""
    encoding = encoding or Encoding(format_of(path))
    picture = fit(picture, encoding, path.name)
    with writing(path) as file:
        encode([picture.pixels], picture.pixels.shape, picture.info, encoding, file)


def encode(
    strips: Strips, shape: tuple[int, ...], info: Info, encoding: Encoding, file: IO[bytes]
) -> None:
    """Writes strips that make up a picture of ``shape`` (H, W) or (H, W, 2 to 4).

    Raises whatever Pillow, the disk or the strips raise.
    """
    kind, options = encoding.kind, encoding.options()
    info = _placed(info, shape, kind)
    if kind.writer is not None:
        strips = iter(strips)
        first = next(strips)
        kind.writer(_with(first, strips), shape, first.dtype, info, file, **options)
        return
    image = _assemble(strips, shape)
    if image.mode in kind.as_color:
        image = image.convert("RGBA" if image.mode == "LA" else "RGB")
    if kind.name == "ICO":  # whose encoder would make what sizes it likes
        options["sizes"] = [image.size]
    image.save(file, kind.pillow or kind.name, **options, **_for_pillow(info))


def encode_animation(
    strips: Strips,
    shape: tuple[int, ...],
    animation: Animation,
    info: Info,
    encoding: Encoding,
    file: IO[bytes],
) -> None:
    """Writes strips that make up frames of ``shape`` (H, W, …), one after the other."""
    kind, options = encoding.kind, encoding.options()
    assert kind.animation is not None
    info = _placed(info, shape, kind)
    if kind.writer is None and kind.name != "GIF":
        info, options["format"] = _for_pillow(info), kind.name
    frames = _split(strips, shape)
    kind.animation(frames, animation.durations, animation.loop, info, file, **options)


def _placed(info: Info, shape: tuple[int, ...], kind: Format) -> Info:
    """What holds for the result, and the density where the format has a place for it."""
    info = for_size(info, shape[1], shape[0])
    if "dpi" not in kind.keeps and "exif" in kind.keeps:
        info = with_density_in_exif(info)
        info.pop("dpi", None)
    return info


def _for_pillow(info: Info) -> dict[str, Any]:
    options = {name: info[name] for name in PILLOWS if name in info}
    if "iptc" in info:
        options["extra"] = photoshop.segment(info["iptc"])
    return options


def _split(strips: Strips, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Whole frames of strips, none of which belongs to two."""
    frame, top = None, 0
    for strip in strips:
        if frame is None:
            frame = np.empty(shape, strip.dtype)
        frame[top : top + len(strip)] = strip
        top += len(strip)
        if top == shape[0]:
            yield frame
            frame, top = None, 0


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
