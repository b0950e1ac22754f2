"""What films say of their pictures: what stays true is said again, what does not is not."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from films import ffmpeg, ffprobe, needs_ffmpeg, planes, source  # noqa: E402

from bnnup.errors import MediaError  # noqa: E402
from bnnup.upscale.upscaler import Upscaler  # noqa: E402
from bnnup.video import timecode  # noqa: E402
from bnnup.video.enlarge import FilmResult, Options, enlarge_video  # noqa: E402
from bnnup.video.read import Cut  # noqa: E402

WAY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")  # to MP4's entry of a stream


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_boxes(path: Path, entry: bytes, boxes: bytes) -> None:
    """Puts boxes into the entry of the only stream of an MP4 whose index lies at its end."""
    data, at = bytearray(path.read_bytes()), 0
    for kind in (*WAY, entry):
        at = data.index(kind, at)
        size = struct.unpack_from(">I", data, at - 4)[0]
        struct.pack_into(">I", data, at - 4, size + len(boxes))
    end = at - 4 + size
    data[end:end] = boxes
    path.write_bytes(data)


def make(path: Path, boxes: bytes = b"", codec: str = "libx264 -qp 0", size: str = "64x36") -> None:
    ffmpeg(f"{source(size)} -pix_fmt yuv420p -c:v {codec} {path}")
    if boxes:
        with_boxes(path, b"hev1" if "x265" in codec else b"avc1", boxes)


def said(path: Path) -> dict[str, dict[str, Any]]:
    """Side data of the film's stream by kind."""
    stream = ffprobe(path, "-select_streams", "v:0", "-show_streams")["streams"][0]
    return {entry["side_data_type"]: entry for entry in stream.get("side_data_list", [])}


def enlarge(upscaler: Upscaler, before: Path, after: Path, **options: object) -> FilmResult:
    return enlarge_video(upscaler, before, after, Options(**options))  # type: ignore[arg-type]


def sphere() -> bytes:
    """Google's boxes: an equirectangular picture, for each eye one, turned by 30 degrees."""
    pose = box(b"prhd", struct.pack(">I3i", 0, 30 << 16, 0, 0))
    whole = box(b"equi", struct.pack(">5I", 0, 0, 0, 0, 0))
    head = box(b"svhd", bytes(4) + b"test\0")
    return box(b"st3d", bytes(4) + b"\1") + box(b"sv3d", head + box(b"proj", pose + whole))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "x264"), ("mkv", "x264"), ("mkv", "ffv1"), ("mp4", "x265")]
)
def test_spheres_and_stereo_stay(
    ending: str, codec: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, plain = tmp_path / "in.mp4", tmp_path / "plain.mp4"
    for path, boxes in (before, sphere()), (plain, b""):
        make(path, boxes)
    assert said(before)["Spherical Mapping"]["yaw"] == 30
    after, other = tmp_path / f"out.{ending}", tmp_path / f"other.{ending}"
    assert enlarge(upscaler, before, after, codec=codec).warnings == []
    assert said(after)["Spherical Mapping"] == said(before)["Spherical Mapping"]
    assert said(after)["Stereo 3D"]["type"] == "top and bottom"
    enlarge(upscaler, plain, other, codec=codec)
    streams = [ffprobe(path, "-show_streams")["streams"][0] for path in (after, other)]
    facts = "codec_name profile level width height pix_fmt has_b_frames avg_frame_rate time_base"
    for fact in facts.split():
        assert streams[0].get(fact) == streams[1].get(fact)
    for left, right in zip(planes(after), planes(other), strict=True):
        for mine, theirs in zip(left, right, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@needs_ffmpeg
def test_a_container_that_says_nothing_of_spheres_costs_a_warning(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.ts"
    make(before, sphere())
    assert any("spherical" in words for words in enlarge(upscaler, before, after).warnings)


def dolby(profile: int, compatibility: int) -> bytes:
    """Dolby Vision's configuration: version 1.0, level 6, with metadata, a base layer only."""
    flags = profile << 9 | 6 << 3 | 0b101
    return box(b"dvvC", struct.pack(">2BHB19x", 1, 0, flags, compatibility << 4))


@needs_ffmpeg
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_dolby_visions_claim_goes(ending: str, upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / f"out.{ending}"
    make(before, dolby(8, 1), codec="libx265 -x265-params log-level=none")
    assert said(before)["DOVI configuration record"]["dv_profile"] == 8
    result = enlarge(upscaler, before, after)
    assert "Dolby Vision" in " ".join(result.warnings)
    assert not said(after)


@needs_ffmpeg
def test_colours_that_need_dolby_vision_are_refused_before_any_work(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make(before, dolby(5, 0), codec="libx265 -x265-params log-level=none")
    with pytest.raises(MediaError, match="profile 5") as error:
        enlarge(upscaler, before, after)
    assert error.value.hint == "dolby"
    assert list(tmp_path.iterdir()) == [before]
    assert "Dolby Vision" in " ".join(enlarge(upscaler, before, after, drop_misfits=True).warnings)


@needs_ffmpeg
@pytest.mark.parametrize("sides", [(4, 6, 8, 2), (0, 0, 16, 0)])
def test_a_crop_is_applied(
    sides: tuple[int, int, int, int], upscaler: Upscaler, tmp_path: Path
) -> None:
    """As if it had been cropped first."""
    top, bottom, left, right = sides
    before, cropped = tmp_path / "in.mp4", tmp_path / "cropped.mkv"
    width, height = 64 - left - right, 36 - top - bottom
    offsets = (left - right, 2), (top - bottom, 2)  # of the middle, as fractions
    numbers = (width, 1), (height, 1), *offsets
    make(before, box(b"clap", b"".join(struct.pack(">iI", *pair) for pair in numbers)))
    ffmpeg(
        f"{source()} -pix_fmt yuv420p -vf crop={width}:{height}:{left}:{top} -c:v ffv1 {cropped}"
    )
    results = tmp_path / "a.mkv", tmp_path / "b.mkv"
    for path, result in zip((before, cropped), results, strict=True):
        enlarge(upscaler, path, result, codec="ffv1")
    for mine, theirs in zip(*map(planes, results), strict=True):
        assert mine[0].shape == (2 * height, 2 * width)
        for plane, expected in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(plane, expected)


@needs_ffmpeg
@pytest.mark.parametrize("ending", ["webm", "mkv"])
def test_what_has_become_opaque_does_not_claim_transparency(
    ending: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.webm", tmp_path / f"out.{ending}"
    ffmpeg(f"{source()} -pix_fmt yuva420p -c:v libvpx-vp9 -deadline realtime {before}")
    tags = ("-show_entries", "stream_tags")
    assert ffprobe(before, *tags)["streams"][0]["tags"]["alpha_mode"] == "1"
    assert "transparency" in " ".join(enlarge(upscaler, before, after).warnings)
    left = ffprobe(after, *tags)["streams"][0].get("tags", {})
    assert "alpha_mode" not in {key.lower() for key in left}


def make_captions(path: Path) -> None:
    """A film with a pair of letters in each of its frames."""
    plain, raw = path.with_suffix(".plain.h264"), path.with_suffix(".h264")
    ffmpeg(f"{source()} -pix_fmt yuv420p -c:v libx264 -bf 0 -threads 1 {plain}")
    # ATSC A/53: a country, a provider, who reads it, captions, how many, and their letters.
    text = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\xc8\xe9\xff"
    message = b"\x00\x00\x01\x06\x04" + bytes([len(text)]) + text + b"\x80"
    units = plain.read_bytes().split(b"\x00\x00\x01")
    made = units[0]
    for unit in units[1:]:
        is_slice = unit[0] & 0x1F in (1, 5)
        made += (message if is_slice else b"") + b"\x00\x00\x01" + unit
    raw.write_bytes(made)
    ffmpeg(f"-r 25 -i {raw} -c copy {path}")


def captioned(path: Path) -> int:
    """Frames with captions."""
    frames = ffprobe(path, "-show_frames")["frames"]
    return sum(
        any("Closed Captions" in entry["side_data_type"] for entry in frame["side_data_list"])
        for frame in frames
        if "side_data_list" in frame
    )


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["x264", "x265", "av1", "ffv1"])
def test_captions_are_kept_or_a_warning_says_that_they_go(
    codec: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_captions(before)
    assert captioned(before) == 10
    result = enlarge(upscaler, before, after, codec=codec)
    lost = any("closed captions" in words for words in result.warnings)
    assert captioned(after) == (0 if lost else 10)
    assert lost == (codec not in ("x264", "x265"))


@needs_ffmpeg
def test_an_mp4_can_be_played_before_it_has_arrived_and_keeps_apples_tags(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after, plain = (tmp_path / name for name in ("in.mov", "out.mp4", "plain.mp4"))
    tags = "-metadata com.apple.quicktime.make=Apple -metadata com.apple.quicktime.model=X1"
    ffmpeg(f"{source()} -c:v libx264 -movflags use_metadata_tags {tags} {before}")
    ffmpeg(f"{source()} -c:v libx264 -metadata title=Me {plain}")
    enlarge(upscaler, before, after)
    found = ffprobe(after, "-show_entries", "format_tags")["format"]["tags"]
    assert found["com.apple.quicktime.make"] == "Apple"
    assert found["com.apple.quicktime.model"] == "X1"
    assert found["major_brand"] == "isom"
    data = after.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    enlarge(upscaler, plain, after)
    assert ffprobe(after, "-show_entries", "format_tags")["format"]["tags"]["title"] == "Me"


@needs_ffmpeg
@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_the_timecode_is_that_of_the_first_picture(
    ending: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mov", tmp_path / f"out.{ending}"
    film = "-f lavfi -i testsrc2=s=64x36:r=30000/1001:d=2"
    ffmpeg(f"{film} -c:v libx264 -timecode 01:00:59;20 {before}")
    enlarge(upscaler, before, after, cut=Cut(start=1.5))
    (film, *_) = ffprobe(after, "-show_streams")["streams"]
    tags = {key.lower(): value for key, value in film["tags"].items()}
    assert tags["timecode"] == "01:01:01;07"  # 45 frames on: the first after 1.5 s


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30)])
def test_timecodes_count_frames(rate: Fraction) -> None:
    a_second = round(rate)
    for begin in range(0, 100, 7):
        expected = f"00:{begin // (60 * a_second):02}:{begin // a_second:02}:{begin % a_second:02}"
        assert timecode.moved("00:00:00:00", rate, begin) == expected


@pytest.mark.parametrize("rate", [30, 60])
def test_drop_frame_timecodes_leave_out_the_first_numbers_of_minutes(rate: int) -> None:
    labels = (
        f"00:{minute:02}:{second:02};{frame:02}"
        for minute in range(21)
        for second in range(60)
        for frame in range(rate)
        if not (minute % 10 and second == 0 and frame < rate // 15)
    )
    exact = Fraction(rate * 1000, 1001)
    for frames, label in enumerate(labels):
        assert timecode.moved("00:00:00;00", exact, frames) == label
        assert timecode.moved(label, exact, 0) == label


def test_timecodes_begin_anew_after_a_day_and_count_fields() -> None:
    assert timecode.moved("23:59:59;29", Fraction(30000, 1001), 1) == "00:00:00;00"
    assert timecode.moved("10:00:00:12", Fraction(25), 1, fields=2) == "10:00:00:26"
    assert timecode.moved("soon", Fraction(25), 1) == "soon"
