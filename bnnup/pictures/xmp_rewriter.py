"""XMP, rewritten as it is parsed, in one pass and without a tree: however large, in time that
grows with it.

Adobe, "XMP Specification" (2012); Google's "Photo Sphere", "Motion Photo" and "Ultra HDR".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO, StringIO
from typing import Any
from xml.sax import SAXException, handler, xmlreader
from xml.sax.expatreader import ExpatParser
from xml.sax.saxutils import XMLGenerator

from bnnup.pictures.change import UPRIGHT, Change

Name = tuple[str | None, str]  # namespace and local name

TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
AREAS = ("http://ns.adobe.com/xmp/sType/Area#", "http://ns.acdsee.com/sType/Area#")
DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
REGION = "http://ns.microsoft.com/photo/1.2/t/Region#"
CAMERA = "http://ns.google.com/photos/1.0/camera/"
THUMBNAIL = "the preview in XMP"
EXTENDED = "the part of XMP that is not in its main packet"
GAIN_MAP = "the gain map, by which HDR screens brighten the picture"
DEPTH = "the depth map"
FILM = "the film behind the picture"
# What stands in the file behind the picture, or shows it small: neither is carried along.
FOREIGN: Mapping[str, str] = {
    "http://ns.adobe.com/hdr-gain-map/1.0/": GAIN_MAP,
    "http://ns.apple.com/HDRGainMap/1.0/": GAIN_MAP,
    "http://ns.google.com/photos/1.0/container/": "",  # says where those lie
    "http://ns.google.com/photos/1.0/container/item/": "",
    "http://ns.google.com/photos/1.0/depthmap/": DEPTH,
    "http://ns.google.com/photos/dd/1.0/device/": DEPTH,
    "http://ns.google.com/photos/1.0/image/": "a second picture in XMP",
    "http://ns.google.com/photos/1.0/audio/": "the sound in XMP",
}
GONE: Mapping[Name, str] = {
    (TIFF, "Orientation"): "",
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"): THUMBNAIL,
    ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"): EXTENDED,
    (EXIF, "SubjectArea"): "where XMP says the subject is",
    (EXIF, "SubjectLocation"): "where XMP says the subject is",
    ("http://ns.google.com/photos/1.0/camera/", "SpecialTypeID"): "",
}
IPTC_LENGTHS = ("rbX", "rbY", "rbW", "rbH", "rbRx")
WIDTHS = {(EXIF, "PixelXDimension"), (TIFF, "ImageWidth")}
HEIGHTS = {(EXIF, "PixelYDimension"), (TIFF, "ImageLength")}


def rewrite(packet: bytes, change: Change) -> tuple[bytes | None, list[str]]:
    """The packet after a change, itself where nothing changes, and what had to go.

    None if it is no XML.
    """
    rewriter = _Rewriter(change)
    parser = ExpatParser(namespaceHandling=1)
    parser.setContentHandler(rewriter)
    source = xmlreader.InputSource()
    source.setByteStream(BytesIO(packet.strip(b"\0")))
    try:
        parser.parse(source)
    except (SAXException, ValueError, LookupError):
        return None, ["XMP that is not well-formed XML"]
    rewritten = rewriter.text.getvalue().encode()
    return rewritten if rewriter.touched else packet, sorted(rewriter.lost)


@dataclass
class _Element:
    name: Name
    out: Name  # as which it is written
    text: list[str] = field(default_factory=list)


class _Rewriter(handler.ContentHandler):
    """Writes what it is told, changed; below an element that is gone nothing is written."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change
        self.text = StringIO()
        self.touched = False
        self.lost: set[str] = set()
        self._out = XMLGenerator(self.text, "utf-8", short_empty_elements=True)
        self._open: list[_Element] = []
        self._gone = 0  # elements open below, and with, one that is left out

    def startPrefixMapping(self, prefix: str | None, uri: str | None) -> None:  # noqa: N802
        self._out.startPrefixMapping(prefix, uri)  # type: ignore[arg-type]

    def endPrefixMapping(self, prefix: str | None) -> None:  # noqa: N802
        self._out.endPrefixMapping(prefix)

    def processingInstruction(self, target: str, data: str) -> None:  # noqa: N802
        if not self._gone:
            self._out.processingInstruction(target, data)

    def startElementNS(  # noqa: N802
        self, name: Name, qname: str | None, attrs: xmlreader.AttributesNSImpl
    ) -> None:
        if self._gone or self._is_gone(name):
            self._gone += 1
            return
        self._flush()
        kept: dict[Any, str] = {}
        for attribute, value in attrs.items():
            if not self._is_gone(attribute):
                kept[self._renamed(attribute)] = self._value(attribute, value)
        renamed = self._renamed(name)
        self._open.append(_Element(name, renamed))
        self._out.startElementNS(renamed, None, xmlreader.AttributesNSImpl(kept, {}))

    def characters(self, content: str) -> None:
        if not self._gone and self._open:
            self._open[-1].text.append(content)

    def endElementNS(self, name: Name, qname: str | None) -> None:  # noqa: N802
        if self._gone:
            self._gone -= 1
            return
        element = self._open[-1]
        text = "".join(element.text)
        element.text = [self._value(name, text)] if text.strip() else [text]
        self._flush()
        self._open.pop()
        self._out.endElementNS(element.out, None)

    def _flush(self) -> None:
        """Writes the text up to here; where elements follow, it is none that means anything."""
        if self._open and self._open[-1].text:
            self._out.characters("".join(self._open[-1].text))
            self._open[-1].text = []

    def _is_gone(self, name: Name) -> bool:
        space, local = name
        note = GONE.get(name)
        if note is None and space is not None:
            note = FOREIGN.get(space)
        if note is None and space == CAMERA and local.startswith(("MicroVideo", "MotionPhoto")):
            note = FILM
        if note is None and space == PANORAMA and self.change.orientation != 1:
            note = "the panorama's angles, as the picture is turned"
        if note is None and name == (IPTC, "ImageRegion") and self.change.orientation != 1:
            note = "IPTC's regions, as the picture is turned"
        if note is None:
            return False
        self.touched = True
        if note:
            self.lost.add(note)
        return True

    def _renamed(self, name: Name) -> Name:
        """Where rows and columns change places, x and y, width and height do in names."""
        space, local = name
        other = {"x": "y", "y": "x", "w": "h", "h": "w"}.get(local)
        if not self.change.across or other is None or space not in (*AREAS, DIMENSIONS):
            return name
        self.touched = True
        return space, other

    def _value(self, name: Name, text: str) -> str:
        """The value of a property, changed; as it is, if it is not understood."""
        try:
            new = self._number(name, text)
        except (ValueError, ZeroDivisionError):
            return text
        if new is None or new == text:
            return text
        self.touched = True
        return new

    def _number(self, name: Name, text: str) -> str | None:
        space, local = name
        across, down = self.change.ratios
        width, height = self.change.new
        if name in WIDTHS or (space == DIMENSIONS and self._renamed(name)[1] == "w"):
            return str(width)
        if name in HEIGHTS or (space == DIMENSIONS and self._renamed(name)[1] == "h"):
            return str(height)
        if space == PANORAMA and local.endswith("Pixels"):
            ratio = down if "Height" in local or "Top" in local else across
            return str(round(Fraction(text.strip()) * ratio))
        if space == EXIF and local in ("FocalPlaneXResolution", "FocalPlaneYResolution"):
            return str(Fraction(text.strip()) * (across if "X" in local else down))
        if space in AREAS and local in ("x", "y"):
            return self._placed(local, float(text))
        if space == IPTC and local in IPTC_LENGTHS and float(text) > 1:  # pixels, not shares
            return f"{float(text) * (down if local in ('rbY', 'rbH') else across):g}"
        if space == REGION and local == "Rectangle":
            return self._rectangle(*(float(part) for part in text.split(",")))
        return None

    def _placed(self, side: str, value: float) -> str | None:
        """A share of a side, for what was told from the other end of it."""
        flipped = dict(UPRIGHT[self.change.orientation])[side]
        return f"{1 - value:.6g}" if flipped else None

    def _rectangle(self, left: float, top: float, width: float, height: float) -> str | None:
        """Microsoft's: shares of the picture, from the upper left corner."""
        if self.change.orientation == 1:
            return None
        old = {"x": (left, width), "y": (top, height)}
        corner, size = [], []
        for side, far in UPRIGHT[self.change.orientation]:
            start, length = old[side]
            corner.append(1 - start - length if far else start)
            size.append(length)
        return ", ".join(f"{value:.6g}" for value in (*corner, *size))
