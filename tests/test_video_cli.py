"""``bnnup video`` as people call it: which inputs, where results go, how large, which part."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from conftest import Run  # noqa: E402
from films import Interrupter, ffmpeg, ffprobe, needs_ffmpeg, planes, source, times  # noqa: E402
from PIL import Image, ImageColor  # noqa: E402

from bnnup import cli  # noqa: E402
from bnnup.errors import MediaError  # noqa: E402
from bnnup.upscale.size import Size  # noqa: E402
from bnnup.upscale.upscaler import Upscaler  # noqa: E402
from bnnup.video import codecs, film, spans, transcode  # noqa: E402
from bnnup.video.enlarge import enlarge_video  # noqa: E402
from bnnup.video.naming import film_ending  # noqa: E402
from bnnup.video.sequence import plain_name  # noqa: E402
from bnnup.video.size import Exact, read_film_size, scale_for, sides  # noqa: E402

pytestmark = needs_ffmpeg


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames of 64×36."""
    path = tmp_path_factory.mktemp("short") / "short.mkv"
    ffmpeg(f"{source(seconds=0.2)} -c:v libx264 -preset ultrafast {path}")
    return path


@pytest.fixture
def films(short: Path, tmp_path: Path) -> Path:
    """A folder: a.mkv, b.avi, b.mkv, and in another one c.mp4; and a text."""
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    for name in ("a.mkv", "b.mkv"):
        shutil.copy(short, folder / name)
    for name in ("b.avi", "more/c.mp4"):
        ffmpeg(f"-i {short} -c:v mpeg4 {folder / name}")
    (folder / "notes.txt").write_text("no film")
    return folder


def size_of(path: Path) -> tuple[int, int]:
    (film,) = ffprobe(path, "-select_streams", "v", "-show_streams")["streams"]
    return film["width"], film["height"]


def made(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# Inputs and outputs


def test_the_result_lies_beside_the_film(run: Run, films: Path, tiny: Path) -> None:
    before = made(films)
    assert run("video", films / "a.mkv", "-m", tiny).code == 0
    assert size_of(films / "a_x2.mkv") == (128, 72)
    assert run("video", films / "b.avi", "-m", tiny).code == 0  # a container for x264
    assert size_of(films / "b_x2.mkv") == (128, 72)
    assert made(films) == sorted([*before, "a_x2.mkv", "b_x2.mkv"])


def test_a_folder_as_output(run: Run, films: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("video", films / "a.mkv", "-m", tiny, "-o", f"{out}/").code == 0
    assert run("video", films / "b.mkv", "-m", tiny, "-o", out).code == 0
    assert made(out) == ["a.mkv", "b.mkv"]


def test_several_films(run: Run, films: Path, tiny: Path, tmp_path: Path) -> None:
    a, c = films / "a.mkv", films / "more" / "c.mp4"
    done = run("video", a, c, "-m", tiny, "-o", tmp_path / "one.mkv")
    assert done.code == 2
    assert "which several films need" in done.err.replace("\n", " ")
    assert run("video", a, c, "-m", tiny).code == 0
    assert times(films / "a_x2.mkv") == times(a)
    assert size_of(films / "more" / "c_x2.mp4") == (128, 72)


def test_folders_keep_their_shape_and_a_second_run_adds_what_is_missing(
    run: Run, films: Path, tiny: Path
) -> None:
    done = run("video", films, "-m", tiny)
    assert done.code == 0
    out = films.with_name("films_x2")
    assert made(out) == ["a.mkv", "b.avi.mkv", "b.mkv", "more/c.mp4"]
    assert "4 done" in done.err
    (out / "a.mkv").unlink()
    old = (out / "more" / "c.mp4").stat().st_mtime_ns
    done = run("video", films, "-m", tiny)
    assert done.code == 0
    assert "1 done, 3 skipped" in done.err
    assert size_of(out / "a.mkv") == (128, 72)
    assert (out / "more" / "c.mp4").stat().st_mtime_ns == old


def test_one_broken_film_does_not_end_the_others(run: Run, films: Path, tiny: Path) -> None:
    (films / "a.mkv").write_bytes(b"broken" * 50)
    done = run("video", films, "-m", tiny, "--exclude", "b*", "--json")
    assert done.code == 1
    lines = [json.loads(line) for line in done.out.splitlines()]
    ends = {Path(line["input"]).name: line["status"] for line in lines if "status" in line}
    assert ends == {"a.mkv": "failed", "c.mp4": "done"}
    assert made(films.with_name("films_x2")) == ["more/c.mp4"]


def test_a_film_that_cannot_be_opened_does_not_end_the_others(
    run: Run, films: Path, tiny: Path
) -> None:
    (films / "a.mkv").unlink()
    (films / "a.mkv").symlink_to("a.mkv")
    done = run("video", films, "-m", tiny, "--exclude", "b*", "--json")
    assert done.code == 1
    assert "a.mkv cannot be read" in done.err
    assert made(films.with_name("films_x2")) == ["more/c.mp4"]


def test_what_is_there_is_not_overwritten(run: Run, films: Path, tiny: Path) -> None:
    target = films / "a_x2.mkv"
    target.write_bytes(b"precious")
    done = run("video", films / "a.mkv", "-m", tiny)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--force" in done.err
    done = run("video", films / "a.mkv", films / "b.mkv", "-m", tiny)
    assert done.code == 0
    assert "--force makes it again" in done.err
    assert target.read_bytes() == b"precious"
    assert run("video", films / "a.mkv", "-m", tiny, "--force").code == 0
    assert size_of(target) == (128, 72)


def test_a_folder_without_films(run: Run, tiny: Path, tmp_path: Path) -> None:
    done = run("video", tmp_path, "-m", tiny)
    assert done.code == 1
    assert "no films" in done.err
    assert ".mkv" in done.err


def test_a_folder_does_not_become_a_file(run: Run, films: Path, tiny: Path) -> None:
    done = run("video", films / "more", "-m", tiny, "-o", films / "notes.txt")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "cannot be made" in done.err
    assert (films / "notes.txt").read_text() == "no film"


def test_frames_between_programs_are_for_pipe(run: Run) -> None:
    done = run("video", "-")
    assert done.code == 2
    assert "bnnup pipe" in done.err


# Sizes


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--fit", "200x90"], (160, 90)),
        (["--width", 150], (150, 84)),
        (["--height", 100], (178, 100)),
        (["--scale-to", "150x-2"], (150, 84)),
        (["--scale-to", "-2x100"], (178, 100)),
        (["--scale-to", "100x72"], (100, 72)),
        (["-s", "1.5"], (96, 54)),
        (["-s", "2x"], (128, 72)),
    ],
    ids=str,
)
def test_sizes(
    options: list[object],
    size: tuple[int, int],
    run: Run,
    short: Path,
    model_files: Path,
    tmp_path: Path,
) -> None:
    after = tmp_path / "out.mkv"
    models = {2: "tiny-x2", 3: "tiny-x3"}
    model = model_files / f"{models[3 if max(size) > 128 else 2]}.safetensors"
    assert run("video", short, "-o", after, "-m", model, *options).code == 0
    assert size_of(after) == size


def test_more_than_networks_can(run: Run, short: Path, model_files: Path, tmp_path: Path) -> None:
    after = tmp_path / "out.mkv"
    done = run(
        "video", short, "-o", after, "-m", model_files / "tiny-x4.safetensors", "--width", 320
    )
    assert done.code == 0
    assert "interpolation did the rest" in done.err
    assert size_of(after) == (320, 180)


def test_a_box_is_for_what_is_seen(run: Run, short: Path, tiny: Path, tmp_path: Path) -> None:
    """Telephones store upright films on their side."""
    upright, after = tmp_path / "upright.mp4", tmp_path / "out.mp4"
    with av.open(str(short)) as film, av.open(str(upright), "w") as turned:
        stream = turned.add_stream_from_template(film.streams.video[0], opaque=True)
        stream.set_display_rotation(90)
        for packet in film.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                turned.mux(packet)
    assert run("video", upright, "-o", after, "-m", tiny, "--fit", "72x500").code == 0
    assert size_of(after) == (128, 72)


@pytest.mark.parametrize(
    ("size", "film", "scale", "result"),
    [
        (Size(factor=3), (61, 35), 3, (183, 105)),
        (Size(factor=2.5), (61, 35), 3, (152, 88)),
        (Size(width=1921), (640, 360), 4, (1920, 1080)),
        (Size(fit=(1921, 1081)), (854, 480), 3, (1920, 1080)),
        (Size(fit=(3840, 2160)), (640, 480), 4, (2880, 2160)),
        (Exact(101, 51), (64, 36), 2, (101, 51)),
    ],
    ids=str,
)
def test_sides_that_follow_are_even(
    size: Size | Exact, film: tuple[int, int], scale: int, result: tuple[int, int]
) -> None:
    assert scale_for(size, *film) == scale
    assert sides(size, *film) == result


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size(fit=(64, 400)), "does not become larger"),
        (Exact(64, 36), "does not become larger"),
        (Size(factor=5), "at most 4 times"),
    ],
    ids=str,
)
def test_sizes_that_no_film_gets(size: Size | Exact, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        scale_for(size, 64, 36)


@pytest.mark.parametrize("text", ["big", "-2x-2", "0x5", "1280x", "1280x-3", "x", "1e3x5"])
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(MediaError, match="not a size"):
        read_film_size(text)


def test_a_size_is_said_once(run: Run, short: Path) -> None:
    for options in (["--fit", "9x9", "--width", 9], ["--scale-to", "9x9", "--width", 9]):
        done = run("video", short, *options)
        assert done.code == 2
        assert "give one of" in done.err


# Times


@pytest.mark.parametrize("start", ["0.08", "0:0.08", "00:00:00.08", ":"])
def test_times(start: str, run: Run, short: Path, tiny: Path, tmp_path: Path) -> None:
    after = tmp_path / "out.mkv"
    done = run("video", short, "-o", after, "-m", tiny, "--start", start, "--duration", "00:00.08")
    if start == ":":
        assert done.code == 2
        assert "00:01:30" in done.err
    else:
        assert done.code == 0
        assert times(after) == [0, 40]


# Encoders


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-s", 3], "the height must be a multiple of 2; .*--fit"),
        (["--preset", "warp"], "no preset 'warp'; it has ultrafast, superfast, .*placebo"),
        (["--codec", "av1", "--preset", "14"], "no preset '14'; it has 0, 1, .*13"),
        (["--crf", 52], "no quality 52: it goes from 0, the best, to 51"),
        (["--codec", "vp9", "--crf", -1], "no quality -1: .* to 63"),
        (["--codec", "ffv1", "--crf", 3], "no quality to choose; .*--codec"),
        (["--codec", "divx"], "known: x264, .*prores"),
        (["--scale-to", "16500x92"], "invalid width"),  # in the encoder's own words
    ],
    ids=str,
)
def test_encoders_say_what_is_wrong(
    options: list[Any], message: str, run: Run, model_files: Path, tmp_path: Path
) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"{source('64x36', 0.08)} -vf crop=64:35:0:0:exact=1 -c:v ffv1 {before}")
    scale = {"-s": 3, "--scale-to": 4}.get(options[0], 2)
    done = run("video", before, "-m", model_files / f"tiny-x{scale}.safetensors", *options)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert re.search(message, done.err), done.err
    assert made(tmp_path) == ["in.mkv"]


@pytest.mark.parametrize(
    ("pix_fmt", "profile", "decoded"),
    [("yuv420p", "HQ", "yuv422p10le"), ("yuv444p", "4444", "yuv444p12le")],
)
def test_prores(
    pix_fmt: str, profile: str, decoded: str, run: Run, tiny: Path, tmp_path: Path
) -> None:
    """For editing: into QuickTime, in ten bits, even where the film has fewer."""
    before = tmp_path / "in.mp4"
    ffmpeg(f"{source(seconds=0.08)} -pix_fmt {pix_fmt} -c:v libx264 {before}")
    assert run("video", before, "-m", tiny, "--codec", "prores").code == 0
    (film,) = ffprobe(tmp_path / "in_x2.mov", "-show_streams")["streams"]
    assert (film["codec_name"], film["profile"]) == ("prores", profile)
    assert film["pix_fmt"] == decoded  # 4444 always to 12 bits
    assert (film["width"], film["height"], film["nb_frames"]) == (128, 72, "2")


def test_the_shell_completes_codecs() -> None:
    assert cli.video._complete_codec("") == [*codecs.CODECS, *codecs.IN_HARDWARE]
    assert cli.video._complete_codec("x2") == ["x264", "x265"]


@pytest.mark.parametrize(
    ("name", "codec", "result"),
    [
        ("a.mp4", None, ".mp4"),
        ("a.MOV", None, ".MOV"),
        ("a.wmv", None, ".mkv"),
        ("a.webm", None, ".webm"),
        ("a.webm", "h264", ".mkv"),
        ("a.mp4", "ffv1", ".mkv"),
        ("a.ts", "av1", ".mkv"),
        ("a.mkv", "prores", ".mkv"),
    ],
)
def test_endings_suit_the_codec(name: str, codec: str | None, result: str) -> None:
    assert film_ending(name, codec) == result


# Streams


@pytest.fixture(scope="module")
def tongues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound in German, English, and in no language; subtitles in French and Brazilian."""
    folder = tmp_path_factory.mktemp("tongues")
    (folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nOui\n")
    sound = " ".join(f"-f lavfi -i sine=f={440 * n}:d=0.2" for n in (1, 2, 3))
    words = f"-i {folder}/s.srt -i {folder}/s.srt"
    maps = " ".join(f"-map {n}" for n in range(6))
    languages = "-metadata:s:a:0 language=ger -metadata:s:a:1 language=eng"
    languages += " -metadata:s:s:0 language=fre -metadata:s:s:1 language=pt-BR"
    film = folder / "film.mkv"
    codecs = "-c:v libx264 -c:a aac -c:s srt"
    ffmpeg(f"{source(seconds=0.2)} {sound} {words} {maps} {languages} {codecs} {film}")
    return film


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], ["ger", "eng", None, "fre", "pt-BR"]),
        (["--audio", "de"], ["ger", "fre", "pt-BR"]),
        (["--audio", "deu, EN", "--subtitles", "por"], ["ger", "eng", "pt-BR"]),
        (["--audio", "3", "--subtitles", "none"], [None]),
        (["--audio", "none", "--subtitles", "fra"], ["fre"]),
    ],
    ids=str,
)
def test_streams_by_language(
    options: list[object],
    kept: list[str | None],
    run: Run,
    tongues: Path,
    tiny: Path,
    tmp_path: Path,
) -> None:
    done = run("video", tongues, "-o", tmp_path / "out.mkv", "-m", tiny, *options)
    assert done.code == 0
    assert "left out" not in done.err
    streams = ffprobe(tmp_path / "out.mkv", "-show_streams")["streams"]
    assert streams[0]["codec_type"] == "video"
    assert [stream.get("tags", {}).get("language") for stream in streams[1:]] == kept


def test_a_language_that_is_not_there(run: Run, tongues: Path, tiny: Path, tmp_path: Path) -> None:
    done = run("video", tongues, "-o", tmp_path / "out.mkv", "-m", tiny, "--audio", "ja")
    assert done.code == 1
    assert "no audio ja; it has 1 de, 2 en, 3 und" in done.err
    assert made(tmp_path) == []


# Fields


def test_a_picture_of_each_field(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Twice as many, evenly in time, each of a moment of its own."""
    before, after = tmp_path / "in.mp4", tmp_path / "out.mkv"
    ffmpeg(f"{source(rate=50)} -vf interlace -c:v libx264 -flags +ilme+ildct {before}")
    assert run("video", before, "-o", after, "-m", tiny, "--bob", "--codec", "ffv1").code == 0
    assert times(after) == [20 * n for n in range(20)]
    (film,) = ffprobe(after, "-show_streams")["streams"]
    assert (film["r_frame_rate"], film["field_order"]) == ("50/1", "progressive")
    assert all(np.any(one[0] != other[0]) for one, other in pairwise(planes(after)))


def test_times_that_cannot_be_halved(run: Run, tiny: Path, tmp_path: Path) -> None:
    before = tmp_path / "in.avi"
    ffmpeg(f"{source(rate=50)} -vf interlace -c:v mpeg2video -flags +ilme+ildct {before}")
    done = run("video", before, "-m", tiny, "--bob")
    assert (done.code, made(tmp_path)) == (1, ["in.avi"])
    assert "-c copy OUT.mkv" in done.err


# Animated pictures


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_animated_pictures_become_films(
    ending: str, run: Run, bicubic: Path, tmp_path: Path
) -> None:
    """Each shown when it was, in the colours that Pillow sees."""
    colors = ["red", "lime", "blue", "white", "gray"]
    pictures = [Image.new("RGB", (32, 18), color) for color in colors]
    options: dict[str, Any] = {"duration": [100, 50, 200, 100, 100], "lossless": True}
    before = tmp_path / f"cat.{ending}"
    pictures[0].save(before, save_all=True, append_images=pictures[1:], **options)
    assert run("video", before, "-m", bicubic).code == 0
    after = tmp_path / "cat_x2.mp4"
    (film,) = ffprobe(after, "-show_streams")["streams"]
    assert (film["width"], film["pix_fmt"]) == (64, "yuv420p")
    base = Fraction(film["time_base"])
    assert [round(1000 * t * base) for t in times(after)] == [0, 100, 150, 350, 450]
    with av.open(str(after)) as container:
        for frame, color in zip(container.decode(video=0), colors, strict=True):
            seen = frame.to_ndarray(format="rgb24").mean((0, 1))
            np.testing.assert_allclose(seen, ImageColor.getrgb(color), atol=30)


def test_a_webp_that_is_damaged(run: Run, tiny: Path, tmp_path: Path) -> None:
    before = tmp_path / "cat.webp"
    before.write_bytes(b"RIFF\0\0\0\0WEBPVP8X")
    done = run("video", before, "-m", tiny)
    assert (done.code, done.err.count("\n"), made(tmp_path)) == (1, 1, ["cat.webp"])
    assert "cannot be read" in done.err


# Numbered pictures


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with r_0998.png to r_1002.png: libav by itself looks for 0 to 4."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(998, 1003):
        grey = 40 * (number - 997)
        Image.new("RGB", (32, 18), (grey, grey, grey)).save(folder / f"r_{number:04}.png")
    return folder


def test_numbered_pictures_become_a_film(run: Run, bicubic: Path, frames: Path) -> None:
    assert run("video", frames / "r_%04d.png", "-m", bicubic, "--rate", "10").code == 0
    after = frames / "r_x2.mp4"
    (film,) = ffprobe(after, "-show_streams")["streams"]
    assert (film["r_frame_rate"], film["nb_frames"]) == ("10/1", "5")
    assert (film["width"], film["pix_fmt"]) == (64, "yuv420p")
    base = Fraction(film["time_base"])
    assert [t * base * 10 for t in times(after)] == [0, 1, 2, 3, 4]
    with av.open(str(after)) as container:
        greys = [f.to_ndarray(format="rgb24").mean() for f in container.decode(video=0)]
    np.testing.assert_allclose(greys, [40, 80, 120, 160, 200], atol=4)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("shots/a-%04d.png", "a.png"), ("shots/%d.png", "shots.png"), ("shots/%03d_b.png", "b.png")],
)
def test_results_of_numbered_pictures_have_no_number(pattern: str, name: str) -> None:
    assert plain_name(Path(pattern)).name == name


def test_a_gap_of_any_length_is_told(run: Run, tiny: Path, frames: Path) -> None:
    for number in 1, 20240501123000:
        (frames / f"shot_{number}.png").write_bytes((frames / "r_0998.png").read_bytes())
    done = run("video", frames / "shot_%d.png", "-m", tiny)
    assert done.code == 1
    assert "shot_2.png is missing" in done.err


def test_numbered_pictures_in_part(run: Run, bicubic: Path, frames: Path) -> None:
    part = ["--rate", "24000/1001", "--start", "0.04", "--duration", "0.08"]
    assert run("video", frames / "r_%04d.png", "-m", bicubic, *part).code == 0
    with av.open(str(frames / "r_x2.mp4")) as container:
        greys = [f.to_ndarray(format="rgb24").mean() for f in container.decode(video=0)]
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)
    np.testing.assert_allclose(greys, [80, 120], atol=4)


@pytest.mark.parametrize(
    ("pattern", "options", "message"),
    [
        ("r_%04d.png", [], "r_1000.png is missing"),
        ("x_%04d.png", [], "no pictures"),
        ("r_%05d.png", [], "no pictures"),
        ("r_0998.png", ["--rate", 24], "rate of its own"),
        ("r_%04d.png", ["--rate", "fast"], "not a frame rate"),
        ("r_%04d.png", ["-o", "%d.jpg"], r"pictures: \.png, \.tif"),
        ("r_%04d.png", ["-o", "%d.png", "--codec", "x264"], "no codec to choose"),
    ],
)
def test_numbered_pictures_that_are_none(
    pattern: str, options: list[Any], message: str, run: Run, tiny: Path, frames: Path
) -> None:
    (frames / "r_1000.png").unlink()
    done = run("video", frames / pattern, "-m", tiny, *options)
    assert done.code != 0
    assert re.search(message, " ".join(done.err.replace("│", "").split()))
    assert not list(frames.glob("*.mp4*"))


# Progress


@dataclass
class FakeClock:
    """Stands in for the module ``time``."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_time_left_is_right_after_a_resume(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding the finished part again, which is fast, is not taken for the pace of the rest."""
    monkeypatch.setattr(spans, "MOST", 10)
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source('48x32', 2)} -c:v libx264 {before}")
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, before, after, progress=Interrupter(45))
    clock = FakeClock()

    def ticking(*arguments: Any) -> Iterator[object]:
        for frame in film.read_frames(*arguments):
            clock.now += 1
            yield frame

    monkeypatch.setattr(transcode, "time", clock)
    monkeypatch.setattr(transcode, "read_frames", ticking)
    progress = enlarge_video(upscaler, before, after).progress
    assert progress.resumed > 30
    assert 0 < progress.seconds <= 50 - progress.resumed
