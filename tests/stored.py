"""Pictures with metadata, stored by others or by hand, and what a command makes of them."""

import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bnnup.pictures.fit import fit
from bnnup.pictures.formats import Encoding, format_of
from bnnup.pictures.metadata import for_size
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import read_picture
from bnnup.pictures.write import write_picture

WIDTH, HEIGHT = 24, 16
EXIF = 34665
needs_exiftool = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="ExifTool is not installed"
)


def scene(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 9, x * 9, y * 3 + x * 5], -1).astype(np.uint8)


def save(path: Path, **options: Any) -> Path:
    Image.fromarray(scene()).save(path, **options)
    return path


def enlarge(source: Path, target: Path, factor: int = 2) -> Picture:
    """What the program does with a picture, with pixels repeated in place of a network."""
    picture = read_picture(source)
    pixels = picture.pixels.repeat(factor, 0).repeat(factor, 1)
    info = for_size(picture.info, pixels.shape[1], pixels.shape[0])
    write_picture(Picture(pixels, info, picture.format), target)
    return picture


def told(path: Path, *options: str) -> dict[str, Any]:
    """What ExifTool says, by group and name."""
    command = ["exiftool", "-j", "-n", "-G1", "-a", *options, str(path)]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def tiff_block(order: str, *directories: list[tuple[int, int, bytes]]) -> bytes:
    """EXIF by hand: a main directory, and one that its last tag points to."""
    place, content = 8, b""
    for number, entries in enumerate(directories):
        rest, table = b"", b""
        end = place + 2 + 12 * len(entries) + 4
        for tag, kind, value in entries:
            size = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}[kind]
            field = value.ljust(4, b"\0")
            if len(value) > 4:
                field = struct.pack(order + "I", end + len(rest))
                rest += value + bytes(len(value) % 2)
            if tag == EXIF:
                field = b"next"
            table += struct.pack(order + "HHI", tag, kind, len(value) // size) + field
        head = struct.pack(order + "H", len(entries)) + table + bytes(4) + rest
        place += len(head)
        content += head.replace(b"next", struct.pack(order + "I", place)) if number == 0 else head
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + content


def insert(path: Path, kind: bytes, content: bytes, checksum: int | None = None) -> None:
    """Puts a chunk right after the header."""
    png = path.read_bytes()
    found = zlib.crc32(kind + content) if checksum is None else checksum
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", found)
    path.write_bytes(png[:33] + chunk + png[33:])


def fitted(picture: Picture, path: Path) -> Picture:
    """What becomes of a picture on its way into a file."""
    return fit(picture, Encoding(format_of(path)), path.name)
