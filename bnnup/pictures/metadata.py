"""What a picture file says besides its pixels, and what of it holds for the enlarged one.

In Pillow's terms: ``icc_profile``, ``exif`` and ``xmp`` are bytes, ``dpi`` is a pair.
"""

import re
from contextlib import suppress
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

Info = dict[str, Any]

# EXIF borrows TIFF's tags. These tell how the input's pixels lie in its file, or stand elsewhere.
STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(284, 288, 289, 290, 291, 292, 293, 297, 301, 317, 320, 321, 322, 323, 324, 325, 330, 332),
    *(333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520),
    *(521, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724, 50341),
}
RESOLUTION = (Base.XResolution, Base.YResolution, Base.ResolutionUnit)
INCH, CENTIMETRE = 2, 3
WIDTH, HEIGHT = Base.ExifImageWidth, Base.ExifImageHeight

XMP_ORIENTATION = re.compile(
    rb"""\s+tiff:Orientation\s*=\s*(["'])\d\1|<tiff:Orientation>\s*\d\s*</tiff:Orientation>"""
)


def kept_info(image: Image.Image) -> Info:
    """Metadata of an image that holds for the larger one as well, once that is upright."""
    info = {
        "icc_profile": image.info.get("icc_profile"),
        "exif": _exif(image),
        "xmp": _xmp(image),
        "dpi": _dpi(image),
    }
    if image.mode in ("CMYK", "LAB"):  # the profile tells of inks, the pixels become RGB
        del info["icc_profile"]
    return {name: value for name, value in info.items() if value}


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8; 1, upright, when there is none that makes sense."""
    found = 1
    with suppress(Exception):  # whatever Pillow raises for garbled EXIF
        found = image.getexif().get(Base.Orientation, 1)
    return found if found in range(1, 9) else 1


def directories(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """Those that EXIF consists of beside the main one; IFD1, the thumbnail, is left out."""
    # Asking for one that is not there would make an empty one.
    found = {tag: dict(exif.get_ifd(tag)) for tag in (IFD.Exif, IFD.GPSInfo) if tag in exif}
    inner = found.get(IFD.Exif, {})
    if inner.pop(IFD.Interop, None) and (nested := exif.get_ifd(IFD.Interop)):
        inner[IFD.Interop] = dict(nested)  # and not its place in the old file
    return {tag: directory for tag, directory in found.items() if directory}


def for_size(info: Info, width: int, height: int) -> Info:
    """The metadata with the pixel dimensions that EXIF and XMP state, if they do, corrected."""
    info = dict(info)
    if "exif" in info:
        exif = Image.Exif()
        exif.load(info["exif"])
        for tag, directory in directories(exif).items():
            stated = {WIDTH: width, HEIGHT: height}
            exif[tag] = directory | {name: stated[name] for name in stated if name in directory}
        info["exif"] = exif.tobytes()
    if "xmp" in info:
        for names, length in (
            (rb"exif:PixelXDimension|tiff:ImageWidth", width),
            (rb"exif:PixelYDimension|tiff:ImageLength", height),
        ):
            pattern = re.compile(rb"""((?:%s)(?:\s*=\s*["']|>)\s*)\d+""" % names)
            info["xmp"] = pattern.sub(rb"\g<1>%d" % length, info["xmp"])
    return info


def with_density_in_exif(info: Info) -> Info:
    """For formats that have no other place for the density."""
    if "dpi" not in info:
        return info
    exif = Image.Exif()
    if "exif" in info:
        exif.load(info["exif"])
    exif.update(zip(RESOLUTION, (*info["dpi"], INCH), strict=True))
    return {**info, "exif": exif.tobytes()}


def _exif(image: Image.Image) -> bytes | None:
    """EXIF without orientation, thumbnail and layout of the file; None if there is none.

    EXIF that nobody can parse is left behind: the pixels are none the worse.
    """
    with suppress(Exception):  # struct.error, TypeError, SyntaxError, …
        kept = Image.Exif()
        found = image.getexif()
        for tag, value in found.items():
            if tag not in STRUCTURE and tag not in RESOLUTION and tag not in set(IFD):
                kept[tag] = value
        for tag, directory in directories(found).items():
            kept.get_ifd(tag).update(directory)
            kept[tag] = kept.get_ifd(tag)
        return kept.tobytes() if len(kept) else None
    return None


def _xmp(image: Image.Image) -> bytes | None:
    """The XMP packet without the orientation, which the pixels have taken on."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    return XMP_ORIENTATION.sub(b"", packet) if isinstance(packet, bytes) else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    density = image.info.get("dpi")
    with suppress(Exception):
        if density is None:
            exif = image.getexif()
            unit = {INCH: 1, CENTIMETRE: 2.54}[exif[Base.ResolutionUnit]]
            density = tuple(float(exif[tag]) * unit for tag in RESOLUTION[:2])
        across, down = (float(value) for value in density)
        if 0 < across < 1 << 16 and 0 < down < 1 << 16:
            return across, down
    return None
