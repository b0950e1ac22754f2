"""XMP: what of a packet holds for the picture that was turned upright and enlarged.

A packet that says nothing of pixels stays as it is, to the byte.
"""

import re

from bnnup.pictures.change import Change

# All that begins a rule here: without any of it in a packet there is nothing to do.
SIGNS = re.compile(
    rb"Orientation|PixelXDimension|PixelYDimension|ImageWidth|ImageLength|panorama/|sType/Area"
    rb"|sType/Dimensions|t/Region|hdr-gain-map|HDRGainMap|photos/|FocalPlane|Subject"
    rb"|Thumbnails|HasExtendedXMP|ImageRegion"
)
TIFF = b"http://ns.adobe.com/tiff/1.0/"


def orientation(packet: bytes) -> int:
    """The EXIF orientation that XMP states, 1 … 8; 1 where it states none that makes sense."""
    found = re.search(rb":Orientation\W{1,9}([1-8])\W", packet)
    return int(found[1]) if found and TIFF in packet else 1


def changed(packet: bytes, change: Change) -> tuple[bytes | None, list[str]]:
    """The packet after a change of the pixels, and what had to go for no longer holding.

    None if nobody could parse it.
    """
    utf_16 = packet[:2] in (b"\xff\xfe", b"\xfe\xff", b"\0<", b"<\0")
    if not (utf_16 or SIGNS.search(packet)):
        return packet, []
    if b"<!" in packet.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        return None, ["XMP with a document type"]
    from bnnup.pictures.xmp_rewriter import rewrite  # whose library brings the web's along

    return rewrite(packet, change)
