"""Picture files and PIL images to arrays, and back with their metadata."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bnnup.errors import MediaError

# How pictures are written: the encoder must not undo the work.
ENCODING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
}
KEPT = ("icc_profile", "exif", "dpi")  # metadata that goes from input to output
OPAQUE_FORMATS = {"JPEG"}


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
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        transparent = image.has_transparency_data
        colored = "RGBA" if transparent else "RGB"
        image = image.convert("L" if image.mode == "1" else colored)
    elif "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    return np.asarray(image)


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
            upright = ImageOps.exif_transpose(image)
            info = {key: image.info[key] for key in KEPT if key in image.info}
            if "exif" in info:
                info["exif"] = upright.getexif().tobytes()
            return Picture(to_pixels(upright), info)
    except UnidentifiedImageError as error:
        raise MediaError(f"{path} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path} is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MediaError(f"cannot read {path}: {reason}") from error


def check_writable(path: Path, *, force: bool) -> None:
    """MediaError if a picture could not be written to ``path``, before any work is done."""
    _format(path)
    if path.is_dir():
        raise MediaError(f"{path} is a folder; name a file")
    if path.exists() and not force:
        raise MediaError(f"{path} exists; name another with -o, or overwrite it with --force")
    if not path.parent.is_dir():
        raise MediaError(f"there is no folder {path.parent}; make it first")


def write_picture(picture: Picture, path: Path) -> None:
    """Writes a file in the format of its ending, whole or not at all."""
    format_name = _format(path)
    if format_name in OPAQUE_FORMATS and picture.pixels.shape[2:] in ((2,), (4,)):
        raise MediaError(f"{format_name} cannot hold transparency; write {path.stem}.png instead")
    image = from_pixels(picture.pixels)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        image.save(temporary, format_name, **ENCODING.get(format_name, {}), **picture.info)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MediaError(f"cannot write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _format(path: Path) -> str:
    formats = Image.registered_extensions()
    name = formats.get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise MediaError(f"{path.name}: no picture format for the ending {path.suffix!r}; try .png")
    return name
