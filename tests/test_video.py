"""``bnnup video`` on films made by ffmpeg, compared by ffprobe."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from av.sidedata.sidedata import Type as SideData  # noqa: E402
from conftest import KILL, KILLED, Run  # noqa: E402
from films import (  # noqa: E402
    Interrupter,
    ffmpeg,
    ffprobe,
    needs_ffmpeg,
    other_packets,
    planes,
    source,
    times,
)
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

from bnnup.cli.output import with_hint  # noqa: E402
from bnnup.errors import FullError, MediaError  # noqa: E402
from bnnup.system import paths  # noqa: E402
from bnnup.upscale.upscaler import Upscaler, load  # noqa: E402
from bnnup.video import codecs, enlarge, estimate, mux, spans, transcode  # noqa: E402
from bnnup.video.codecs import codec_named  # noqa: E402
from bnnup.video.enlarge import Options, enlarge_video  # noqa: E402
from bnnup.video.planes import read_pix_fmt  # noqa: E402
from bnnup.video.read import Cut  # noqa: E402
from bnnup.video.segments import Chunk, SegmentWriter  # noqa: E402
from bnnup.video.size import Exact  # noqa: E402

pytestmark = needs_ffmpeg

SUBTITLES = """1
00:00:00,100 --> 00:00:00,500
One

2
00:00:00,600 --> 00:00:00,900
Two
"""
CHAPTERS = """;FFMETADATA1
title=A film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=first
[CHAPTER]
TIMEBASE=1/1000
START=400
END=1000
title=second
"""
HDR = (
    "hdr10=1:log-level=none:chromaloc=2:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):"
    "max-cll=1000,400"
)


def streams(path: Path) -> list[dict[str, Any]]:
    """What must stay the same of each stream."""
    kept = (
        "index", "codec_type", "pix_fmt", "sample_aspect_ratio", "color_range", "color_space",
        "color_transfer", "color_primaries", "chroma_location", "field_order", "start_pts",
        "r_frame_rate", "time_base", "disposition", "side_data_list",
    )  # fmt: skip
    tags = ("language", "title", "filename", "mimetype", "timecode")
    return [
        {key: stream.get(key) for key in kept}
        | {tag: stream.get("tags", {}).get(tag) for tag in tags}
        for stream in ffprobe(path, "-show_streams")["streams"]
    ]


def as_meant(stream: dict[str, Any]) -> dict[str, Any]:
    """What players take a small film without tags for, and a larger one would not say."""
    colors = ("color_space", "color_primaries", "color_transfer")
    is_film = stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]
    if not is_film or stream["color_space"] not in (None, "unknown"):
        return stream
    known = {"color_range": stream["color_range"] or "tv"}
    return stream | dict.fromkeys(colors, "smpte170m") | known


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two audio tracks, subtitles, chapters, and the files that these are made of."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "s.srt").write_text(SUBTITLES)
    (folder / "chapters").write_text(CHAPTERS)
    inputs = f"-i {folder}/s.srt -i {folder}/chapters -map 0 -map 1 -map 2 -map 3"
    sound = "-f lavfi -i sine=d=1 -f lavfi -i sine=f=880:d=1"
    tags = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=ger -metadata:s:a:1 title=Ton"
    colors = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
    common = (
        f"-map_metadata 4 -map_chapters 4 -c:v libx264 -c:a:0 aac -c:a:1 libopus {tags} {colors}"
    )
    film = f"{source(seconds=1)} {sound} {inputs} {common}"
    ffmpeg(film, f"-c:s mov_text {folder}/rich.mp4")
    attachment = f"-attach {folder}/chapters -metadata:s:t mimetype=text/plain"
    ffmpeg(film, f"-c:s srt {attachment} {folder}/rich.mkv")
    return folder


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_everything_but_the_size_stays(
    rich: Path, suffix: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = rich / f"rich.{suffix}", tmp_path / f"out.{suffix}"
    result = enlarge_video(upscaler, before, after)
    assert (result.width, result.height, result.progress.frames) == (128, 72, 25)
    assert result.warnings == []
    assert streams(after) == [as_meant(stream) for stream in streams(before)]
    assert times(after) == times(before)
    assert other_packets(after) == other_packets(before)
    chapters = [ffprobe(path, "-show_chapters")["chapters"] for path in (before, after)]
    assert len(chapters[0]) == 2
    assert chapters[0] == chapters[1]
    assert ffprobe(after, "-show_format")["format"]["tags"]["title"] == "A film"
    assert [path.name for path in tmp_path.iterdir()] == [after.name]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one_frame.mp4", f"{source(seconds=0.04)} -c:v libx264"),
        ("anamorphic.mp4", f"{source()} -c:v libx264 -aspect 4:3"),
        ("full_range.mp4", f"{source()} -c:v libx264 -pix_fmt yuvj420p"),
        ("deep.mp4", f"{source()} -c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=none"),
        (
            "deep422.mkv",
            f"{source()} -c:v libx265 -pix_fmt yuv422p12le -x265-params log-level=none",
        ),
        ("timecode.mp4", f"{source()} -c:v libx264 -timecode 01:00:00:00"),
        ("transport.ts", f"{source()} -f lavfi -i sine=d=0.4 -c:v libx264 -c:a mp2"),
        ("web.webm", f"{source()} -f lavfi -i sine=d=0.4 -c:v libvpx-vp9 -c:a libopus"),
        ("ümläut 電影.mkv", f"{source()} -c:v libx264"),
        (
            "variable.mp4",
            f"{source(seconds=2)} -vf select='not(eq(mod(n,5),2))',setpts='PTS+mod(N,3)*0.007/TB' "
            "-vsync vfr -c:v libx264 -video_track_timescale 90000",
        ),
    ],
)
def test_films_of_all_kinds(name: str, options: str, upscaler: Upscaler, tmp_path: Path) -> None:
    made, before, after = (
        tmp_path / f"in{Path(name).suffix}",
        tmp_path / name,
        tmp_path / f"x{name}",
    )
    ffmpeg(options, made)
    made.rename(before)
    enlarge_video(upscaler, before, after)
    assert streams(after) == [as_meant(stream) for stream in streams(before)]
    assert times(after) == times(before)
    assert [p["data_hash"] for p in other_packets(after)] == [
        p["data_hash"] for p in other_packets(before)
    ]


def test_hdr10(upscaler: Upscaler, tmp_path: Path) -> None:
    colors = "-colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084"
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(f"{source()} -pix_fmt yuv420p10le -c:v libx265 {colors} -x265-params {HDR} {before}")
    enlarge_video(upscaler, before, after)
    assert streams(after) == [as_meant(stream) for stream in streams(before)]
    kinds = ("Mastering display metadata", "Content light level metadata")
    side = []
    for path in (before, after):
        frame = ffprobe(path, "-show_frames", "-read_intervals", "%+#1")["frames"][0]
        side.append([s for s in frame["side_data_list"] if s["side_data_type"] in kinds])
    assert len(side[0]) == 2
    assert side[0] == side[1]


def test_rotation(upscaler: Upscaler, tmp_path: Path) -> None:
    plain, before, after = (tmp_path / name for name in ("plain.mp4", "in.mp4", "out.mp4"))
    ffmpeg(f"{source()} -c:v libx264 {plain}")
    with av.open(str(plain)) as film, av.open(str(before), "w") as turned:
        stream = turned.add_stream_from_template(film.streams.video[0], opaque=True)
        stream.set_display_rotation(90)
        for packet in film.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                turned.mux(packet)
    enlarge_video(upscaler, before, after)
    (turn,) = [stream["side_data_list"] for stream in streams(after)]
    assert turn == streams(before)[0]["side_data_list"]
    assert abs(turn[0]["rotation"]) == 90


@pytest.mark.parametrize(
    "pix_fmt", ["gray", "gray12le", "yuv420p", "yuv422p10le", "yuv444p", "yuv444p12le", "yuv411p"]
)
@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_decoded_luma_is_the_picture_paths(
    pix_fmt: str, color_range: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(
        f"{source('80x48', 0.12)} -vf crop=61:35:0:0:exact=1 -c:v ffv1 -pix_fmt {pix_fmt} "
        f"-color_range {color_range} {before}"
    )
    enlarge_video(upscaler, before, after, Options(codec="ffv1"))
    known = read_pix_fmt(pix_fmt)
    assert known is not None
    form = dataclasses.replace(known, full_range=color_range == "pc")
    black, span = np.float32(form.black), np.float32(form.span)
    for frame, larger in zip(planes(before), planes(after), strict=True):
        luma = upscaler.backend.run((frame[0].astype(np.float32) - black) / span)
        expected = np.floor(luma * span + black + np.float32(0.5)).clip(0, form.largest)
        np.testing.assert_array_equal(larger[0], expected)
        if form.bits == 8 and form.full_range:
            np.testing.assert_array_equal(larger[0], upscaler.enlarge(frame[0]))
        assert [plane.shape for plane in larger] == form.shapes(70, 122)


def test_frames_with_captions_have_the_same_pixels(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What carries side data along, here x264's about itself, must not touch the picture."""
    before, plain, carried = (tmp_path / name for name in ("in.mp4", "plain.mkv", "carried.mkv"))
    ffmpeg(f"{source('62x34')} -pix_fmt yuv422p -c:v libx264 {before}")
    enlarge_video(upscaler, before, plain, Options(codec="ffv1"))
    monkeypatch.setattr(transcode, "CARRIED", {SideData.SEI_UNREGISTERED})
    enlarge_video(upscaler, before, carried, Options(codec="ffv1"))
    for one, other in zip(planes(plain), planes(carried), strict=True):
        for plane, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(plane, same)


def test_repeated_frames_are_not_computed_again(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"-f lavfi -i color=red:s=64x36:r=25:d=0.4 -c:v ffv1 {before}")
    result = enlarge_video(upscaler, before, after)
    assert result.progress.reused == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("options", "choice", "message"),
    [
        ("-f lavfi -i sine=d=0.2 -c:a aac {}.mp4", Options(), "no video stream"),
        (
            f"{source(rate=50)} -vf interlace -c:v libx264 -flags +ilme+ildct {{}}.mp4",
            Options(),
            "--deinterlace",
        ),
        (f"{source()} -c:v ffv1 -pix_fmt bgr0 {{}}.mkv", Options(), "like yuv444p; .*--pix-fmt"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(codec="divx"), "known: x264"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(codec="ffv1", crf=3), "no quality"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(preset="warp"), "ultrafast"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(cut=Cut(start=9)), "no frame"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(size=Exact(101, 51)), "--scale-to"),
        (f"{source()} -c:v libx264 {{}}.mp4", Options(cut=Cut(pix_fmt="nope")), "nope"),
        (
            f"{source()} -c:v libx264 -aspect 4:3 {{}}.mkv",
            Options(codec="ffv1"),
            "--codec x264",
        ),
    ],
)
def test_refusals_name_the_remedy_and_leave_nothing(
    options: str, choice: Options, message: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    ffmpeg(options.format(tmp_path / "in"))
    (before,) = (path for path in tmp_path.iterdir() if path.is_file())
    with pytest.raises(MediaError) as caught:
        enlarge_video(upscaler, before, folder / f"out{before.suffix}", choice)
    said = with_hint(str(caught.value), caught.value.hint)
    assert re.search(message, said), said
    assert "\n" not in said
    assert list(folder.iterdir()) == []


def test_files_that_are_no_films(upscaler: Upscaler, tmp_path: Path) -> None:
    before = tmp_path / "in.mp4"
    before.write_bytes(b"hello" * 100)
    with pytest.raises(MediaError, match="cannot be read as video"):
        enlarge_video(upscaler, before, tmp_path / "out.mp4")


def test_cut_input_is_enlarged_as_far_as_it_goes(upscaler: Upscaler, tmp_path: Path) -> None:
    whole, before, after = (tmp_path / name for name in ("whole.mkv", "in.mkv", "out.mkv"))
    ffmpeg(f"{source('160x90', 4)} -c:v libx264 {whole}")
    before.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = enlarge_video(upscaler, before, after)
    assert "may have been cut" in result.warnings[0]
    assert times(after) == times(before)


def test_a_film_that_changes_its_size_is_refused(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.ts", tmp_path / "out.mkv"
    parts = []
    for number, size in enumerate(("64x36", "96x64")):
        part = tmp_path / f"{number}.ts"
        ffmpeg(f"{source(size)} -c:v libx264 -output_ts_offset {number} {part}")
        parts.append(part.read_bytes())
    before.write_bytes(b"".join(parts))
    with pytest.raises(MediaError, match=r"size changes at 0\.92 s"):
        enlarge_video(upscaler, before, after)
    assert not list(tmp_path.glob("out*"))


def test_deinterlaced_frames_keep_their_times(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(f"{source(rate=50)} -vf interlace -c:v libx264 -flags +ilme+ildct {before}")
    enlarge_video(upscaler, before, after, Options(cut=Cut(deinterlace=True)))
    assert times(after) == times(before)
    assert streams(after)[0]["field_order"] == "progressive"


def test_misfits_are_named_or_left_out(rich: Path, upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = rich / "rich.mkv", tmp_path / "out.mp4"
    with pytest.raises(MediaError, match=r"stream \d \(attachment, chapters\)") as refused:
        enlarge_video(upscaler, before, after)
    assert refused.value.hint == "drop_misfits"
    assert list(tmp_path.iterdir()) == []
    result = enlarge_video(upscaler, before, after, Options(drop_misfits=True))
    assert "chapters" in result.warnings[-1]
    kinds = [stream["codec_type"] for stream in streams(after)]
    assert kinds[:4] == ["video", "audio", "audio", "subtitle"]


def test_data_that_no_header_takes_is_a_misfit(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like the metadata tracks of telephones; here a timecode that is not left to the muxer."""
    monkeypatch.setattr(mux, "REMADE", ())
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(f"{source()} -c:v libx264 -timecode 01:00:00:00 {before}")
    with pytest.raises(MediaError, match=r"stream 1 \(data") as refused:
        enlarge_video(upscaler, before, after)
    assert refused.value.hint == "drop_misfits"
    result = enlarge_video(upscaler, before, after, Options(drop_misfits=True))
    assert result.warnings == ["left out: mp4 cannot hold stream 1 (data, unknown)"]
    assert times(after) == times(before)


def test_cover_pictures_are_copied(upscaler: Upscaler, tmp_path: Path) -> None:
    cover, before, after = (tmp_path / name for name in ("cover.png", "in.mp4", "out.mp4"))
    ffmpeg(f"{source()} -frames:v 1 {cover}")
    maps = "-map 0 -map 1 -c:v:0 libx264 -c:v:1 png -disposition:v:1 attached_pic"
    ffmpeg(f"{source()} -i {cover} {maps} {before}")
    enlarge_video(upscaler, before, after)
    assert streams(after) == [as_meant(stream) for stream in streams(before)]
    assert other_packets(after) == other_packets(before)


def test_a_part(rich: Path, upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = rich / "rich.mkv", tmp_path / "out.mkv"
    cut = Cut(start=0.4, duration=0.4)
    enlarge_video(upscaler, before, after, Options(cut=cut, codec="ffv1"))
    wanted = [t for t in times(before) if 400 <= t < 800]
    assert times(after) == [t - 400 for t in wanted]
    chapters = ffprobe(after, "-show_chapters")["chapters"]
    assert [chapter["tags"]["title"] for chapter in chapters] == ["second"]
    kept = [p["data_hash"] for p in other_packets(before) if cut.contains(p["pts"] / 1000)]
    assert [p["data_hash"] for p in other_packets(after)] == kept


def test_exact_size(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(f"{source()} -c:v libx264 {before}")
    enlarge_video(upscaler, before, after, Options(size=Exact(100, 72)))
    (stream,) = ffprobe(after, "-show_streams")["streams"]
    assert (stream["width"], stream["height"]) == (100, 72)
    assert stream["display_aspect_ratio"] == "16:9"
    assert enlarge.choose_scale(before, Options(size=Exact(150, 90))) == 3


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    """50 frames with sound; key frames every 8."""
    path = tmp_path / "long.mkv"
    ffmpeg(f"{source('48x32', 2)} -f lavfi -i sine=d=2 -c:v libx264 -g 8 -c:a libopus {path}")
    return path


def test_interrupted_work_is_continued(
    long_film: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "LEAST", 10)
    monkeypatch.setattr(spans, "MOST", 14)
    straight, resumed = tmp_path / "straight.mkv", tmp_path / "resumed.mkv"
    options = Options(codec="ffv1")
    enlarge_video(upscaler, long_film, straight, options)
    for frames, segments in ((5, 0), (30, 2), (45, 3)):
        with pytest.raises(KeyboardInterrupt):
            enlarge_video(upscaler, long_film, resumed, options, Interrupter(frames))
        assert not resumed.exists()
        folder = tmp_path / "resumed.mkv.part"
        assert folder.exists() == bool(segments)
        assert len(list(folder.glob("*.seg"))) == segments
        assert not list(folder.glob("*.tmp"))
    result = enlarge_video(upscaler, long_film, resumed, options)
    assert result.progress.resumed >= 28
    assert result.progress.frames == 50
    assert not list(tmp_path.glob("*.part"))
    assert times(resumed) == times(straight) == times(long_film)
    # Not only the times: every byte of every packet.
    assert other_packets(resumed, film=-1) == other_packets(straight, film=-1)


def test_a_damaged_segment_is_made_anew(
    long_film: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST", 10)
    straight, resumed = tmp_path / "straight.mkv", tmp_path / "resumed.mkv"
    options = Options(codec="ffv1")
    enlarge_video(upscaler, long_film, straight, options)
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, long_film, resumed, options, Interrupter(45))
    segment = tmp_path / "resumed.mkv.part" / "000001.seg"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    result = enlarge_video(upscaler, long_film, resumed, options)
    assert 0 < result.progress.resumed < 40
    assert other_packets(resumed, film=-1) == other_packets(straight, film=-1)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_source_that_is_replaced_during_the_work_is_noticed(
    in_place: bool, long_film: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    """Its sound would not be that of the pictures."""
    other, after = tmp_path / "other.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source('48x32', 2)} -f lavfi -i sine=f=99:d=2 -c:v libx264 -c:a libopus {other}")

    def replace(progress: transcode.FilmProgress) -> None:
        if progress.frames == 20:
            if in_place:
                long_film.write_bytes(other.read_bytes())
            else:
                other.replace(long_film)

    with pytest.raises(MediaError, match="replaced"):
        enlarge_video(upscaler, long_film, after, progress=replace)
    assert not after.exists()


@pytest.mark.parametrize("ending", ["mp4", "ffconcat"])
def test_a_list_is_read_only_if_it_is_called_one(
    ending: str, long_film: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    playlist, after = tmp_path / f"in.{ending}", tmp_path / "out.mkv"
    playlist.write_text(f"ffconcat version 1.0\nfile {long_film.name}\n", encoding="utf-8")
    if ending == "ffconcat":
        enlarge_video(upscaler, playlist, after)
        assert len(times(after)) == 50
        return
    with pytest.raises(MediaError, match="list of other files"):
        enlarge_video(upscaler, playlist, after)


@pytest.mark.parametrize("codec", ["x264", "ffv1"])
def test_memory_that_is_missing_is_told_with_numbers_before_any_work(
    codec: str, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"{source('1200x1200', 0.04)} -c:v ffv1 -pix_fmt yuv420p {before}")
    monkeypatch.setattr(estimate, "available", lambda: upscaler.memory + (300 << 20))
    with pytest.raises(
        MediaError, match=r"2400×2400.* need about [\d.]+ GB .* 0\.7 GB are free"
    ) as e:
        enlarge_video(upscaler, before, tmp_path / "out.mkv", Options(codec=codec))
    assert e.value.hint == "frames"
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.skipif(sys.platform != "linux", reason="its memory is measured in another way")
@pytest.mark.parametrize("codec", ["x264", "x265", "vp9"])
def test_the_estimate_of_memory_holds_for_small_pictures(codec: str, tmp_path: Path) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"{source('96x54', 3)} -pix_fmt yuv420p -c:v ffv1 {before}")
    code = f"""
from pathlib import Path
from bnnup.video.enlarge import Options, choose_encoding
from bnnup.video.estimate import estimate
from bnnup.video.film import probe, read_frames
from bnnup.video.read import BadPackets, Cut
def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
film = probe(Path({str(before)!r}), Cut())
encoding = choose_encoding(film, 2, Path("x.mkv"), Options(codec={codec!r}))
begun, context = peak(), encoding.open()
for number, frame in enumerate(read_frames(film, Cut(), BadPackets())):
    larger = frame.reformat(encoding.width, encoding.height)
    larger.pts, larger.time_base = number, context.time_base
    context.encode(larger)
context.encode(None)
print(peak() - begun, estimate(film, encoding, 2, 0))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    taken, estimated = map(int, done.stdout.split())
    assert taken < estimated < 4 * taken


@pytest.mark.parametrize("codec", ["av1_vaapi", "hevc_videotoolbox", "h264_nvenc"])
def test_encoders_in_hardware_that_libav_lacks_can_have_a_pipe(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"h264_nvenc"})
    with pytest.raises(MediaError, match=f"{codec} is none of the encoders.*pipe.*x264"):
        codec_named(codec)


@pytest.mark.parametrize("codec", [c for c in codecs.IN_HARDWARE if c in av.codecs_available])
def test_encoders_in_hardware_work_or_say_what_is_missing(
    codec: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source('320x240')} -pix_fmt yuv420p -c:v libx264 {before}")
    needs = codecs.IN_HARDWARE[codec].needs
    try:
        enlarge_video(upscaler, before, after, Options(codec=codec))
    except MediaError as error:
        assert f"{codec} does not work here: " in str(error)
        assert f"; it needs {needs}" in str(error)
        assert not list(tmp_path.glob("out*"))
    else:
        assert streams(after)[0]["pix_fmt"] == "yuv420p"
        assert times(after) == times(before)


def test_encoders_that_want_chroma_in_one_plane(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of Intel do; x264 takes both."""
    before, planar, packed = (tmp_path / name for name in ("in.mkv", "planar.mkv", "packed.mkv"))
    ffmpeg(f"{source()} -pix_fmt yuv420p -c:v ffv1 {before}")
    enlarge_video(upscaler, before, planar)
    monkeypatch.setattr(codecs.Codec, "_own_formats", lambda _: ["nv12"])
    enlarge_video(upscaler, before, packed)
    assert other_packets(planar, film=-1) == other_packets(packed, film=-1)


def test_unfinished_work_is_not_thrown_away_silently(
    long_film: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST", 10)
    after = tmp_path / "out.mkv"
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, long_film, after, progress=Interrupter(25))
    with pytest.raises(MediaError, match=r"unfinished work") as refused:
        enlarge_video(upscaler, long_film, after, Options(crf=30))
    assert refused.value.hint == "discard"
    result = enlarge_video(upscaler, long_film, after, Options(crf=30), discard=True)
    assert result.progress.resumed == 0
    assert times(after) == times(long_film)


def test_a_full_disk_is_one_error_and_loses_nothing(
    long_film: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST", 10)
    after = tmp_path / "out.mkv"

    def write(self: SegmentWriter, chunk: Chunk) -> None:
        if len(list(tmp_path.glob("*.part/*.seg"))) == 2:
            raise OSError(28, "No space left on device")
        wrote(self, chunk)

    with monkeypatch.context() as patch:
        wrote = SegmentWriter.write
        patch.setattr(SegmentWriter, "write", write)
        with pytest.raises(FullError, match="No space left on device; what is done is kept"):
            enlarge_video(upscaler, long_film, after)
    assert 18 <= enlarge_video(upscaler, long_film, after).progress.resumed <= 22
    assert times(after) == times(long_film)


def test_a_folder_in_the_way_is_left_alone(
    long_film: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    folder = tmp_path / "out.mkv.part"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(MediaError, match="in the way"):
        enlarge_video(upscaler, long_film, tmp_path / "out.mkv")
    assert (folder / "letter.txt").read_text() == "mine"


def bnnup(model_files: Path, *arguments: object) -> list[str]:
    model = str(model_files / "tiny-x2.safetensors")
    return [sys.executable, "-P", "-m", "bnnup", "video", "-m", model, *map(str, arguments)]


@pytest.mark.parametrize("how", [KILL, signal.SIGINT])
def test_killed_work_is_continued(how: signal.Signals, model_files: Path, tmp_path: Path) -> None:
    """A signal in frame 350 of 400, when one segment of 250, to the next key frame, is whole."""
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source('96x64', 16)} -c:v libx264 -preset ultrafast {before}")
    command = bnnup(model_files, before, "-o", after, "--preset", "ultrafast")
    end = f"os.kill(os.getpid(), {int(KILL)})" if how == KILL else "signal.raise_signal(2)"
    code = f"""
import os, signal
from bnnup.cli import main
from bnnup.video import transcode
tell = transcode.Transcoder._tell
def tell_and_signal(work, *details):
    tell(work, *details)
    if work.state.frames == 350:
        {end}
transcode.Transcoder._tell = tell_and_signal
main()
"""
    killed = subprocess.run(
        [sys.executable, "-P", "-c", code, *command[4:]],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == (KILLED if how == KILL else 130)
    assert "Traceback" not in killed.stderr
    assert ("the same command goes on" in killed.stderr) == (how == signal.SIGINT)
    assert not after.exists()
    done = subprocess.run([*command, "--json"], capture_output=True, timeout=300, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["progress"]["resumed"] == 250
    assert result["progress"]["frames"] == 400
    assert times(after) == times(before)


def test_command_line(rich: Path, model_files: Path, tmp_path: Path) -> None:
    after = tmp_path / "out.mp4"
    command = bnnup(model_files, rich / "rich.mp4", "-o", after, "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["width"], result["codec"]) == (128, "libx264")
    assert set(result["progress"]["busy"]) == {"decode", "engine", "encode"}
    for arguments, message in (
        (command, "--force"),
        ([*command[:-2], rich / "rich.mp4"], "same file"),
        ([*command[:-2], tmp_path / "no" / "out.mp4"], "no folder"),
        ([*command[:-2], tmp_path / "out.docx"], ".mkv"),
        ([*command, "--force", "--scale-to", "big"], "not a size"),
    ):
        done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert message in done.stderr


def test_places_that_are_not_local(
    rich: Path,
    long_film: Path,
    tiny: Path,
    run: Run,
    memory: MemoryFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same film, by the same segments, from and to memory://."""
    monkeypatch.setattr(spans, "MOST", 10)
    for path in rich / "rich.mp4", long_film:
        memory.put_file(str(path), f"/films/{path.name}")
    far, near = ("video", "memory://films/rich.mp4"), ("video", rich / "rich.mp4")
    assert run(*far, "-o", "memory://out/rich.mp4", "-m", tiny).code == 0
    run(*near, "-o", tmp_path / "rich.mp4", "-m", tiny)
    assert memory.cat_file("/out/rich.mp4") == (tmp_path / "rich.mp4").read_bytes()
    assert memory.find("/out") == ["/out/rich.mp4"]
    assert "--force" in run(*far, "-o", "memory://out/rich.mp4", "-m", tiny).err
    there, upscaler = paths.to_path("memory://out/long.mkv"), load(str(tiny), scale=2)
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, long_film, there, Options(codec="ffv1"), Interrupter(25))
    assert len([name for name in memory.find("/out") if name.endswith(".seg")]) == 2
    source = paths.to_path("memory://films/long.mkv")
    with pytest.raises(MediaError, match=r"unfinished work") as refused:
        enlarge_video(upscaler, source, there, Options(codec="ffv1"))
    assert refused.value.hint == "discard"
    result = enlarge_video(upscaler, long_film, there, Options(codec="ffv1"))
    assert result.progress.resumed > 0
    (tmp_path / "long.mkv").write_bytes(memory.cat_file("/out/long.mkv"))
    assert times(tmp_path / "long.mkv") == times(long_film)
    assert memory.find("/out") == ["/out/long.mkv", "/out/rich.mp4"]
    done = run(*near, "-o", "memory://out/b.mp4", "-m", tiny, "--cluster", "local")
    assert "this process only" in done.err


def test_two_at_one_output(long_film: Path, upscaler: Upscaler, tmp_path: Path) -> None:
    """The second says so and touches nothing; the first one's film is whole."""
    after = tmp_path / "out.mkv"
    seen: list[str] = []

    def meanwhile(_: transcode.FilmProgress) -> None:
        if not seen:
            with pytest.raises(MediaError, match="another bnnup is at work") as refused:
                enlarge_video(upscaler, long_film, after, discard=True)
            seen.append(str(refused.value))

    enlarge_video(upscaler, long_film, after, progress=meanwhile)
    assert seen
    assert times(after) == times(long_film)
    assert {path.name for path in tmp_path.iterdir()} == {"long.mkv", "out.mkv"}
