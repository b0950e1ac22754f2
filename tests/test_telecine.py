"""Telecine is undone: the frames of cinema come back, each at its time."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from conftest import Run
from films import Interrupter, ffmpeg, ffprobe, needs_ffmpeg, other_packets, times

from bnnup.upscale.upscaler import Upscaler
from bnnup.video import spans, timecode
from bnnup.video.enlarge import Options, enlarge_video
from bnnup.video.film import probe, read_frames
from bnnup.video.frames import to_planes
from bnnup.video.read import BadPackets, Cut

pytestmark = needs_ffmpeg

CINEMA, TELEVISION = Fraction(24000, 1001), Fraction(30000, 1001)
FRAMES = 48
SOURCE = f"-f lavfi -i testsrc2=s=128x96:r=24000/1001:d={float(FRAMES / CINEMA)} -pix_fmt yuv420p"
UNDONE = Options(codec="ffv1", cut=Cut(detelecine=True))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cinema") / "original.mkv"
    ffmpeg(f"{SOURCE} -c:v ffv1 {path}")
    return path


def read(path: Path, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Luma of the frames that are enlarged, and when they are shown, in seconds."""
    film = probe(path, cut)
    frames = list(read_frames(film, cut, BadPackets()))
    lumas = [to_planes(frame, film.form)[0].astype(int) for frame in frames]
    return np.stack(lumas), np.array([(frame.pts or 0) * float(film.time_base) for frame in frames])


def seconds(path: Path) -> np.ndarray:
    (film,) = ffprobe(path, "-select_streams", "v", "-show_streams")["streams"]
    return np.array(times(path)) * float(Fraction(film["time_base"]))


@pytest.mark.parametrize(
    ("name", "telecine", "encoder"),
    [
        ("top.mkv", "telecine=top:23,setfield=tff", "ffv1 -field_order tt"),
        ("bottom.mkv", "telecine=bottom:23,setfield=bff", "ffv1 -field_order bb"),
        ("late.mkv", "telecine=top:2332,setfield=tff", "ffv1 -field_order tt"),
        ("h264.mp4", "telecine=top:23,setfield=tff", "libx264 -qp 0 -flags +ilme+ildct"),
        ("mpeg2.ts", "telecine=top:23,setfield=tff", "mpeg2video -q 1 -flags +ilme+ildct"),
        ("untold.mkv", "telecine=top:23", "ffv1"),
    ],
)
def test_cinemas_frames_come_back(
    name: str, telecine: str, encoder: str, original: Path, tmp_path: Path
) -> None:
    ffmpeg(f"-i {original} -vf {telecine} -c:v {encoder} {tmp_path / name}")
    mine, moments = read(tmp_path / name, UNDONE.cut)
    theirs, _ = read(original, Cut())
    if name != "late.mkv":
        assert len(mine) == FRAMES
    nearest = [int(np.abs(theirs - frame).mean((1, 2)).argmin()) for frame in mine]
    # At the ends, not every frame has both of its fields.
    inner = slice(2, FRAMES - 2)
    assert np.unique(np.diff(nearest[inner])).tolist() == [1]
    differences = np.abs(mine[inner] - theirs[nearest[inner]]).mean()
    assert differences < (2 if "mpeg2" in name else 0.1)
    np.testing.assert_allclose(np.diff(moments), float(1 / CINEMA), atol=1.1e-3)


def test_the_film_has_the_rate_of_cinema(
    original: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mp4", tmp_path / "out.mp4"
    fields = "setfield=tff -c:v libx264 -preset ultrafast -flags +ilme+ildct"
    ffmpeg(f"-i {original} -vf telecine,{fields} -frames:v 30 {before}")
    result = enlarge_video(upscaler, before, after, Options(cut=UNDONE.cut))
    assert result.progress.frames == 24
    (film,) = ffprobe(after, "-show_streams")["streams"]
    assert film["nb_frames"] == "24"
    assert film["field_order"] == "progressive"
    assert abs(Fraction(film["avg_frame_rate"]) - CINEMA) < 0.1
    np.testing.assert_allclose(np.diff(seconds(after)), float(1 / CINEMA), atol=1.1e-3)


def test_times_follow_the_films_own(original: Path, tmp_path: Path) -> None:
    """Over a gap, as where a recorder lost the signal for half a second."""
    before = tmp_path / "in.mp4"
    gap = "setpts='PTS+gte(N,29)*0.5/TB'"
    ffmpeg(
        f"-i {original} -vf telecine=top:23,setfield=tff,{gap} -vsync vfr -c:v libx264 "
        f"-flags +ilme+ildct -video_track_timescale 30000 {before}"
    )
    _, mine = read(before, UNDONE.cut)
    own = seconds(before)
    assert abs(mine[-1] - own[-1]) < 0.04
    assert np.diff(mine).max() == pytest.approx(np.diff(own).max(), abs=0.01)


def test_what_television_made_itself_is_kept(tmp_path: Path) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"-f lavfi -i testsrc2=s=128x96:r=30000/1001:d=1 -pix_fmt yuv420p -c:v ffv1 {before}")
    _, mine = read(before, UNDONE.cut)
    np.testing.assert_allclose(mine, seconds(before), atol=1.1e-3)


def repeated(path: Path) -> None:
    """An MPEG-2 stream of cinema's frames that asks players for telecine: of four frames, two
    are shown for three fields. (ISO/IEC 13818-2, 6.2.3.1: picture coding extension.)"""
    data = bytearray(path.read_bytes())
    place, number = data.find(b"\0\0\1\xb5"), 0
    order: list[tuple[int, int]] = []
    while place >= 0:
        if data[place + 4] >> 4 == 8:  # of pictures
            top, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[number % 4]
            data[place + 7] = data[place + 7] & ~0x82 | top << 7 | repeat << 1
            data[place + 8] |= 0x80  # progressive
            order.append((top, repeat))
            number += 1
        elif data[place + 4] >> 4 == 1:  # of the sequence, which is not
            data[place + 5] &= ~0x08
        place = data.find(b"\0\0\1\xb5", place + 4)
    assert number
    path.write_bytes(data)


@pytest.mark.parametrize("ending", ["mpg", "ts", "mkv"])
def test_telecine_by_flags_needs_nothing(
    ending: str, original: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    """It is undone by who reads only the frames; they keep their times."""
    stream, before, after = (tmp_path / name for name in ("in.m2v", f"in.{ending}", "out.mkv"))
    ffmpeg(f"-r 30000/1001 -i {original} -c:v mpeg2video -q 2 -bf 0 {stream}")
    repeated(stream)
    ffmpeg(f"-fflags +genpts -i {stream} -c copy {before}")
    own = seconds(before)
    for cut in (Cut(), UNDONE.cut):
        _, mine = read(before, cut)
        assert len(mine) == FRAMES
        np.testing.assert_allclose(mine - mine[0], own - own[0], atol=2e-3)
    if ending == "mpg":
        enlarge_video(upscaler, before, after, Options(cut=Cut(duration=0.5)))
        mine = seconds(after)
        np.testing.assert_allclose(mine, (own - own[0])[: len(mine)], atol=2e-3)


def test_interrupted_work_is_continued(
    original: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST", 7)
    before = tmp_path / "in.mkv"
    fields = "telecine=top:23,setfield=tff -c:v ffv1 -field_order tt"
    ffmpeg(f"-i {original} -vf {fields} -frames:v 30 {before}")
    straight, resumed = tmp_path / "straight.mkv", tmp_path / "resumed.mkv"
    enlarge_video(upscaler, before, straight, UNDONE)
    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, before, resumed, UNDONE, Interrupter(18))
    assert enlarge_video(upscaler, before, resumed, UNDONE).progress.resumed > 9
    assert other_packets(resumed, film=-1) == other_packets(straight, film=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detelecine"], "no telecine to undo in a film of 25 frames a second"),
        (["--ivtc", "--bob"], "give one of --deinterlace, --bob and"),
    ],
)
def test_refusals(options: list[str], message: str, run: Run, tiny: Path, tmp_path: Path) -> None:
    before = tmp_path / "in.mkv"
    ffmpeg(f"-f lavfi -i testsrc2=s=64x48:r=25:d=0.2 -c:v libx264 {before}")
    done = run("video", before, "-m", tiny, *options)
    assert done.code != 0
    assert message in " ".join(done.err.replace("│", "").split())
    assert list(tmp_path.iterdir()) == [before]


def test_timecodes_of_television_become_cinemas() -> None:
    assert timecode.of_cinema("01:02:03;29") == "01:02:03:23"
    assert timecode.of_cinema("soon") == "soon"
