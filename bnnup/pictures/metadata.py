"""What a picture file says besides its pixels, and what of it holds for the enlarged one.

Info has, as far as a file says so: ``icc_profile``, ``exif``, ``xmp``, ``iptc`` and
``comment`` as bytes; ``dpi``, across and down; ``text``, PNG's chunks of text, and
``color``, those that tell what colours mean, each a pair of its kind and content;
``size``, the width and height that all of it refers to.
"""

import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any

from PIL import Image

from bnnup.pictures import boxes, photoshop, xmp
from bnnup.pictures.change import Change
from bnnup.pictures.exif import MARK, ORIENTATION, Exif

Info = dict[str, Any]

XMP_TAG, ICC_TAG, IPTC_TAG, PHOTOSHOP_TAG = 700, 34675, 33723, 34377  # of TIFF
V5 = 124  # bytes of the header of BMP that may name a profile
UUIDS = {  # of boxes in JPEG 2000
    b"JpgTiffExif->JP2": "exif",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}
NAMES = {
    "icc_profile": "the colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "dpi": "the density in DPI",
    "comment": "the comment",
    "text": "text",
    "color": "what its colours mean",
}


def read_info(image: Image.Image, file: IO[bytes] | None = None) -> Info:
    """Metadata of an opened image as it is stored; of ``file``, where Pillow hides some."""
    info: Info = {key: image.info.get(key) for key in ("icc_profile", "exif", "xmp", "comment")}
    if image.format == "TIFF" and file is not None:
        info |= of_tiff(file)
    elif info["exif"] is None and (found := _parsed_exif(image)):
        info["exif"] = found
    info["xmp"] = info["xmp"] or image.info.get("XML:com.adobe.xmp")
    if isinstance(resources := image.info.get("photoshop"), dict):
        info["iptc"] = resources.get(photoshop.IPTC)
    if image.format in ("BMP", "JPEG2000") and file is not None:
        info |= hidden_info(image.format, file)
    if image.format == "PSD":
        info |= photoshop.named(getattr(image, "resources", []))
    if image.format != "TIFF":  # for which Pillow makes one up
        info["dpi"] = image.info.get("dpi")
    for name in "xmp", "comment":
        if isinstance(info.get(name), str):
            info[name] = info[name].encode()
    return {key: value for key, value in info.items() if value}


def orientation(info: Info) -> int:
    """The EXIF orientation, 1 … 8; 1, upright, when there is none that makes sense."""
    stated = Exif.of(info.get("exif")).number(ORIENTATION)
    if stated is None and info.get("xmp"):
        stated = xmp.orientation(info["xmp"])
    return int(stated) if stated in range(1, 9) else 1


def upright(info: Info, size: tuple[int, int], orientation: int) -> tuple[Info, list[str]]:
    """Info of a picture of ``size`` as stored once that is turned, and remarks on what is lost."""
    turned = size[::-1] if orientation >= 5 else size
    exif = Exif.of(info.get("exif"))
    dpi = _sound(info.get("dpi") or exif.density())
    info, lost = _changed(info, Change(size, turned, orientation))
    if dpi is not None:
        info["dpi"] = dpi[::-1] if orientation >= 5 else dpi
    else:
        info.pop("dpi", None)
    return {**info, "size": turned}, lost


def for_size(info: Info, width: int, height: int) -> Info:
    """What holds for the picture enlarged to a size, in Pillow's terms."""
    info = dict(info)
    size = info.pop("size", (width, height))
    return _changed(info, Change(size, (width, height)))[0]


def with_density_in_exif(info: Info) -> Info:
    """For formats that have no other place for the density."""
    if "dpi" not in info:
        return dict(info)
    exif = Exif.of(info.get("exif")).with_density(info["dpi"]).serialize()
    return {**info, "exif": exif}


def left_out(what: Iterable[str], why: str = "") -> list[str]:
    """Remarks on what is not carried over."""
    return [f"left out{why}: {each}" for each in what]


def _changed(info: Info, change: Change) -> tuple[Info, list[str]]:
    info, lost = dict(info), []
    if "exif" in info:
        exif = Exif.parse(info.pop("exif"))
        if exif is None:
            lost.append("EXIF that is not understood")
        else:
            exif, gone = exif.changed(change)
            lost += gone
            if content := exif.serialize():
                info["exif"] = content
    if "xmp" in info:
        packet, gone = xmp.changed(info.pop("xmp"), change)
        lost += gone
        if packet:
            info["xmp"] = packet
    return info, lost


def hidden_info(format_name: str, file: IO[bytes]) -> Info:
    """What Pillow does not look for: a BMP's profile, and the boxes of a JPEG 2000."""
    file.seek(0)
    content = file.read()
    if format_name == "BMP":
        return {"icc_profile": _bmp_profile(content)}
    found: Info = {}
    for color in boxes.inside(content, b"jp2h", b"colr"):
        if color[:1] in (b"\2", b"\3"):  # restricted, or any
            found["icc_profile"] = color[3:]
    for kind, within in boxes.boxes(content):
        name = UUIDS.get(within[:16]) if kind == b"uuid" else None
        if name is not None:
            found[name] = within[16:]
    return found


def _bmp_profile(content: bytes) -> bytes | None:
    """That of a BITMAPV5HEADER, which begins after the 14 bytes of the file's own."""
    header, start = content[14 : 14 + V5], 14
    if len(header) < V5 or header[:4] != struct.pack("<I", V5) or header[56:60] != b"DEBM":
        return None
    place, size = struct.unpack_from("<II", header, 112)
    return content[start + place : start + place + size] or None


def of_tiff(file: IO[bytes]) -> Info:
    """A TIFF's tags are its EXIF, byte for byte, and the other metadata stand among them."""
    exif = Exif.read(file)
    if exif is None:
        return {}
    tags = {"xmp": XMP_TAG, "icc_profile": ICC_TAG, "iptc": IPTC_TAG}
    info: Info = {name: exif.content(tag) for name, tag in tags.items()}
    if info["iptc"] is None:
        info["iptc"] = photoshop.parse(exif.content(PHOTOSHOP_TAG) or b"").get(photoshop.IPTC)
    info["exif"] = exif.serialize()
    return {name: value for name, value in info.items() if value}


def _parsed_exif(image: Image.Image) -> bytes | None:
    """EXIF that Pillow found in places of its own."""
    with suppress(Exception):  # whatever Pillow raises for garbled EXIF
        if found := image.getexif():
            return MARK + found.tobytes().removeprefix(MARK)
    return None


def _sound(density: Any) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError):
        across, down = (float(value) for value in density)
        if 0 < across < 1 << 16 and 0 < down < 1 << 16:
            return across, down
    return None
