"""YUV4MPEG2 and raw frames, in and out, whole and damaged."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnup.errors import MediaError
from bnnup.video import y4m
from bnnup.video.planes import Plane


def read(data: bytes) -> tuple[y4m.StreamFormat, list[list[Plane]]]:
    source = BytesIO(data)
    stream = y4m.read_header(source)
    return stream, list(y4m.read_frames(source, stream))


def write(stream: y4m.StreamFormat, frames: list[list[Plane]]) -> bytes:
    target = BytesIO()
    y4m.write_header(target, stream)
    for planes in frames:
        y4m.write_frame(target, stream, planes)
    return target.getvalue()


@pytest.mark.parametrize(
    ("colors", "planes"),
    [
        ("", [(3, 5), (2, 3), (2, 3)]),
        (" C420jpeg", [(3, 5), (2, 3), (2, 3)]),
        (" C420mpeg2", [(3, 5), (2, 3), (2, 3)]),
        (" C422", [(3, 5), (3, 3), (3, 3)]),
        (" C444p10 XYSCSS=444P10", [(3, 5)] * 3),
        (" C420p16", [(3, 5), (2, 3), (2, 3)]),
        (" Cmono", [(3, 5)]),
        (" Cmono12", [(3, 5)]),
    ],
)
def test_round_trip(colors: str, planes: list[tuple[int, int]]) -> None:
    deep = any(depth in colors for depth in ("p10", "p16", "o12"))
    size = sum(rows * columns for rows, columns in planes) * (2 if deep else 1)
    frames = [bytes(np.random.default_rng(seed).integers(0, 4, size, np.uint8)) for seed in (1, 2)]
    data = b"YUV4MPEG2 W5 H3 F25:1 Ip A1:1" + colors.encode() + b"\n"
    data += b"".join(b"FRAME\n" + frame for frame in frames)
    stream, decoded = read(data)
    assert [plane.shape for plane in decoded[0]] == planes
    assert write(stream, decoded) == data


@pytest.mark.parametrize(
    ("colors", "location", "full"),
    [
        (b"C420jpeg", "center", False),
        (b"C420mpeg2 XCOLORRANGE=LIMITED", "left", False),
        (b"C420paldv", "topleft", False),
        (b"C422 XCOLORRANGE=FULL", "left", True),
        (b"Cmono", "left", True),
        (b"C420p10", "left", False),
    ],
)
def test_meaning(colors: bytes, location: str, full: bool) -> None:
    stream, _ = read(b"YUV4MPEG2 W2 H2 " + colors + b"\n")
    assert (stream.form.location, stream.form.full_range) == (location, full)


def test_enlarged_keeps_the_other_fields() -> None:
    stream, _ = read(b"YUV4MPEG2 W4 H2 F30000:1001 A4:3 C422 XFOO=W9\n")
    larger = write(stream.enlarged(3), [])
    assert larger == b"YUV4MPEG2 W12 H6 F30000:1001 A4:3 C422 XFOO=W9\n"


HEADER = b"YUV4MPEG2 W2 H2 F25:1 C444\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the input is empty"),
        (b"YUV4MPEG2 W2 H2", "cut within a header"),
        (b"RIFF....AVI \n", "not a YUV4MPEG2"),
        (b"\xff\xfe\n", "not a YUV4MPEG2"),
        (b"\n", "not a YUV4MPEG2"),
        (b"YUV4MPEG2" + b" " * 5000, "endless header"),
        (b"YUV4MPEG2 H2\n", "of 0×2"),
        (b"YUV4MPEG2 W-2 H2\n", "cannot be enlarged"),
        (b"YUV4MPEG2 W99999 H99999\n", "cannot be enlarged"),
        (b"YUV4MPEG2 W" + b"9" * 4000 + b" H2\n", "cannot be enlarged"),
        (b"YUV4MPEG2 W2 H2 It\n", "interlaced"),
        (b"YUV4MPEG2 W2 H2 Im\n", "interlaced"),
        (b"YUV4MPEG2 W2 H2 C444alpha\n", "not understood"),
        (b"YUV4MPEG2 W2 H2 C420p7\n", "not understood"),
        (b"YUV4MPEG2 W2 H2 C\n", "not understood"),
        (HEADER + b"FRAME", "cut within a header"),
        (HEADER + b"FRAME\n12345", "cut within frame 1"),
        (HEADER + b"FRAME\n" + b"x" * 12 + b"FRAME\n", "cut within frame 2"),
        (HEADER + b"FRAME\n" + b"x" * 12 + b"GRAME\n", "frame 2"),
        (HEADER + b"\n", "frame 1"),
    ],
)
def test_damage_is_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 30), st.binary(max_size=40))
def test_any_bytes_are_frames_or_one_error(start: bytes, cut: int, rest: bytes) -> None:
    good = b"YUV4MPEG2 W2 H2 F25:1 C444\nFRAME\n0123456789ab"
    for data in (start + rest, good[:cut] + start + good[cut:] + rest):
        try:
            read(data)
        except MediaError as error:
            assert "\n" not in str(error)


def test_no_frames_are_no_error() -> None:
    assert read(HEADER)[1] == []


def test_raw_frames() -> None:
    stream = y4m.read_raw_format("3x2:yuv420p10le")
    data = bytes(range(20)) * 2
    frames = list(y4m.read_frames(BytesIO(data), stream))
    assert len(frames) == 2
    assert write(stream, frames) == data
    with pytest.raises(MediaError, match="cut within frame 2"):
        list(y4m.read_frames(BytesIO(data[:-1]), stream))


@pytest.mark.parametrize(
    "text", ["", "3x2", "3x2:rgb24", "0x2:gray", "axb:gray", "3x2:yuv420p10be", "9999999x1:gray"]
)
def test_raw_formats_that_are_none(text: str) -> None:
    with pytest.raises(MediaError):
        y4m.read_raw_format(text)
