"""YUV4MPEG2 and raw planar frames: how programs hand uncompressed film to each other.

A stream is a line of fields, then, for every frame, a line that begins with FRAME
and the planes without padding; more than 8 bits are two bytes, little-endian. Raw
frames are the planes alone. Whatever is wrong with a stream is one MediaError.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bnnup.errors import MediaError
from bnnup.video.packed import Packing, packing_named
from bnnup.video.planes import Plane, PlaneFormat, read_pix_fmt

MAGIC = b"YUV4MPEG2"
MAX_LINE = 4096  # bytes of a header; real ones have about 100
MAX_PIXELS = 1 << 28  # of a frame: more than 16 K × 16 K is a broken header
MAX_SIDE = 1 << 16


class ByteSource(Protocol):
    """A binary stream to read from; less than asked for is all right."""

    def read(self, size: int, /) -> bytes | None: ...


class ByteSink(Protocol):
    """A binary stream to write to, which tells how much it took."""

    def write(self, data: bytes | memoryview, /) -> int | None: ...


@dataclass(frozen=True)
class StreamFormat:
    """What the frames of a stream are.

    ``fields`` are those of a YUV4MPEG2 header, in order, or None for raw frames, whose
    chroma may have a ``packing``.
    """

    width: int
    height: int
    form: PlaneFormat
    fields: tuple[str, ...] | None = None
    packing: Packing | None = None

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of a frame's planes, as they are in the stream."""
        if self.packing is not None:
            return self.packing.shapes(self.form, self.height, self.width)
        return self.form.shapes(self.height, self.width)

    def enlarged(self, scale: int) -> "StreamFormat":
        """The same stream, scale times as large each way."""
        width, height = scale * self.width, scale * self.height
        fields = self.fields
        if fields is not None:
            sides = {"W": f"W{width}", "H": f"H{height}"}
            fields = tuple(sides.get(field[0], field) for field in fields)
        return replace(self, width=width, height=height, fields=fields)


def read_raw_format(text: str) -> StreamFormat:
    """What ``WxH:pix_fmt`` means, like 640x360:yuv420p10le."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6}):(\w+)", text)
    packing = packing_named(match[3]) if match else None
    form = read_pix_fmt(packing.planar if packing else match[3]) if match else None
    if match is None or form is None:
        raise MediaError(
            f"{text!r} is not a raw format; write width, height and a Y'CbCr format as ffmpeg "
            "calls it: 640x360:gray, 640x360:yuv444p10le, 640x360:nv12 or 640x360:p010le"
        )
    return _checked(StreamFormat(int(match[1]), int(match[2]), form, packing=packing))


def read_header(source: ByteSource) -> StreamFormat:
    """Reads the first line of a YUV4MPEG2 stream."""
    line = _read_line(source)
    if not line:
        raise MediaError("the input is empty; does the program that should write it say why?")
    try:
        magic, *fields = line.decode("ascii").split()
    except ValueError:
        magic, fields = "", []
    if magic.encode() != MAGIC:
        raise MediaError(
            "the input is not a YUV4MPEG2 stream, as from "
            "'ffmpeg -i IN -f yuv4mpegpipe -strict -1 -'",
            hint="raw",
        )
    values = {field[0]: field[1:] for field in fields if field[0] != "X"}
    if values.get("I", "p") not in ("p", "?"):
        raise MediaError("the input is interlaced; put '-vf bwdif' before ffmpeg's output")
    sides = (values.get(key, "") for key in "WH")
    width, height = (int(side) if re.fullmatch(r"\d{1,6}", side) else 0 for side in sides)
    form = _read_colors(values.get("C", "420jpeg"))
    for field in fields:
        if field.startswith("XCOLORRANGE="):
            form = replace(form, full_range=field.endswith("=FULL"))
    return _checked(StreamFormat(width, height, form, tuple(fields)))


def _checked(stream: StreamFormat) -> StreamFormat:
    sides = stream.width, stream.height
    if not all(1 <= side <= MAX_SIDE for side in sides) or sides[0] * sides[1] > MAX_PIXELS:
        raise MediaError(f"frames of {sides[0]}×{sides[1]} pixels cannot be enlarged")
    return stream


def _read_colors(name: str) -> PlaneFormat:
    """The field C, like 420jpeg, 422p10 or mono."""
    match = re.fullmatch(r"(mono|4\d\d)(jpeg|mpeg2|paldv)?(?:p?(\d{1,2}))?", name)
    kind = "gray" if match and match[1] == "mono" else f"yuv{match[1]}p" if match else ""
    form = read_pix_fmt(f"{kind}{(match and match[3]) or ''}")
    if match is None or form is None:
        raise MediaError(
            f"colours {name[:20]!r} are not understood; known: 420, 422, 444 and mono in 8 to 16 "
            "bits; put '-pix_fmt yuv444p' before ffmpeg's output"
        )
    # Without a suffix, 8-bit 4:2:0 means JPEG's siting; deeper formats say nothing of it.
    default = "jpeg" if form.subsampling == (1, 1) and form.bits == 8 else "mpeg2"
    locations = {"jpeg": "center", "mpeg2": "left", "paldv": "topleft"}
    return replace(form, location=locations[match[2] or default])


def read_frames(source: ByteSource, stream: StreamFormat) -> Generator[list[Plane], None, None]:
    """The planes of one frame after the other, as ``PlaneFormat.shapes`` says."""
    sample = stream.form.dtype.newbyteorder("<")
    sizes = [rows * columns * sample.itemsize for rows, columns in stream.shapes]
    number = 1
    while True:
        if stream.fields is not None:
            line = _read_line(source)
            if not line:
                return
            if line.split()[:1] != [b"FRAME"]:
                raise MediaError(f"frame {number} does not begin with FRAME: damaged input")
        data = _read(source, sum(sizes))
        if not data and stream.fields is None:
            return
        if len(data) < sum(sizes):
            raise MediaError(f"the input was cut within frame {number}")
        planes, start = [], 0
        for shape, size in zip(stream.shapes, sizes, strict=True):
            plane = np.frombuffer(data, sample, size // sample.itemsize, start)
            planes.append(plane.reshape(shape).astype(stream.form.dtype, copy=False))
            start += size
        yield planes if stream.packing is None else stream.packing.unpack(planes)
        number += 1


def _read_line(source: ByteSource) -> bytes:
    """A line without its end; empty at the end of the stream."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = source.read(1)
        if not byte:
            if line:
                raise MediaError("the input was cut within a header")
            return b""
        line += byte
        if len(line) > MAX_LINE:
            raise MediaError("the input has an endless header: it is not a YUV4MPEG2 stream")
    return bytes(line[:-1]) or b" "


def _read(source: ByteSource, size: int) -> bytearray:
    """So many bytes, or as many as there are."""
    data = bytearray()
    while len(data) < size and (part := source.read(min(size - len(data), 1 << 20))):
        data += part
    return data


def write_header(target: ByteSink, stream: StreamFormat) -> None:
    """Writes the first line; raw streams have none."""
    if stream.fields is not None:
        _write(target, b" ".join([MAGIC, *(field.encode() for field in stream.fields)]) + b"\n")


def write_frame(target: ByteSink, stream: StreamFormat, planes: list[Plane]) -> None:
    """Writes one frame."""
    if stream.fields is not None:
        _write(target, b"FRAME\n")
    for plane in planes if stream.packing is None else stream.packing.pack(planes):
        sample = stream.form.dtype.newbyteorder("<")
        _write(target, np.ascontiguousarray(plane, sample).tobytes())


def _write(target: ByteSink, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) or 0 :]
