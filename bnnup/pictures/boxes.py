"""The boxes that AVIF, HEIC and JPEG XL files consist of: ISO/IEC 14496-12, 4.2."""

import struct
from collections.abc import Iterator

SKIPPED = {b"meta": 4}  # bytes of version and flags before the boxes inside
VARIES = 255  # from channel to channel
J2K_START, J2K_BITS = b"\xff\x4f\xff\x51", 42  # and where the bits of the first channel stand
AV1_DEEP, AV1_TWELVE = 0x40, 0x20  # of the third byte of av1C


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box, up to where they are no longer sound."""
    place = 0
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        start = place + 8
        if size == 1 and place + 16 <= len(content):
            size, start = struct.unpack_from(">Q", content, start)[0], start + 8
        end = place + size if size else len(content)
        if end < start:
            return
        yield kind, content[start:end]
        place = end


def inside(content: bytes, *path: bytes) -> Iterator[bytes]:
    """Contents of the boxes that a path of kinds leads to."""
    for kind, within in boxes(content):
        if kind != path[0]:
            continue
        if len(path) == 1:
            yield within
        else:
            yield from inside(within[SKIPPED.get(kind, 0) :], *path[1:])


def read_code_points(content: bytes) -> tuple[int, int]:
    """Primaries and transfer curve of an AVIF or HEIC by CICP; 2, unknown, if it states none."""
    for color in inside(content, b"meta", b"iprp", b"ipco", b"colr"):
        if color[:4] == b"nclx" and len(color) >= 8:
            primaries, transfer = struct.unpack_from(">HH", color, 4)
            return primaries & 255, transfer & 255
    return 2, 2


def av1_bits(content: bytes) -> int:
    """Bits of a sample of an AVIF."""
    for config in inside(content, b"meta", b"iprp", b"ipco", b"av1C"):
        if len(config) > 2 and config[2] & AV1_DEEP:
            return 12 if config[2] & AV1_TWELVE else 10
    return 8


def jpeg2000_bits(content: bytes) -> int:
    """Bits of a sample of a JPEG 2000 file, or of its bare codestream."""
    for header in inside(content, b"jp2h", b"ihdr"):
        return (header[10] & 0x7F) + 1 if len(header) > 10 and header[10] != VARIES else 8
    bare = content.startswith(J2K_START) and len(content) > J2K_BITS
    return (content[J2K_BITS] & 0x7F) + 1 if bare else 8
