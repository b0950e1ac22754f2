"""Picture files and PIL images to arrays."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bnnup.errors import MediaError, StoppedError, reason
from bnnup.pictures import boxes, heif, jxl, metadata, png, pnm
from bnnup.pictures.animation import Animation, read_animation
from bnnup.pictures.formats import FORMATS, register
from bnnup.pictures.icc import code_points, srgb
from bnnup.pictures.loss import Loss, find_loss
from bnnup.pictures.metadata import Info
from bnnup.pictures.picture import Picture, read_image, stretched, turn_upright
from bnnup.pictures.tiff_pixels import Page

MEGAPIXELS = 250.0  # a few kilobytes can unpack to gigabytes, so there has to be a limit
PREFIX = 16  # bytes of a file that tell its format
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
FILLERS = (b"\0", b"\x55", b"\xaa", b"\xff\0")  # one of each beginning
LONGEST_BLOCK = 4096  # bytes, and more than what is decoded at once in JPEG can take
J2K_START = b"\xff\x4f\xff\x51"
JXL_STARTS = (b"\xff\x0a", jxl.SIGNATURE)
MOVING = {each.name for each in FORMATS.values() if each.animation}


@dataclass(frozen=True)
class Header:
    """What a file says of its picture: upright size in pixels, format, bits of a sample, frames."""

    width: int
    height: int
    format: str
    bits: int
    frames: int = 1


def read_picture(path: Path, *, megapixels: float = MEGAPIXELS) -> Picture:
    """Reads a picture and turns it upright; MediaError if the file is damaged or not a picture.

    Files that claim more than ``megapixels``, all frames together, are refused.
    """
    try:
        with path.open("rb") as file:
            return decode(file, str(path), megapixels=megapixels)
    except OSError as error:
        raise MediaError(f"cannot read {path}: {reason(error)}") from error


def decode(
    file: IO[bytes],
    name: str,
    *,
    megapixels: float = MEGAPIXELS,
    go_on: Callable[[], None] = lambda: None,
) -> Picture:
    """The picture in an open file that can seek, upright; ``name`` stands in MediaErrors.

    ``go_on`` is called before each frame of an animation, and may raise.
    """
    with _explaining(name):
        try:
            return _Source(file, megapixels).decode(go_on)
        except OSError as error:
            completed = _completed_jpeg(file, megapixels, go_on)
            if completed is None:
                raise error
            return completed


def peek(file: IO[bytes], name: str, *, megapixels: float = MEGAPIXELS) -> Header:
    """The header of an open file, and nothing else of it; ``name`` stands in MediaErrors."""
    with _explaining(name):
        header = _Source(file, megapixels).header()
    file.seek(0)
    return header


class _Source:
    """An opened file: what Pillow makes of its header, and what it hides from Pillow's users."""

    def __init__(self, file: IO[bytes], megapixels: float) -> None:
        file.seek(0)
        prefix = file.read(PREFIX)
        self.file, self.lost = file, []
        self.info: Info | None = None
        self._jxl: jxl.JxlHeader | None = None
        if prefix.startswith(png.SIGNATURE):
            around = png.read_surroundings(file)
            self.file, self.info, self.lost = around.plain, around.info, around.lost
        elif prefix.startswith(JXL_STARTS):
            # Pillow's plugin decodes when it opens, and does not turn.
            self._jxl = jxl.read_header(self._content())
            _check_size(self._jxl.width, self._jxl.height, 1, megapixels)
        self.image = _opened(self.file)
        is_tiff = self.image.format == "TIFF" if self.image else prefix[:2] in (b"II", b"MM")
        self.page = Page(file) if is_tiff else None
        if self.image is None and self.page is None:
            raise UnidentifiedImageError
        self.format = self._format()
        if self.info is None:
            self.info = self._read_info()
        self.orientation = 1 if self.format == "JXL" else metadata.orientation(self.info)
        _check_size(*self.size, self.frames, megapixels)

    def header(self) -> Header:
        size = self.size if self.orientation < 5 else self.size[::-1]
        return Header(*size, self.format, 16 if self.is_deep else 8, self.frames)

    def decode(self, go_on: Callable[[], None]) -> Picture:
        assert self.info is not None
        moving = None
        if self.image is not None and self.frames > 1:
            moving = read_animation(self.image, self.file, self.is_deep, go_on)
        header = self.header()  # before decoding, which changes what HEIC says
        pixels, profile, notes = self._pixels(moving)
        if pixels.shape[:2] != (header.height, header.width):
            raise MediaError("it is damaged: it does not have as many pixels as it says")
        info, lost = metadata.upright(self.info, self.size, self.orientation)
        info = {key: value for key, value in {**info, **profile}.items() if value}
        lost = [*self.lost, *lost, *self._companions(moving)]
        notes = (*notes, *metadata.left_out(lost))
        return Picture(pixels, info, self.format, notes, moving, self._loss())

    def _loss(self) -> Loss | None:
        return None if self.image is None else find_loss(self.image, self.file)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored; Pillow turns those of a TIFF."""
        if self.page is not None:
            return self.page.size
        if self._jxl is not None:
            return self._jxl.width, self._jxl.height
        assert self.image is not None
        return self.image.size

    @cached_property
    def frames(self) -> int:
        if self.image is None or self.format not in MOVING:
            return 1
        return getattr(self.image, "n_frames", 1)

    @cached_property
    def is_deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        image = self.image
        if self.page is not None:
            return not self._is_for_pillow() and self.page.bits > 8
        assert image is not None
        if self.format == "PNG":
            return any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
        if image.format == "PPM":
            return image.mode == "F" or pnm.white(self.file) > 255
        if self.format == "HEIF":
            return int(image.info.get("bit_depth", 8)) > 8
        return image.mode.startswith(("I;16", "F"))

    def _is_for_pillow(self) -> bool:
        return self.image is not None and self.page is not None and self.page.is_for_pillow

    def _format(self) -> str:
        if self.image is None or self.image.format is None:
            return "TIFF"
        if self.image.format == "PPM":
            return pnm.kind(self.file)
        raw = self.image.format == "JPEG2000" and self._content(len(J2K_START)) == J2K_START
        return "J2K" if raw else self.image.format

    def _read_info(self) -> Info:
        if self.image is None:
            self.file.seek(0)
            return metadata.of_tiff(self.file)
        info = metadata.read_info(self.image, self.file)
        if self.format in ("AVIF", "HEIF") and "icc_profile" not in info:
            info["color"] = code_points(*boxes.read_code_points(self._content()))
        if self.format == "JXL" and (packet := jxl.read_xmp(self._content())):
            info["xmp"] = packet
        return {key: value for key, value in info.items() if value}

    def _pixels(self, moving: Animation | None) -> tuple[NDArray[Any], Info, tuple[str, ...]]:
        """Upright, with the profile they have got on the way, and remarks."""
        notes: tuple[str, ...] = ()
        if moving is not None:
            return next(moving.frames()), {}, ()
        if self.page is not None and not self._is_for_pillow():
            pixels, notes = self.page.read()
            profile = {"icc_profile": srgb()} if self.page.is_lab else {}
            return turn_upright(pixels, self.orientation), profile, notes
        if (decoded := self._by_others()) is not None:
            return turn_upright(decoded, self.orientation), {}, ()
        assert self.image is not None
        try:
            self.image.load()
        except (OSError, ValueError):
            if self.page is None or not self.page.is_understood:
                raise
            pixels, notes = self.page.read()  # compressed as Pillow's library does not know
            return turn_upright(pixels, self.orientation), {}, notes
        pixels, profile, notes = read_image(self.image)
        if self.format in ("JPEG2000", "J2K") and pixels.dtype == np.uint16:
            bits = boxes.jpeg2000_bits(self._content())  # which Pillow shifts up
            pixels = stretched(pixels >> (16 - min(bits, 16)), (1 << min(bits, 16)) - 1)
        if self.page is None:  # Pillow has turned a TIFF already
            pixels = turn_upright(pixels, self.orientation)
        return pixels, profile, (*notes, *self._bits_lost())

    def _by_others(self) -> NDArray[Any] | None:
        """Pixels by decoders that know more than Pillow's, where there is more to know."""
        if self.format == "PNG" and self.is_deep:
            import imagecodecs

            decoded: NDArray[Any] = imagecodecs.png_decode(self._content())
            return decoded
        if self.format == "JXL":
            return jxl.read_jxl(self._content())
        if self.format == "HEIF" and self.is_deep:
            return heif.read_deep(self.file)
        if self.format in ("PGM", "PPM") and pnm.white(self.file) != 255:
            return pnm.read_pnm(self.file)
        return None

    def _bits_lost(self) -> tuple[str, ...]:
        bits = 8
        if self.page is not None:
            bits = self.page.stored_bits
        elif self.format == "AVIF":
            bits = boxes.av1_bits(self._content())
        elif self.format in ("JPEG2000", "J2K"):
            bits = boxes.jpeg2000_bits(self._content())
        elif self.format == "SGI":
            bits = 8 * self._content(4)[3]
        deep = self.image is not None and self.image.mode.startswith("I;16")
        return (f"{bits} bits are read as 8",) if bits > 8 and not deep else ()

    def _companions(self, moving: Animation | None) -> list[str]:
        """What else is in the file and is not carried over."""
        if moving is not None:
            return []
        pages = self.page.count if self.page else getattr(self.image, "n_frames", 1)
        info = self.image.info if self.image is not None else {}
        names = {"depth_images": "the depth map", "aux": "pictures beside it, such as gain maps"}
        lost = [text for key, text in names.items() if info.get(key)]
        if self._jxl is not None and self._jxl.moving:
            lost.append("all frames but the first")
        if pages > 1:
            lost.append(f"all but the first of {pages} pictures in the file")
        if len(info.get("sizes", ())) > 1:
            lost.append("all but the largest of the sizes in the file")
        return lost

    def _content(self, count: int = -1) -> bytes:
        self.file.seek(0)
        return self.file.read(count)


def _opened(file: IO[bytes]) -> Image.Image | None:
    """The header as Pillow reads it, of the formats of our table and no others; None if of none.

    Not by ``Image.open``, which has a limit of its own for everybody in the process.
    """
    file.seek(0)
    prefix = file.read(PREFIX)
    Image.init()
    for each in FORMATS.values():
        if each.plugin and prefix.startswith(JXL_STARTS) | (prefix[4:8] == b"ftyp"):
            register(each.plugin)
        opened, accepts = Image.OPEN.get(each.name, (None, None))
        with suppress(SyntaxError, IndexError, TypeError, struct.error):
            if opened is not None and (accepts is None or accepts(prefix) is True):
                file.seek(0)
                return opened(file, "")
    return None


def _check_size(width: int, height: int, frames: int, megapixels: float) -> None:
    found = width * height * frames / 1e6
    if found > megapixels:
        what = f"{found:.0f} megapixels" + (f" in {frames} frames" if frames > 1 else "")
        raise MediaError(f"it is too large ({what})", hint="megapixels")


def _completed_jpeg(
    file: IO[bytes], megapixels: float, go_on: Callable[[], None]
) -> Picture | None:
    """The picture in a JPEG that lacks no more than its end mark; None if it lacks more.

    Whatever follows a whole picture changes nothing, but would be taken for what is missing.
    """
    file.seek(0)
    content = file.read()
    if not content.startswith(JPEG_START) or content.rstrip(b"\0").endswith(JPEG_END):
        return None
    content = content.removesuffix(b"\xff")  # or what follows would not be taken for data
    endings = (filler * LONGEST_BLOCK + JPEG_END for filler in FILLERS)
    pictures = (_Source(BytesIO(content + end), megapixels).decode(go_on) for end in endings)
    first = next(pictures)
    if not all(np.array_equal(first.pixels, other.pixels) for other in pictures):
        return None
    return replace(first, notes=(*first.notes, "the file's end mark was missing"))


@contextmanager
def _explaining(name: str) -> Iterator[None]:
    """Whatever goes wrong with the file ``name`` in the block, as a MediaError."""
    try:
        yield
    except StoppedError:
        raise
    except MediaError as error:
        raise MediaError(f"{name}: {error}", hint=error.hint) from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{name} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name} is too large for its decoder") from error
    except MemoryError as error:
        raise MediaError(f"{name} does not fit into memory") from error
    except Exception as error:  # decoders raise whatever broken data leads them to
        said = reason(error)
        if not any(each.isalpha() for each in said):  # but a number
            said = f"it is damaged ({type(error).__name__} {said})"
        raise MediaError(f"cannot read {name}: {said}") from error
