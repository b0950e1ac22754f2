"""No parser takes more time than what it parses is long."""

import subprocess
import sys

import pytest

BYTES = [
    b" ",
    b"\n",
    b"<",
    b">",
    b"&",
    b'"',
    b"=",
    b"a",
    b"0",
    b"\0",
    b"\xff",
    b"#",
    b"/",
    b"-",
    b"8BIM",
]
BYTES += [b"II", b"<a>", b"<a/>", b"Orientation ", b"1 ", b"\x1c\x02"]
PARSERS = """
import sys
from io import BytesIO
from bnnup.pictures import boxes, exif, jxl, photoshop, png, pnm, xmp
from bnnup.pictures.change import Change
piece = bytes.fromhex(sys.argv[1])
full = (piece * (1 << 20))[: 1 << 20]
change = Change((4, 6), (12, 8), 6)
start = b'<x xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"'
for content in (full, start + b">" + full + b"</x>", start + b' a="' + full, start + full):
    xmp.orientation(content)
    xmp.changed(content, change)
for head in (b"", b"II*\\0\\x08\\0\\0\\0", b"MM\\0+\\0\\x08\\0\\0" + bytes(7) + b"\\x10"):
    found = exif.Exif.parse(head + full)
    if found is not None:
        found.changed(change)[0].serialize()
for head in (b"", b"P5", b"P2 4 4 255 ", b"P6 4"):
    pnm.white(BytesIO(head + full))
    try:
        pnm.read_pnm(BytesIO(head + full))
    except (ValueError, OverflowError):
        pass
photoshop.parse(photoshop.MARK + full)
list(boxes.boxes(full)), list(boxes.inside(full, b"meta", b"iprp")), boxes.jpeg2000_bits(full)
jxl.read_header(b"\\xff\\x0a" + full), jxl.read_xmp(jxl.SIGNATURE + full)
png.read_surroundings(BytesIO(png.SIGNATURE + full))
chunk = len(full).to_bytes(4) + b"zTXt" + full + bytes(4)
png.read_surroundings(BytesIO(png.SIGNATURE + chunk))
"""


@pytest.mark.parametrize("piece", BYTES, ids=repr)
def test_a_megabyte_of_anything_is_parsed_in_no_time(piece: bytes) -> None:
    """Whatever took time that grows with the square of it would take hours."""
    command = [sys.executable, "-c", PARSERS, piece.hex()]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
