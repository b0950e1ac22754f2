"""What stands against a film shows before any work, and containers keep what they are given."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from conftest import Run  # noqa: E402
from films import ffmpeg, ffprobe, needs_ffmpeg, other_packets, source, times  # noqa: E402

from bnnup.errors import MediaError  # noqa: E402
from bnnup.system import files  # noqa: E402
from bnnup.upscale.upscaler import Upscaler  # noqa: E402
from bnnup.video import enlarge, mux, survey  # noqa: E402
from bnnup.video.enlarge import Options, enlarge_video  # noqa: E402
from bnnup.video.read import Cut, read_any  # noqa: E402
from bnnup.video.segments import unfinished  # noqa: E402

pytestmark = needs_ffmpeg

SOUND = "-f lavfi -i sine=d=0.4"


def probed(path: Path) -> list[dict[str, Any]]:
    streams: list[dict[str, Any]] = ffprobe(path, "-show_streams")["streams"]
    return streams


def refused(upscaler: Upscaler, before: Path, after: Path, **options: object) -> MediaError:
    """The error, of which nothing may be left."""
    with pytest.raises(MediaError) as error:
        enlarge_video(upscaler, before, after, Options(**options))  # type: ignore[arg-type]
    assert not after.exists()
    assert not unfinished(after).exists()
    return error.value


@pytest.mark.parametrize("sound", ["flac", "pcm_s16le"])
def test_sound_that_would_become_unknown_data_is_a_misfit(
    sound: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.ts"
    ffmpeg(f"{source()} {SOUND} -c:v libx264 -c:a {sound} {before}")
    error = refused(upscaler, before, after)
    assert f"stream 1 (audio, {sound})" in str(error)
    assert error.hint == "drop_misfits"
    result = enlarge_video(upscaler, before, after, Options(drop_misfits=True))
    assert sound in " ".join(result.warnings)
    assert [stream["codec_type"] for stream in probed(after)] == ["video"]


def test_a_cover_stays_a_cover_in_matroska(upscaler: Upscaler, tmp_path: Path) -> None:
    cover, before, after = (tmp_path / name for name in ("cover.png", "in.mkv", "out.mkv"))
    ffmpeg(f"{source()} -frames:v 1 {cover}")
    attach = f"-attach {cover} -metadata:s:t mimetype=image/png -metadata:s:t filename=cover.png"
    ffmpeg(f"{source()} {SOUND} -c:v libx264 -c:a aac {attach} {before}")
    assert enlarge_video(upscaler, before, after).warnings == []
    film, sound, picture = probed(after)
    assert (film["width"], film["disposition"]["attached_pic"]) == (128, 0)
    assert sound["start_pts"] == probed(before)[1]["start_pts"]
    assert picture["disposition"]["attached_pic"] == 1
    assert picture["width"] == 64
    assert picture["tags"]["filename"] == "cover.png"


@pytest.mark.parametrize("ending", ["ts", "avi"])
def test_a_film_shown_turned_goes_where_that_is_kept(
    ending: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    plain, before = tmp_path / "plain.mp4", tmp_path / "in.mp4"
    ffmpeg(f"{source()} -c:v libx264 {plain}")
    ffmpeg(f"-i {plain} -c copy -metadata:s:v rotate=90 {before}")
    assert probed(before)[0]["side_data_list"][0]["rotation"]
    assert "turned" in str(refused(upscaler, before, tmp_path / f"out.{ending}"))


def test_avi_has_the_frame_rate_of_the_film(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.avi"
    ffmpeg(f"{source()} -c:v libx264 -bf 0 {before}")
    enlarge_video(upscaler, before, after)
    assert probed(after)[0]["r_frame_rate"] == "25/1"


def test_avi_refuses_a_variable_frame_rate(upscaler: Upscaler, tmp_path: Path) -> None:
    before = tmp_path / "in.mp4"
    vary = "-vf settb=1/1000,setpts='PTS+mod(N,3)*13' -vsync vfr -video_track_timescale 90000"
    ffmpeg(f"{source()} {vary} -c:v libx264 {before}")
    assert "different times" in str(refused(upscaler, before, tmp_path / "out.avi"))


def test_more_frames_a_second_than_a_container_counts_are_refused(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"{source(rate=1000, seconds=0.05)} -c:v ffv1 {before}")
    error = refused(upscaler, before, tmp_path / "out.ts")
    assert "does not keep 1000.000 frames a second; .mkv does" in str(error)


@pytest.mark.parametrize("sound", ["aac", ""])
def test_a_part_of_a_long_film_takes_no_look_at_the_rest(
    sound: str, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, words = tmp_path / "in.mkv", tmp_path / "out.mkv", tmp_path / "in.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:01,500\nHello\n")
    streams = f"-f lavfi -i sine=d=60 -i {words}" if sound else ""
    ffmpeg(f"{source(rate=5, seconds=60)} {streams} -c:v libx264 -g 5 {before}")
    latest: list[float] = []

    def watched(container: Any, *rest: Any) -> Iterator[Any]:
        for packet in read_any(container, *rest):
            if packet.pts is not None:
                latest.append(float(packet.pts * packet.time_base))
            yield packet

    for module in survey, mux:
        monkeypatch.setattr(module, "read_any", watched)
    enlarge_video(upscaler, before, after, Options(cut=Cut(duration=2)))
    assert 2 < max(latest) < 20
    assert len(times(after)) == 10
    found = {s["codec_type"]: s for s in probed(after)}
    if sound:
        assert len(other_packets(after)) > 40
        assert set(found) == {"video", "audio", "subtitle"}


@pytest.mark.parametrize("ending", ["m3u8", "mpd"])
def test_an_output_of_many_files_is_refused(
    ending: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before = tmp_path / "in.mp4"
    ffmpeg(f"{source()} -c:v libx264 {before}")
    assert "more than one file" in str(refused(upscaler, before, tmp_path / f"out.{ending}"))
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_sound_whose_times_fall_back_is_kept(
    ending: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    """As where recordings that overlap were joined."""
    before, after = tmp_path / "in.ts", tmp_path / f"out.{ending}"
    parts = []
    for number in range(2):
        part = tmp_path / f"{number}.ts"
        sound = "-f lavfi -i sine=d=1.2"
        offset = f"-output_ts_offset {number}"
        ffmpeg(f"{source(seconds=1)} {sound} -c:v libx264 -bf 0 -c:a mp2 {offset} {part}")
        parts.append(part.read_bytes())
    before.write_bytes(b"".join(parts))
    result = enlarge_video(upscaler, before, after)
    assert result.warnings == ["timestamps of stream 1 ran backwards and were moved"]
    packets = ffprobe(after, "-show_packets", "-select_streams", "a")["packets"]
    times = [float(packet["dts_time"]) for packet in packets]
    assert times == sorted(times)
    assert len(packets) == len(ffprobe(before, "-show_packets", "-select_streams", "a")["packets"])


def test_a_stream_that_begins_in_mid_film_costs_a_warning(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    film, more = tmp_path / "film.flv", tmp_path / "more.flv"
    before, after = tmp_path / "in.flv", tmp_path / "out.mkv"
    sound = "-f lavfi -i sine=d=8 -c:a libmp3lame -ar 44100"
    ffmpeg(f"{source(seconds=8)} {sound} -c:v flv1 {film}")
    ffmpeg(f"{source()} -c:v flashsv {more}")
    header = 13  # bytes, before the first tag
    before.write_bytes(film.read_bytes() + more.read_bytes()[header:])
    result = enlarge_video(upscaler, before, after)
    assert "a stream that begins in mid-film is missing" in result.warnings
    assert result.progress.frames == 200


def test_how_far_streams_are_looked_for(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Sound that begins after seven seconds, as in recordings whose beginning is of another
    programme."""
    before, after = tmp_path / "in.ts", tmp_path / "out.mkv"
    parts = []
    for number, sound in enumerate(("", "-f lavfi -i sine=d=1 -c:a mp2")):
        film = f"-f lavfi -i testsrc2=s=64x36:r=10:d={7 - 6 * number} {sound}"
        ffmpeg(f"{film} -c:v libx264 -bf 0 -output_ts_offset {7 * number} {tmp_path}/{number}.ts")
        parts.append((tmp_path / f"{number}.ts").read_bytes())
    before.write_bytes(b"".join(parts))
    done = run("video", before, "-o", after, "-m", tiny)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--probe 00:10:00" in done.err
    done = run("video", before, "-o", after, "-m", tiny, "--probe", "0:30")
    assert (done.code, "warning" in done.err) == (0, False)
    sound = ffprobe(after, "-select_streams", "a", "-show_packets")["packets"]
    assert 6.9 < float(sound[0]["pts_time"]) < 7.1
    assert len(sound) == len(
        ffprobe(tmp_path / "1.ts", "-select_streams", "a", "-show_packets")["packets"]
    )


def test_what_will_be_lost_is_told_before_the_work(
    run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again in the end, when the beginning may have scrolled away."""
    before, after = tmp_path / "in.mkv", tmp_path / "out.ts"
    ffmpeg(f"{source()} {SOUND} -c:v libx264 -c:a flac {before}")
    command = ("video", before, "-o", after, "-m", tiny, "--drop-misfits")

    def fail(*_: object) -> None:
        raise MediaError("no work")

    with monkeypatch.context() as patch:
        patch.setattr(enlarge, "make_segments", fail)
        early = run(*command)
        lines = [json.loads(line) for line in run(*command, "--json").out.splitlines()]
    assert re.search("^warning: left out: .*flac", early.err)
    assert "flac" in lines[0]["warnings"][0]
    done = run(*command)
    assert done.err.count("warning: left out") == 2
    assert done.err.rindex("warning:") < done.err.index("frames a second")


def test_work_goes_on_when_only_other_streams_change(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run left is not lost to one that leaves out streams."""
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source()} {SOUND} -c:v libx264 -c:a aac {before}")

    def fail(*_: object, **__: object) -> None:
        raise MediaError("no room")

    with monkeypatch.context() as patch, pytest.raises(MediaError, match="no room"):
        patch.setattr(files, "move", fail)
        patch.setattr(enlarge, "find_flaws", fail)
        enlarge_video(upscaler, before, after)
    result = enlarge_video(upscaler, before, after, Options(drop_misfits=True))
    assert result.progress.frames == 10


@pytest.mark.parametrize(
    ("size", "expected"), [("64x36", "smpte170m"), ("720x576", "bt470bg"), ("1280x8", None)]
)
def test_what_standard_definition_does_not_say_is_written(
    size: str, expected: str | None, upscaler: Upscaler, tmp_path: Path
) -> None:
    """Or players would take the larger pictures for BT.709."""
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(f"{source(size, seconds=0.04)} -pix_fmt yuv420p -c:v libx264 {before}")
    assert "color_space" not in probed(before)[0]
    enlarge_video(upscaler, before, after)
    (film,) = probed(after)
    assert film.get("color_space") == film.get("color_primaries") == expected


def joined(path: Path, kinds: list[str], overlap: float = 0.0) -> None:
    """A recording of two seconds whose halves are encoded in different ways."""
    parts = []
    for number, options in enumerate(kinds):
        part = path.with_name(f"{number}.ts")
        offset = f"-bf 0 -output_ts_offset {10 + number * (1 - overlap)}"
        ffmpeg(f"{source(seconds=1)} -pix_fmt yuv420p {options} {offset} {part}")
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


H264 = "-c:v libx264 -colorspace {0} -color_primaries {0} -color_trc {0}"


@pytest.mark.parametrize("overlap", [0.0, 0.08])
@pytest.mark.parametrize(
    ("what", "kinds"),
    [
        ("colour matrix", [H264.format("bt709"), H264.format("smpte170m")]),
        ("range of values", [f"-c:v libx264 -color_range {name}" for name in ("tv", "pc")]),
        ("shape of pixels", ["-c:v mpeg2video -aspect 4:3", "-c:v mpeg2video -aspect 16:9"]),
    ],
)
def test_a_film_that_changes_is_refused_before_any_work_and_taken_in_parts(
    what: str, kinds: list[str], overlap: float, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.ts", tmp_path / "out.mkv"
    joined(before, kinds, overlap)
    error = refused(upscaler, before, after)
    assert what in str(error)
    assert error.hint == "parts"
    moments = [float(word) for word in re.findall(r"[\d.]+(?= s;| and)", str(error))]
    assert len(moments) == (2 if overlap else 1)
    enlarge_video(upscaler, before, after, Options(cut=Cut(duration=moments[0])))
    last = enlarge_video(
        upscaler, before, tmp_path / "last.mkv", Options(cut=Cut(start=moments[-1]))
    )
    assert last.progress.frames == 25 - round(25 * overlap)


def test_a_film_that_becomes_interlaced_says_when(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.ts", tmp_path / "out.mkv"
    mpeg2 = "-c:v mpeg2video"
    joined(before, [mpeg2, f"{mpeg2} -vf setfield=tff -flags +ildct+ilme"])
    error = refused(upscaler, before, after)
    assert error.hint == "deinterlace"
    seconds = float(re.findall(r"interlaced at ([\d.]+) s", str(error))[0])
    enlarge_video(upscaler, before, after, Options(cut=Cut(duration=seconds)))
    frames = ffprobe(before, "-show_frames")["frames"]
    whole = [frame for frame in frames if not frame["interlaced_frame"]]
    assert len(ffprobe(after, "-show_packets")["packets"]) == len(whole)
    enlarge_video(upscaler, before, after, Options(cut=Cut(deinterlace=True)))


def test_interlaced_by_the_word_of_the_container(upscaler: Upscaler, tmp_path: Path) -> None:
    """Of a codec whose frames do not say it."""
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source(rate=50)} -vf interlace -c:v ffv1 -field_order tt {before}")
    assert probed(before)[0]["field_order"] == "tt"
    assert refused(upscaler, before, after).hint == "deinterlace"
    enlarge_video(upscaler, before, after, Options(cut=Cut(deinterlace=True)))
    assert probed(after)[0]["field_order"] == "progressive"


def test_what_an_edit_list_hides_stays_hidden(upscaler: Upscaler, tmp_path: Path) -> None:
    whole, before, after = (tmp_path / name for name in ("whole.mp4", "in.mp4", "out.mkv"))
    ffmpeg(f"{source(seconds=3)} -f lavfi -i sine=d=3 -c:v libx264 -g 50 -c:a aac {whole}")
    ffmpeg(f"-ss 0.6 -i {whole} -c copy {before}")
    enlarge_video(upscaler, before, after)
    film, sound = probed(after)
    assert float(film["start_time"]) - float(sound["start_time"]) < 0.1
    frames = ffprobe(before, "-select_streams", "v", "-count_frames", "-show_streams")["streams"]
    assert 59 <= int(frames[0]["nb_read_frames"]) <= 61
    assert len(ffprobe(after, "-show_packets", "-select_streams", "v")["packets"]) == 60


def heard(path: Path) -> np.ndarray:
    """Samples in 16 bits."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate([frame[0] for frame in frames])
    return np.rint(sound * 32768) if sound.dtype.kind == "f" else sound.astype(float)


def said(path: Path) -> str:
    """Subtitles as ffmpeg writes them."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:s", "-f", "srt"]
    text = subprocess.run([*command, "-"], capture_output=True, check=True).stdout
    return text.decode().replace("\r", "")


@pytest.mark.parametrize(
    ("name", "sound", "ending", "expected"),
    [
        ("in.wmv", "wmav2", "mkv", "flac"),
        ("in.wmv", "wmav2", "mov", "alac"),
        ("in.avi", "adpcm_ima_wav", "mp4", "flac"),
        ("in.avi", "adpcm_ima_wav", "mkv", "flac"),
    ],
)
def test_sound_that_does_not_fit_is_converted_without_loss(
    name: str, sound: str, ending: str, expected: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / name, tmp_path / f"out.{ending}"
    ffmpeg(f"{source(seconds=1)} -f lavfi -i sine=d=1 -c:v mpeg4 -c:a {sound} {before}")
    result = enlarge_video(upscaler, before, after)
    assert result.warnings == [f"stream 1 was converted to {expected}"]
    assert probed(after)[1]["codec_name"] == expected
    samples = [heard(path) for path in (before, after)]
    assert len(samples[0]) == len(samples[1])
    assert np.abs(samples[0] - samples[1]).max() <= 1


def test_sound_is_converted_as_the_user_says(upscaler: Upscaler, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.ts"
    ffmpeg(f"{source()} {SOUND} -c:v libx264 -c:a flac {before}")
    error = refused(upscaler, before, after, audio_codec="flute")
    assert error.hint == "audio_codec"
    enlarge_video(upscaler, before, after, Options(audio_codec="aac"))
    assert [stream["codec_name"] for stream in probed(after)] == ["h264", "aac"]


@pytest.mark.parametrize(("first", "second"), [("mkv", "mp4"), ("mp4", "mkv")])
def test_subtitles_change_their_form_with_the_container(
    first: str, second: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    text, before, after = tmp_path / "s.srt", tmp_path / f"in.{first}", tmp_path / f"out.{second}"
    text.write_text(
        "1\n00:00:00,100 --> 00:00:00,300\nÄpfel, two\nlines\n\n"
        "2\n00:00:00,320 --> 00:00:00,390\n漢字\n\n",
        encoding="utf-8",
    )
    form = {"mkv": "srt", "mp4": "mov_text"}[first]
    tags = "-metadata:s:s:0 language=ger"
    ffmpeg(f"{source()} -i {text} -c:v libx264 -c:s {form} {tags} {before}")
    enlarge_video(upscaler, before, after)
    assert probed(after)[1]["tags"]["language"] == "ger"
    assert said(after) == said(before)
    assert "Äpfel, two\nlines" in said(after)


@pytest.mark.parametrize("form", ["yuv420p10le", "yuv422p", "yuv422p10le"])
def test_webm_gets_a_codec_that_it_holds_or_an_advice_that_works(
    form: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.webm"
    ffmpeg(f"{source()} -pix_fmt {form} -c:v ffv1 {before}")
    expected = {"yuv420p10le": "av1", "yuv422p": "vp9"}.get(form)
    if expected is None:
        error = refused(upscaler, before, after)
        assert error.hint == "pix_fmt or ffv1"
        enlarge_video(upscaler, before, after.with_suffix(".mkv"), Options(codec="ffv1"))
        enlarge_video(upscaler, before, after, Options(cut=Cut(pix_fmt="yuv422p")))
        return
    enlarge_video(upscaler, before, after)
    (film,) = probed(after)
    assert (film["codec_name"], film["pix_fmt"]) == (expected, form)
