"""The formats of pictures: which there are, and how each is written."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from bnnup.errors import MediaError
from bnnup.pictures.png import write_png
from bnnup.pictures.tiff import write_tiff

# Of all that Pillow opens, what people call pictures.
FORMATS = {
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
}


@cache
def endings() -> dict[str, str]:
    """Format by ending, in small letters with the dot."""
    known = Image.registered_extensions()
    return {ending: name for ending, name in known.items() if name in FORMATS}


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
