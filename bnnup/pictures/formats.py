"""The formats of pictures: which there are, what each can hold, and how it is written.

All that is to be known about a format stands in this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bnnup.errors import MediaError
from bnnup.pictures.animation import write_gif, write_with_pillow
from bnnup.pictures.apng import write_apng
from bnnup.pictures.heif import write_heif
from bnnup.pictures.jxl import write_jxl
from bnnup.pictures.png import write_png
from bnnup.pictures.pnm import write_bitmap, write_pnm
from bnnup.pictures.tiff import write_tiff


class Writer(Protocol):
    """Writes strips that make up a picture of ``shape``, or frames, to a file that can seek."""

    def __call__(self, *arguments: Any, **options: Any) -> None: ...


@dataclass(frozen=True)
class Format:
    """A kind of picture file.

    ``endings`` begin with the usual one; ``bits`` are the most of a sample of grey,
    ``color_bits`` with colour or alpha, 0 where there is neither; ``longest`` is the longest
    side in pixels. ``keeps`` are the keys of Info that it has a place for, ``limits`` the
    most bytes of some. ``writer`` is ours, without one Pillow writes with ``options``, and
    images of the modes ``as_color`` are turned into RGB or RGBA first; ``lossless`` are the
    options that make it lossless, None if nothing can. ``memory`` is what the encoder takes,
    in images of Pillow's: 0 if it takes strip by strip. ``animation`` writes moving pictures.
    ``plugin`` is the module that Pillow needs.
    """

    name: str
    endings: tuple[str, ...]
    pillow: str = ""
    written: bool = True
    alpha: bool = False
    bits: int = 8
    color_bits: int = 8
    longest: int | None = None
    as_color: frozenset[str] = frozenset()
    keeps: frozenset[str] = frozenset()
    limits: Mapping[str, int] = field(default_factory=dict)
    writer: Writer | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    lossless: Mapping[str, Any] | None = field(default_factory=dict)
    quality: bool = False
    memory: float = 1
    animation: Writer | None = None
    plugin: str = ""

    @property
    def streamed(self) -> bool:
        """Whether it is written strip by strip, without the whole picture in memory."""
        return self.memory == 0


EXIF = frozenset({"icc_profile", "exif", "xmp"})
JPEG = EXIF | {"dpi", "comment", "iptc"}
SEGMENT = 65533  # bytes in a segment of JPEG
JPEG_LIMITS = {"exif": SEGMENT, "xmp": SEGMENT - 29, "comment": SEGMENT, "iptc": SEGMENT - 28}
# The encoder must not undo the work.
JPEG_OPTIONS = {"quality": 95, "subsampling": "4:4:4"}

# Of all that Pillow opens, what people call pictures; what looks alike is tried in this order.
TABLE = (
    Format(
        "PNG",
        (".png", ".apng"),
        alpha=True,
        bits=16,
        color_bits=16,
        keeps=EXIF | {"dpi", "comment", "iptc", "text", "color"},
        writer=write_png,
        memory=0,
        animation=write_apng,
    ),
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        keeps=JPEG,
        limits=JPEG_LIMITS,
        options=JPEG_OPTIONS,
        lossless=None,
        quality=True,
        memory=1.5,
    ),
    Format(
        "MPO",
        (".mpo",),
        pillow="JPEG",
        keeps=JPEG,
        limits=JPEG_LIMITS,
        options=JPEG_OPTIONS,
        lossless=None,
        quality=True,
        memory=1.5,
    ),
    Format(
        "WEBP",
        (".webp",),
        alpha=True,
        longest=16383,
        keeps=EXIF,
        options={"quality": 95, "exact": True},
        lossless={"lossless": True, "quality": 80, "exact": True},  # here quality is effort
        quality=True,
        memory=3,
        animation=write_with_pillow,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        alpha=True,
        bits=16,
        color_bits=16,
        keeps=EXIF | {"dpi", "iptc"},
        writer=write_tiff,
        memory=0,
    ),
    Format(
        "AVIF",
        (".avif", ".avifs"),
        alpha=True,
        longest=65536,
        keeps=EXIF,
        options={"quality": 90, "subsampling": "4:4:4"},
        lossless=None,
        quality=True,
        memory=10,
        animation=write_with_pillow,
    ),
    Format(
        "HEIF",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        alpha=True,
        bits=10,
        color_bits=10,
        longest=16384,
        keeps=EXIF | {"color"},
        writer=write_heif,
        options={"quality": 90, "chroma": 444},
        lossless=None,
        quality=True,
        memory=10,
        plugin="pillow_heif",
    ),
    Format(
        "JXL",
        (".jxl",),
        alpha=True,
        bits=16,
        color_bits=16,
        keeps=frozenset({"exif", "xmp"}),
        writer=write_jxl,
        options={"quality": 95},
        lossless={},
        quality=True,
        memory=8,
        plugin="pillow_jxl",
    ),
    Format(
        "GIF",
        (".gif",),
        alpha=True,
        longest=65535,
        as_color=frozenset({"LA"}),
        keeps=frozenset({"comment"}),
        lossless=None,
        memory=3,
        animation=write_gif,
    ),
    Format("JPEG2000", (".jp2", ".jpf", ".jpx"), alpha=True, bits=16, memory=10),
    Format(
        "J2K",
        (".j2k", ".jpc", ".j2c"),
        "JPEG2000",
        alpha=True,
        bits=16,
        options={"no_jp2": True},
        lossless={"no_jp2": True},
        memory=10,
    ),
    Format("BMP", (".bmp",), keeps=frozenset({"dpi"})),
    Format("DIB", (".dib",), keeps=frozenset({"dpi"})),
    Format("ICO", (".ico",), alpha=True, longest=256),
    Format("TGA", (".tga", ".icb", ".vda", ".vst"), alpha=True, longest=65535),
    Format("PBM", (".pbm",), "PPM", bits=1, color_bits=0, writer=write_bitmap, memory=0),
    Format("PGM", (".pgm",), "PPM", bits=16, color_bits=0, writer=write_pnm, memory=0),
    Format("PPM", (".ppm", ".pnm"), bits=16, color_bits=16, writer=write_pnm, memory=0),
    Format("PFM", (".pfm",), "PPM", written=False),
    Format("PCX", (".pcx",), longest=65535, keeps=frozenset({"dpi"})),
    Format(
        "SGI",
        (".sgi", ".rgb", ".rgba", ".bw"),
        alpha=True,
        longest=65535,
        as_color=frozenset({"LA"}),
    ),
    Format("QOI", (".qoi",), alpha=True, as_color=frozenset({"L", "LA"})),
    Format("DDS", (".dds",), alpha=True),
    Format("PSD", (".psd",), written=False),
)
FORMATS = {each.name: each for each in TABLE}


@cache
def endings() -> dict[str, Format]:
    """Formats by ending, in small letters with the dot."""
    return {ending: each for each in TABLE for ending in each.endings}


def register(plugin: str) -> None:
    """Makes the formats of a plugin known to Pillow; plugins are imported when needed."""
    module = import_module(plugin)
    if plugin == "pillow_heif":
        module.register_heif_opener()


@dataclass(frozen=True)
class Encoding:
    """A format, and how to write it; ``quality`` is 1 … 100."""

    format: str
    quality: int | None = None
    lossless: bool = False

    @property
    def kind(self) -> Format:
        return FORMATS[self.format]

    def options(self) -> dict[str, Any]:
        """What the encoder is told; MediaError when it cannot be lossless."""
        if self.lossless:
            if self.kind.lossless is None:
                raise MediaError(
                    f"{self.format} is never lossless; write PNG, TIFF or WebP instead"
                )
            return {**self.kind.lossless}
        if self.quality is None or not self.kind.quality:
            return {**self.kind.options}
        return {**self.kind.options, "quality": self.quality}

    def note(self) -> str:
        """A remark on a setting that has no effect, or nothing."""
        if self.quality is None or (self.kind.quality and not self.lossless):
            return ""
        lossless = "lossless " if self.kind.quality else ""
        return f"{lossless}{self.format} has no quality setting: {self.quality} changes nothing"


def format_of(path: Path) -> str:
    """The format that a path's ending names; MediaError if there is none to be written."""
    found = endings().get(path.suffix.lower())
    if found is None or not found.written:
        raise MediaError(f"{path.name}: no picture format for the ending {path.suffix!r}; try .png")
    return found.name


def format_named(name: str) -> str:
    """The format that a user means by "jpg", ".TIF" or "webp"; MediaError if there is none."""
    written = [ending[1:] for ending, each in endings().items() if each.written]
    wanted = name.lower().removeprefix(".")
    if wanted in written:
        return endings()[f".{wanted}"].name
    near = get_close_matches(wanted, written, 1)
    guess = f"; did you mean {near[0]}?" if near else "."
    raise MediaError(
        f"cannot write pictures as {name!r}{guess} The formats are: {' '.join(written)}"
    )


def ending_for(format_name: str) -> str:
    """The usual ending of files in a format, with its dot."""
    return FORMATS[format_name].endings[0]
