"""Picture files and PIL images to arrays, and back with their metadata."""

import os
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bnnup.errors import MediaError
from bnnup.files import replacing

# How pictures are written: the encoder must not undo the work.
ENCODING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
}
KEPT = ("icc_profile", "exif", "dpi")  # metadata that goes from input to output
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


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA.

    ``pixels`` are uint8 or uint16, upright; ``info`` is metadata in Pillow's terms.
    """

    pixels: NDArray[Any]
    info: dict[str, Any] = field(default_factory=dict)


def to_pixels(image: Image.Image) -> NDArray[Any]:
    """A PIL image of any mode to pixels as in Picture."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        raise MediaError(
            f"pictures of mode {image.mode!r} have no known range; convert it to 16 bit"
        )
    colors = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    alpha = "A" if image.has_transparency_data else ""
    return np.asarray(image.convert(colors + alpha))


def from_pixels(pixels: NDArray[Any]) -> Image.Image:
    """Pixels as in Picture to a PIL image: L, I;16, LA, RGB or RGBA."""
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise MediaError("16-bit colour cannot be written yet; convert the picture to 8 bit")
    return Image.fromarray(np.ascontiguousarray(pixels))


def read_picture(path: Path) -> Picture:
    """Reads a file and turns it upright; MediaError when it is no sound picture."""
    try:
        with Image.open(path) as image:
            image.load()
            upright = _turn_upright(image)
            return Picture(to_pixels(upright), kept_info(upright))
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{path} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path} is too large: {error}") from error
    except Exception as error:  # decoders raise whatever broken data leads them to
        raise MediaError(f"cannot read {path}: {_reason(error)}") from error


def _turn_upright(image: Image.Image) -> Image.Image:
    """The EXIF orientation, applied and reset. EXIF that nobody can parse is left behind."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # struct.error, TypeError, SyntaxError: the pixels are none the worse
        image.info.pop("exif", None)
        return ImageOps.exif_transpose(image)


def kept_info(image: Image.Image) -> dict[str, Any]:
    """Metadata of an image that holds for the larger one as well."""
    info = {key: image.info[key] for key in KEPT if key in image.info}
    if image.mode in ("CMYK", "LAB"):  # the profile tells of inks, the pixels are now RGB
        info.pop("icc_profile", None)
    if not all(0 < density < 1 << 16 for density in info.get("dpi", ())):
        del info["dpi"]
    return info


def check_writable(path: Path, *, force: bool) -> None:
    """MediaError if a picture could not be written to ``path``, before any work is done."""
    _format(path)
    if os.path.isdir(path):
        raise MediaError(f"{path} is a folder; name a file")
    if os.path.exists(path) and not force:
        raise MediaError(f"{path} exists; name another with -o, or overwrite it with --force")
    if not os.path.isdir(path.parent):
        raise MediaError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise MediaError(f"the folder {path.parent} cannot be written to")


def check_fits(picture: Picture, path: Path, scale: int) -> None:
    """MediaError if the format cannot hold ``picture`` enlarged, before any work is done.

    Encoders say no to depths, to alpha, to long sides, to metadata; strips as long
    as the sides learn of it for next to nothing.
    """
    height, width = (scale * length for length in picture.pixels.shape[:2])
    for sides in (height, 1), (1, width):
        strip = np.zeros((*sides, *picture.pixels.shape[2:]), picture.pixels.dtype)
        try:
            _encode(Picture(strip, picture.info), path, BytesIO())
        except MediaError:
            raise
        except Exception as error:
            reason = f"cannot hold {width}×{height} pixels: {_reason(error)}"
            raise MediaError(f"{_format(path)} {reason}") from error


def write_picture(picture: Picture, path: Path) -> None:
    """Writes a file in the format of its ending, whole or not at all."""
    try:
        with replacing(path) as temporary, temporary.open("w+b") as file:
            _encode(picture, path, file)
    except MediaError:
        raise
    except Exception as error:  # as varied as with reading
        raise MediaError(f"cannot write {path}: {_reason(error)}") from error


def _encode(picture: Picture, path: Path, file: IO[bytes]) -> None:
    """Writes in the format of the path's ending."""
    name, instead = _format(path), f"write {path.stem}.png instead"
    if picture.pixels.shape[2:] in ((2,), (4,)) and name not in ALPHA_FORMATS:
        raise MediaError(f"{name} cannot hold transparency; {instead}")
    if picture.pixels.dtype == np.uint16 and name not in DEEP_FORMATS:
        raise MediaError(f"{name} cannot hold 16 bits; {instead}")
    image = from_pixels(picture.pixels)
    if name == "GIF" and image.mode == "LA":  # of which Pillow's encoder drops the alpha
        image = image.convert("RGBA")
    image.save(file, name, **ENCODING.get(name, {}), **picture.info)


def _format(path: Path) -> str:
    formats = Image.registered_extensions()
    name = formats.get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise MediaError(f"{path.name}: no picture format for the ending {path.suffix!r}; try .png")
    return name


def _reason(error: Exception) -> str:
    """What went wrong in one line, without the path that the message names anyway."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()) or type(error).__name__
