"""Films as numbered pictures: the colours that players show, every file whole, nothing lost."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from conftest import Run  # noqa: E402
from films import Interrupter, ffmpeg, ffprobe, needs_ffmpeg, planes, source  # noqa: E402
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402
from PIL import Image  # noqa: E402

from bnnup.system import files  # noqa: E402
from bnnup.upscale.upscaler import Upscaler  # noqa: E402
from bnnup.video import spans  # noqa: E402
from bnnup.video.enlarge import enlarge_video  # noqa: E402
from bnnup.video.sequence import pictures  # noqa: E402
from bnnup.video.spans import Span  # noqa: E402
from bnnup.video.transcode import Transcoder  # noqa: E402

pytestmark = needs_ffmpeg

# BT.601 and BT.709: what red and blue weigh in luma.
WEIGHTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
MAKING = "-c:v libx264 -preset ultrafast"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shown(frame: list[np.ndarray], bits: int, matrix: str, *, full: bool) -> np.ndarray:
    """R'G'B' of planes of 4:4:4, 0 to 1, by the formulas of ITU-R BT.601, BT.709 and BT.2020."""
    y, cb, cr = (plane.astype(float) / (1 << bits - 8) for plane in frame)
    top = ((1 << bits) - 1) / (1 << bits - 8)
    y, cb, cr = (
        (y / top, (cb - 128) / top, (cr - 128) / top)
        if full
        else ((y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224)
    )
    red, blue = WEIGHTS[matrix]
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1).clip(0, 1)


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "matrix", "full"),
    [
        ("yuv444p", 8, "smpte170m", False),
        ("yuv444p", 8, "bt709", False),
        ("yuv444p", 8, "bt709", True),
        ("yuv444p10le", 10, "bt2020nc", False),
        ("yuv444p10le", 10, "bt709", True),
        ("yuv444p12le", 12, "smpte170m", False),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_are_those_of_the_film(
    ending: str,
    pix_fmt: str,
    bits: int,
    matrix: str,
    full: bool,
    run: Run,
    bicubic: Path,
    tmp_path: Path,
) -> None:
    """Whatever their matrix and their range, to half a code of 8 bits and one of ten."""
    before, film = tmp_path / "in.mkv", tmp_path / "out.mkv"
    tags = f"-colorspace {matrix} -color_range {'pc' if full else 'tv'}"
    ffmpeg(f"{source(seconds=0.08)} -pix_fmt {pix_fmt} -c:v ffv1 {tags} {before}")
    assert run("video", before, "-m", bicubic, "-o", film, "--codec", "ffv1").code == 0
    target = tmp_path / f"frames/%03d.{ending}"
    assert run("video", before, "-m", bicubic, "-o", target).code == 0
    assert names(tmp_path / "frames") == [f"001.{ending}", f"002.{ending}"]
    read: Callable[[Path], Any] = imagecodecs.imread
    for frame, path in zip(planes(film), sorted((tmp_path / "frames").iterdir()), strict=True):
        picture = read(path)
        assert picture.dtype == (np.uint8 if bits == 8 else np.uint16)
        white = np.iinfo(picture.dtype).max
        expected = white * shown(frame, bits, matrix, full=full)
        assert np.abs(picture - expected).max() < (0.6 if bits == 8 else 64)


@pytest.mark.parametrize(("size", "matrix"), [("64x36", "smpte170m"), ("1280x8", "bt709")])
def test_colours_of_films_that_say_nothing_are_what_players_show(
    size: str, matrix: str, run: Run, bicubic: Path, tmp_path: Path
) -> None:
    before, film = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source(size, 0.04)} -pix_fmt yuv444p -c:v ffv1 {before}")
    assert run("video", before, "-m", bicubic, "-o", film, "--codec", "ffv1").code == 0
    assert run("video", before, "-m", bicubic, "-o", tmp_path / "%d.png").code == 0
    (frame,) = planes(film)
    expected = 255 * shown(frame, 8, matrix, full=False)
    np.testing.assert_allclose(imagecodecs.imread(tmp_path / "1.png"), expected, atol=0.6)


@pytest.mark.parametrize(("pix_fmt", "white"), [("gray", 255), ("gray10le", 65535)])
@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_grey_stays_grey(
    pix_fmt: str, white: int, color_range: str, run: Run, bicubic: Path, tmp_path: Path
) -> None:
    before, film = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(
        f"{source(seconds=0.04)} -pix_fmt {pix_fmt} -c:v ffv1 -color_range {color_range} {before}"
    )
    assert run("video", before, "-m", bicubic, "-o", film, "--codec", "ffv1").code == 0
    assert run("video", before, "-m", bicubic, "-o", tmp_path / "%d.png").code == 0
    picture = imagecodecs.imread(tmp_path / "1.png")
    assert (picture.shape, np.iinfo(picture.dtype).max) == ((72, 128), white)
    ((luma,),) = planes(film)
    codes = 1 if white == 255 else 4
    black, span = (16 * codes, 219 * codes) if color_range == "tv" else (0, 256 * codes - 1)
    expected = white * ((luma.astype(float) - black) / span).clip(0, 1)
    np.testing.assert_allclose(picture, expected, atol=0.6 if white == 255 else 64)


def test_chroma_lies_where_the_film_says(run: Run, bicubic: Path, tmp_path: Path) -> None:
    """A ramp of colour does not move against one of brightness."""
    ramp = np.tile(np.linspace(40, 200, 64), (36, 1))
    means = []
    for place in ("left", "center"):
        before = tmp_path / f"{place}.mkv"
        at = ramp[:, ::2] if place == "left" else (ramp[:, ::2] + ramp[:, 1::2]) / 2
        chroma = np.rint(at[::2]).astype(np.uint8)
        raw = tmp_path / "raw.yuv"
        raw.write_bytes(np.rint(ramp).astype(np.uint8).tobytes() + 2 * chroma.tobytes())
        made = "-f rawvideo -pix_fmt yuv420p -s 64x36 -i"
        tags = f"-chroma_sample_location {place} -colorspace bt709"
        ffmpeg(f"{made} {raw} {tags} {MAKING} -qp 0 {before}")
        assert run("video", before, "-m", bicubic, "-o", tmp_path / f"{place}%d.png").code == 0
        picture = imagecodecs.imread(tmp_path / f"{place}1.png").astype(float)
        # What chroma adds, without luma.
        means.append((picture[..., 2] - picture[..., 1])[20:50, 20:108].mean())
    assert abs(means[0] - means[1]) < 0.25


def test_hdr_is_said(run: Run, tiny: Path, tmp_path: Path) -> None:
    before = tmp_path / "in.mkv"
    tags = "-colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084 -color_range tv"
    ffmpeg(f"{source(seconds=0.04)} -pix_fmt yuv420p10le -c:v ffv1 {tags} {before}")
    assert run("video", before, "-m", tiny, "-o", tmp_path / "%d.png").code == 0
    assert b"cICP\x09\x10\x00\x01" in (tmp_path / "1.png").read_bytes()
    done = run("video", before, "-m", tiny, "-o", tmp_path / "%d.tif")
    assert "tif does not say that the film is HDR" in done.err


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_pictures_are_upright(rotate: int, run: Run, bicubic: Path, tmp_path: Path) -> None:
    """As ffmpeg turns them."""
    plain, before = tmp_path / "plain.mp4", tmp_path / "in.mp4"
    ffmpeg(f"{source(seconds=0.04)} -pix_fmt yuv420p {MAKING} {plain}")
    ffmpeg(f"-i {plain} -c copy -metadata:s:v rotate={rotate} {before}")
    done = run("video", before, "-m", bicubic, "-o", tmp_path / "%d.png", "--fit", "128x128")
    assert done.code == 0
    ffmpeg(f"-i {before} {tmp_path}/expected.png")
    with Image.open(tmp_path / "1.png") as mine, Image.open(tmp_path / "expected.png") as theirs:
        assert mine.size == (2 * theirs.width, 2 * theirs.height)
        smaller = np.asarray(mine.resize(theirs.size, Image.Resampling.BOX), float)
        assert np.abs(smaller - np.asarray(theirs, float)).mean() < 10


def test_the_shape_of_pixels_is_said(run: Run, tiny: Path, tmp_path: Path) -> None:
    before = tmp_path / "in.mp4"
    ffmpeg(f"{source(seconds=0.04)} {MAKING} -aspect 4:3 {before}")
    for ending in ("png", "tif"):
        assert run("video", before, "-m", tiny, "-o", tmp_path / f"%d.{ending}").code == 0
        (picture,) = ffprobe(tmp_path / f"1.{ending}", "-show_streams")["streams"]
        assert picture["display_aspect_ratio"] == "4:3"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames with sound, subtitles and a chapter; key frames every 8."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,500\nOne\n")
    (folder / "chapters").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=first\n"
    )
    inputs = f"-f lavfi -i sine=d=2 -i {folder}/s.srt -i {folder}/chapters -map_chapters 3"
    maps = "-map 0 -map 1 -map 2 -c:a aac -c:s srt"
    ffmpeg(f"{source('48x32', 2)} {inputs} {maps} {MAKING} -g 8 {folder}/film.mkv")
    return folder / "film.mkv"


def test_what_pictures_do_not_hold_is_said(
    run: Run, film: Path, tiny: Path, tmp_path: Path
) -> None:
    done = run("video", film, "-m", tiny, "-o", tmp_path / "a/b/%05d.png")
    assert done.code == 0
    assert "left out: audio, subtitle, chapters" in done.err
    found = names(tmp_path / "a" / "b")
    assert found == [f"{number:05}.png" for number in range(1, 51)]


def test_a_part_in_other_numbers(run: Run, film: Path, tiny: Path, tmp_path: Path) -> None:
    part = ["--start", "0.4", "--duration", "0.2", "--start-number", "998"]
    assert run("video", film, "-m", tiny, "-o", tmp_path / "%d.png", *part).code == 0
    assert names(tmp_path) == ["1000.png", "1001.png", "1002.png", "998.png", "999.png"]


def test_numbered_pictures_become_larger_ones(run: Run, bicubic: Path, tmp_path: Path) -> None:
    """Of the same numbers, and nearly what the same pictures become one by one."""
    rng = np.random.default_rng(0)
    for number in (7, 8, 9):
        pixels = np.kron(rng.integers(0, 256, (9, 16, 3), np.uint8), np.ones((2, 2, 1), np.uint8))
        Image.fromarray(pixels).save(tmp_path / f"{number:03}.png")
    target = tmp_path / "100% big" / "50%_%04d.png"
    assert run("video", tmp_path / "%03d.png", "-m", bicubic, "-o", target).code == 0
    assert names(target.parent) == ["50%_0007.png", "50%_0008.png", "50%_0009.png"]
    run("upscale", tmp_path / "008.png", "-m", bicubic, "-o", tmp_path / "one.png")
    mine = imagecodecs.imread(target.with_name("50%_0008.png")).astype(float)
    assert mine.shape == (36, 64, 3)
    difference = mine - imagecodecs.imread(tmp_path / "one.png")
    assert np.abs(difference).mean() < 2
    part = ["--start", "0.04", "--duration", "0.04"]
    assert run("video", target, "-m", bicubic, "-o", tmp_path / "more%d.png", *part).code == 0
    assert (tmp_path / "more8.png").exists()


@pytest.mark.parametrize("deep", [False, True])
def test_grey_and_deep_pictures_stay_so(
    deep: bool, run: Run, bicubic: Path, tmp_path: Path
) -> None:
    dtype = np.dtype(np.uint16 if deep else np.uint8)
    level = 65535 // 3 if deep else 255 // 3
    for name, shape in (("grey", (18, 32)), ("colour", (18, 32, 3))):
        pixels = np.full(shape, level, dtype)
        imagecodecs.imwrite(tmp_path / f"{name}1.png", pixels)
        target = tmp_path / f"{name}_big%d.png"
        assert run("video", tmp_path / f"{name}%d.png", "-m", bicubic, "-o", target).code == 0
        larger = imagecodecs.imread(tmp_path / f"{name}_big1.png")
        assert (larger.dtype, larger.shape) == (dtype, (36, 64, *shape[2:]))
        assert np.abs(larger.astype(int) - level).max() <= (3 if deep else 0)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LEAST", 6)
    monkeypatch.setattr(spans, "MOST", 10)


@pytest.mark.usefixtures("short_segments")
def test_interrupted_work_is_continued(film: Path, upscaler: Upscaler, tmp_path: Path) -> None:
    """Pictures appear segment by segment, and are no longer held twice."""
    (tmp_path / "straight").mkdir()
    (tmp_path / "out").mkdir()
    straight, target = tmp_path / "straight" / "%05d.png", tmp_path / "out" / "%05d.png"
    whole = enlarge_video(upscaler, film, straight)
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, film, target, progress=Interrupter(30))
    assert len(pictures(target)) == 24
    kept = sum(path.stat().st_size for path in (tmp_path / "out" / "%05d.png.part").iterdir())
    assert kept < 4000
    pictures(target)[10].unlink()  # whose segment has to be made again
    result = enlarge_video(upscaler, film, target)
    assert result.progress.resumed == 16
    assert result.progress.bytes == whole.progress.bytes
    assert names(tmp_path / "out") == names(tmp_path / "straight")
    for path in (tmp_path / "straight").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert result.progress.bytes == sum(p.stat().st_size for p in pictures(target).values())


@pytest.mark.usefixtures("short_segments")
def test_a_crash_amid_a_segments_pictures_loses_none(
    film: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, write = tmp_path / "%05d.png", files.writing

    def fail(path: Path) -> Any:
        if path.name == "00012.png":
            raise OSError(28, "No space left on device")
        return write(path)

    with monkeypatch.context() as patch, pytest.raises(Exception, match="No space left"):
        patch.setattr(files, "writing", fail)
        enlarge_video(upscaler, film, target)
    assert len(pictures(target)) == 11
    result = enlarge_video(upscaler, film, target)
    assert result.progress.resumed == 16
    assert sorted(pictures(target)) == list(range(1, 51))


def test_nothing_is_overwritten(run: Run, film: Path, tiny: Path, tmp_path: Path) -> None:
    precious = tmp_path / "00060.png"
    precious.write_bytes(b"precious")
    target = tmp_path / "%05d.png"
    done = run("video", film, "-m", tiny, "-o", target)
    assert (done.code, names(tmp_path)) == (1, ["00060.png"])
    assert "00060.png exists; name another with -o, or overwrite it with --force" in done.err
    done = run("video", film, "-m", tiny, "-o", target, "--force")
    assert done.code == 0
    assert "00060.png and what follows is an earlier run's" in done.err
    assert precious.read_bytes() == b"precious"
    done = run("video", target, "-m", tiny, "-o", tmp_path / "%d.png", "--force")
    assert done.code == 1
    done = run("video", target, "-m", tiny, "-o", target, "--force")
    assert "same pictures" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crf", 3], "no quality"),
        (["--preset", "11"], "no preset '11'; it has 0, 1,"),
        (["-o", "{}/%d.jpg"], r"numbered results are pictures: \.png, \.tif"),
        (["-o", "{}/%d_%d.png"], "more than one number"),
        (["-o", "{}/%d.mp4"], r"numbered results are pictures: \.png, \.tif"),
    ],
)
def test_refusals(options: list[Any], message: str, run: Run, film: Path, tmp_path: Path) -> None:
    words = [str(word).format(tmp_path) for word in options]
    done = run("video", film, "-o", tmp_path / "%d.png", *words)
    assert (done.code, done.err.count("\n"), names(tmp_path)) == (1, 1, [])
    assert re.search(message, done.err), done.err


def test_far_pictures(run: Run, film: Path, tiny: Path, memory: MemoryFileSystem) -> None:
    part = ["--duration", "0.08"]
    assert run("video", film, "-m", tiny, "-o", "memory://frames/%d.png", *part).code == 0
    assert memory.find("/frames") == ["/frames/1.png", "/frames/2.png"]


@contextmanager
def apart(*job: Any) -> Iterator[Any]:
    """Each span by itself, the last one first, as workers of a cluster may be done with them."""
    work = Transcoder(*job)

    def run(spans: Iterable[Span]) -> None:
        for span in [*spans][::-1]:
            Transcoder(*job).run([span], span.seek)

    yield SimpleNamespace(run=run, state=work.state)


@pytest.mark.usefixtures("short_segments")
def test_segments_made_in_any_order(film: Path, upscaler: Upscaler, tmp_path: Path) -> None:
    (tmp_path / "straight").mkdir()
    enlarge_video(upscaler, film, tmp_path / "straight" / "%05d.png")
    enlarge_video(upscaler, film, tmp_path / "%05d.png", workers=apart)
    for path in (tmp_path / "straight").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
