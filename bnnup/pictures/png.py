"""PNG: what stands around the pixels, and writing strip by strip, in 8 and 16 bits.

W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures import photoshop
from bnnup.pictures.exif import MARK
from bnnup.pictures.metadata import Info
from bnnup.pixels.tiling import regroup

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
PAETH = 4  # the filter that suits enlarged pictures best
LONGEST = (1 << 31) - 1  # pixels each way
ROWS = 64  # filtered at a time
METRES_PER_INCH = 0.0254
MOST = 64 << 20  # bytes of metadata, unpacked: what is larger is left out
READABLE = 1 << 20  # bytes of a text or a profile, unpacked: many readers give up beyond
PIXELS = {b"tRNS", b"acTL", b"fcTL", b"fdAT"}  # not critical by name, but needed for pixels
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
COLORS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"mDCV": 24, b"cLLI": 8}  # bytes
XMP_KEYWORD = b"XML:com.adobe.xmp"
RAW = b"Raw profile type "  # before EXIF and IPTC had chunks, in hexadecimal
RAW_KINDS = {
    b"exif": "exif",
    b"APP1": "exif",
    b"iptc": "iptc",
    b"xmp": "xmp",
    b"icc": "icc_profile",
}
PER_METRE = 1


@dataclass
class Surroundings:
    """Metadata of a PNG, what of it is damaged or too large, and how the pixels are read.

    ``plain`` is a file without all that a decoder might stumble over.
    """

    plain: IO[bytes]
    info: Info = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of each chunk's content, as far as the file goes."""
    end = file.seek(0, os.SEEK_END)
    place = len(SIGNATURE)
    while place + 12 <= end:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += length + 12


def read_surroundings(file: IO[bytes]) -> Surroundings:
    """What stands around the pixels of a PNG; no damage there is an error."""
    found = Surroundings(file)
    spans, unpacked, awkward = [(0, len(SIGNATURE))], 0, False
    for kind, place, length in chunks(file):
        if not kind[0] & 0x20 or kind in PIXELS:
            spans.append((place - 8, length + 12))
            continue
        name = kind.decode("latin-1")
        file.seek(place)
        content = file.read(min(length, MOST))
        checksum = file.read(4)
        if length > MOST or zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum):
            found.lost.append(f"a damaged part of the file, {name}")
            awkward = True
            continue
        try:
            size = _take(found.info, kind, content)
        except (ValueError, zlib.error, struct.error):
            found.lost.append(f"a part of the file that is not understood, {name}")
            awkward = True
            continue
        unpacked += size
        awkward |= size > READABLE
    _leave_out_enormous(found)
    if awkward or unpacked > MOST // 2:
        found.plain = _parts(file, spans)
    return found


def _leave_out_enormous(found: Surroundings) -> None:
    """Drops what would make the result unreadable for many."""
    info = found.info
    if len(info.get("icc_profile", b"")) > READABLE:
        found.lost.append(f"a colour profile of {len(info.pop('icc_profile')) / 1e6:.0f} MB")
    sizes = [_take_text({}, kind, content) for kind, content in info.get("text", ())]
    if max(sizes, default=0) > READABLE:
        found.lost.append(f"text of {max(sizes) / 1e6:.0f} MB")
        texts = zip(info["text"], sizes, strict=True)
        info["text"] = tuple(text for text, size in texts if size <= READABLE)


def _parts(file: IO[bytes], spans: Iterable[tuple[int, int]]) -> IO[bytes]:
    plain = BytesIO()
    for start, length in spans:
        file.seek(start)
        plain.write(file.read(length))
    plain.seek(0)
    return plain


def _take(info: Info, kind: bytes, content: bytes) -> int:
    """Puts what a chunk says into ``info``; how many bytes it is, unpacked."""
    if kind in TEXTS:
        return _take_text(info, kind, content)
    if kind == b"iCCP":
        content = info["icc_profile"] = _unpack(content[content.index(b"\0") + 2 :])
    elif kind == b"eXIf":
        info["exif"] = MARK + content.removeprefix(MARK)
    elif kind == b"pHYs":
        across, down, unit = struct.unpack(">IIB", content)
        if unit == PER_METRE:
            info["dpi"] = across * METRES_PER_INCH, down * METRES_PER_INCH
    elif kind in COLORS:
        if len(content) != COLORS[kind]:
            raise ValueError("too short, or too long")
        info["color"] = (*info.get("color", ()), (kind, content))
    return len(content)


def _take_text(info: Info, kind: bytes, content: bytes) -> int:
    keyword, rest = content.split(b"\0", 1)
    if kind == b"zTXt":
        text = _unpack(rest[1:])
    elif kind == b"iTXt":
        packed, text = rest[0], rest[2:].split(b"\0", 2)[2]
        text = _unpack(text) if packed else text
    else:
        text = rest
    name = "xmp" if keyword == XMP_KEYWORD else RAW_KINDS.get(keyword.removeprefix(RAW))
    if keyword == XMP_KEYWORD:
        info["xmp"] = text
    elif keyword.startswith(RAW) and name:
        info.setdefault(name, _from_hexadecimal(text))
    else:
        info["text"] = (*info.get("text", ()), (kind, content))
    return len(text)


def _unpack(content: bytes) -> bytes:
    """ValueError if it is more than MOST."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, MOST)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError("too large, or cut off")
    return unpacked


def _from_hexadecimal(text: bytes) -> bytes:
    """ImageMagick's "\\n", name, length and content; without APP1's or Photoshop's wrapping."""
    _, _, digits = text.strip().split(maxsplit=2)
    content = bytes.fromhex(b"".join(digits.split()).decode("ascii"))
    resources = photoshop.parse(content)
    return resources.get(photoshop.IPTC, content)


def write_png(
    strips: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes uint8 or uint16 strips that make up a picture of ``shape`` from top to bottom.

    Paeth-filtered photographs hold few repetitions that are not runs, so only runs are
    looked for: a seventh of the time, and no larger. ValueError if PNG cannot hold it.
    """
    write_head(file, dtype.itemsize * 8, shape, info)
    for content in packed(strips, shape, dtype):
        write_chunk(file, b"IDAT", content)
    write_chunk(file, b"IEND", b"")


def packed(
    strips: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[bytes]:
    """The content of IDAT for strips of a picture, in parts."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    above = np.zeros((1, *shape[1:]), dtype)
    for rows in regroup(strips, ROWS):
        if content := deflate.compress(_filter(np.concatenate([above, rows]))):
            yield content
        above = rows[-1:]
    yield deflate.flush()


def _filter(rows: NDArray[Any]) -> bytes:
    """The rows below the first, each preceded by its filter, as the difference from Paeth's guess.

    Left, up and upper left are those of the same byte of the neighbouring pixel.
    """
    count = len(rows) - 1
    pixel = rows[0, 0].nbytes
    big_endian = rows.astype(rows.dtype.newbyteorder(">"), copy=False)
    samples = np.ascontiguousarray(big_endian).view(np.uint8).reshape(count + 1, -1)
    padded = np.pad(samples, ((0, 0), (pixel, 0))).astype(np.int16)
    left, up, corner = padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel]
    to_left, to_up = up - corner, left - corner  # how far the guess left + up − corner is away
    to_corner = np.abs(to_left + to_up)
    to_left, to_up = np.abs(to_left), np.abs(to_up)
    guess = np.where(to_up <= to_corner, up, corner)
    np.copyto(guess, left, where=(to_left <= to_up) & (to_left <= to_corner))
    filtered = np.empty((count, samples.shape[1] + 1), np.uint8)
    filtered[:, 0] = PAETH
    np.subtract(padded[1:, pixel:], guess, out=filtered[:, 1:], casting="unsafe")
    return filtered.tobytes()


def write_head(
    file: IO[bytes], bits: int, shape: tuple[int, ...], info: Info, frames: bytes = b""
) -> None:
    """All that comes before the pixels; ``frames`` is the content of acTL, for animations."""
    height, width = shape[:2]
    if max(height, width) > LONGEST:
        raise ValueError(f"its sides have at most {LONGEST} pixels")
    channels = shape[2] if len(shape) == 3 else 1
    header = struct.pack(">IIBBBBB", width, height, bits, COLOR_TYPES[channels], 0, 0, 0)
    file.write(SIGNATURE)
    write_chunk(file, b"IHDR", header)
    for kind, content in info.get("color", ()):
        write_chunk(file, kind, content)
    if "icc_profile" in info:
        write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(info["icc_profile"]))
    if "dpi" in info:
        per_metre = (round(density / METRES_PER_INCH) for density in info["dpi"])
        write_chunk(file, b"pHYs", struct.pack(">IIB", *per_metre, PER_METRE))
    if frames:
        write_chunk(file, b"acTL", frames)
    if "exif" in info:
        write_chunk(file, b"eXIf", info["exif"].removeprefix(MARK))
    if "xmp" in info:
        write_chunk(file, b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + info["xmp"])
    if "iptc" in info:
        write_chunk(file, b"zTXt", _to_hexadecimal(b"iptc", info["iptc"]))
    for kind, content in _texts(info):
        write_chunk(file, kind, content)


def _texts(info: Info) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of text, among them a comment that comes from another format."""
    yield from info.get("text", ())
    if comment := info.get("comment", b"").replace(b"\0", b" "):
        try:
            comment.decode()
        except UnicodeDecodeError:
            yield b"tEXt", b"Comment\0" + comment  # which is Latin-1
        else:
            yield b"iTXt", b"Comment\0\0\0\0\0" + comment


def _to_hexadecimal(name: bytes, content: bytes) -> bytes:
    """As ImageMagick and ExifTool know it."""
    wrapped = photoshop.serialize(photoshop.IPTC, content)
    text = b"\n%s\n%8d\n" % (name, len(wrapped))
    digits = wrapped.hex().encode()
    text += b"".join(digits[place : place + 72] + b"\n" for place in range(0, len(digits), 72))
    return RAW + name + b"\0\0" + zlib.compress(text)


def write_chunk(file: IO[bytes], kind: bytes, content: bytes) -> None:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", checksum))
