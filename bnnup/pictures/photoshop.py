"""Photoshop's image resources, among which IPTC stands in JPEG, TIFF and PSD.

Adobe, "Photoshop File Formats Specification" (2019).
"""

import struct
from collections.abc import Iterable

MARK = b"Photoshop 3.0\0"
SIGNATURE = b"8BIM"
IPTC, ICC, EXIF, XMP = 1028, 1039, 1058, 1060


def parse(content: bytes) -> dict[int, bytes]:
    """Resources by number, up to where the content is no longer sound."""
    found: dict[int, bytes] = {}
    place = len(MARK) if content.startswith(MARK) else 0
    while content[place : place + 4] == SIGNATURE and place + 12 <= len(content):
        (number,) = struct.unpack_from(">H", content, place + 4)
        name = (content[place + 6] + 2) // 2 * 2  # with its length, and even
        start = place + 6 + name + 4
        if start > len(content):
            break
        (length,) = struct.unpack_from(">I", content, start - 4)
        found.setdefault(number, content[start : start + length])
        place = start + (length + 1) // 2 * 2
    return found


def serialize(number: int, content: bytes) -> bytes:
    """One resource."""
    head = SIGNATURE + struct.pack(">HHI", number, 0, len(content))
    return head + content + bytes(len(content) % 2)


def segment(iptc: bytes) -> bytes:
    """JPEG's segment APP13 with IPTC."""
    content = MARK + serialize(IPTC, iptc)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def named(resources: Iterable[tuple[int, bytes, bytes]]) -> dict[str, bytes]:
    """Metadata among the resources of a PSD, as Pillow lists them."""
    names = {IPTC: "iptc", ICC: "icc_profile", EXIF: "exif", XMP: "xmp"}
    return {names[each[0]]: each[2] for each in resources if each[0] in names}
