"""Pictures to files, strip by strip where the format allows it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup import paths
from bnnup.animation import Animation, write_animation
from bnnup.errors import MediaError
from bnnup.files import replacing
from bnnup.image import Picture, from_pixels, reason
from bnnup.metadata import Info, for_size, with_density_in_exif
from bnnup.png import write_png
from bnnup.tiff import write_tiff

Strips = Iterable[NDArray[Any]]  # rows of pixels as in Picture, from top to bottom

STREAMED = {"PNG": write_png, "TIFF": write_tiff}  # the others need the whole picture
# How the others are written: the encoder must not undo the work.
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95, "exact": True},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}
LOSSLESS: dict[str, dict[str, Any]] = {
    "WEBP": {"lossless": True, "quality": 80},  # the quality is the encoder's effort here
    "JPEG2000": {"irreversible": False},
}
LOSSY = {"JPEG", "AVIF", "GIF"}  # and nothing else
# Pillow writes to the other formats, too, but drops the alpha or the upper bits with some.
ALPHA_FORMATS = {
    "AVIF",
    "DDS",
    "GIF",
    "ICO",
    "JPEG2000",
    "PNG",
    "QOI",
    "SGI",
    "TGA",
    "TIFF",
    "WEBP",
}
DEEP_FORMATS = {"JPEG2000", "PNG", "PPM", "TIFF"}
DEEP_COLOR_FORMATS = {"PNG", "TIFF"}
NO_DENSITY = {"AVIF", "WEBP"}  # but in EXIF
PREFERRED = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "PPM": ".ppm", "MPO": ".jpg"}


@dataclass(frozen=True)
class Encoding:
    """A format in Pillow's words, and how to write it; ``quality`` is 1 … 100."""

    format: str
    quality: int | None = None
    lossless: bool = False

    def options(self) -> dict[str, Any]:
        """What Pillow's encoder is told; MediaError when it cannot be lossless."""
        if self.lossless and self.format in LOSSY:
            raise MediaError(f"{self.format} is never lossless; write PNG, TIFF or WebP instead")
        options = dict(LOSSLESS if self.lossless else OPTIONS).get(self.format, {})
        if self.quality is not None and not self.lossless and self.format in OPTIONS:
            options = {**options, "quality": self.quality}
        return options


def format_of(path: Path) -> str:
    """The format that a path's ending names; MediaError if there is none to be written."""
    name = Image.registered_extensions().get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise MediaError(f"{path.name}: no picture format for the ending {path.suffix!r}; try .png")
    return name


def format_named(name: str) -> str:
    """The format that a user means by "jpg", ".TIF" or "webp"."""
    return format_of(Path(f"picture.{name.lower().removeprefix('.')}"))


def ending_for(format_name: str) -> str:
    """The usual ending of files in a format, with its dot."""
    return PREFERRED.get(format_name, f".{format_name.lower()}")


def check_writable(path: Path, *, force: bool) -> None:
    """MediaError if a file could not be written to ``path``, before any work is done."""
    if paths.is_folder(path):
        raise MediaError(f"{path} is a folder; name a file")
    if paths.exists(path) and not force:
        raise MediaError(f"{path} exists; name another with -o, or overwrite it with --force")
    if not paths.is_local(path):
        return
    if not os.path.isdir(path.parent):
        raise MediaError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"the folder {path.parent} cannot be written to")


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


@contextmanager
def writing(path: Path, token: str | None = None) -> Iterator[IO[bytes]]:
    """A file that is at ``path``, whole and on the disk, after the block; MediaError if not.

    ``token`` is that of ``files.replacing``. What goes elsewhere is a local file first.
    """
    try:
        if paths.is_local(path):
            with replacing(path, token) as temporary, temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the new name to an empty file
                # A worker that was given up may have lived on: the later one made its file anew.
                if not os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                    raise OSError("another process writes it, too")
        else:
            with TemporaryDirectory() as folder:
                local = Path(folder) / "result"
                with local.open("x+b") as file:
                    yield file
                paths.upload(str(local), path, token or token_hex(8))
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(f"cannot write {path}: it does not fit into memory") from error
    except Exception as error:  # as varied as with reading
        raise MediaError(f"cannot write {path}: {reason(error)}") from error


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
