"""The spans of films: worked on apart, they give the film that one go gives."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from films import ffmpeg, needs_ffmpeg, source

from bnnup.upscale.upscaler import Upscaler
from bnnup.video import spans
from bnnup.video.enlarge import Options, choose_encoding, make_segments
from bnnup.video.film import probe, read_frames
from bnnup.video.read import BadPackets, Cut
from bnnup.video.segments import Chunk, WorkFolder
from bnnup.video.spans import Span, plan_spans
from bnnup.video.transcode import Transcoder

pytestmark = needs_ffmpeg

QUIET = "-x265-params log-level=none"
VARIABLE = "-vf setpts='PTS+mod(N,3)*0.007/TB' -vsync vfr"
FIELDS = "-vf interlace -flags +ilme+ildct"
TELECINE = "-vf fps=24000/1001,telecine,setfield=tff -flags +ilme+ildct"
INEXACT = ("avi", "wmv")  # libav tells other times after a jump than before
OPEN = f"{QUIET}:open-gop=1:keyint=8:min-keyint=8"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LEAST", 10)
    monkeypatch.setattr(spans, "MOST", 20)


class Segments:
    """The segments of a film, made in a folder in one way or another."""

    def __init__(self, upscaler: Upscaler, path: Path, folder: Path, cut: Cut) -> None:
        self.film, self.cut = probe(path, cut), cut
        self.encoding = choose_encoding(self.film, 2, Path("x.mkv"), Options(codec="ffv1"))
        self.folder = WorkFolder(folder)
        self.folder.prepare({}, discard=False)
        self._job = upscaler, self.film, self.encoding, cut, self.folder, lambda _: None
        self.tries = 0

    def run(self, spans: Iterable[Span]) -> None:
        Transcoder(*self._job).run(spans)

    def run_apart(self, spans: Iterable[Span]) -> None:
        """Each span on its own, the last one first."""
        self.tries += 1
        for span in [*spans][::-1]:
            Transcoder(*self._job).run([span], span.seek)

    def chunks(self) -> list[list[Chunk]]:
        return [[*segment.chunks()] for segment in self.folder.in_order]


@pytest.mark.parametrize(
    ("name", "options", "cut"),
    [
        ("b.mp4", "-c:v libx264 -bf 3 -g 12", Cut()),
        ("b.mkv", "-c:v libx264 -bf 3 -g 12", Cut(start=0.7, duration=2)),
        ("b.ts", "-c:v libx264 -bf 3 -g 12", Cut(start=0.7, duration=2)),
        ("b.flv", "-c:v libx264 -bf 3 -g 12", Cut()),
        ("open.mp4", f"-c:v libx265 {OPEN}", Cut()),
        ("open.ts", f"-c:v libx265 {OPEN}", Cut()),
        ("open.mpg", "-c:v mpeg2video -bf 2 -g 9", Cut()),
        ("refresh.mp4", "-c:v libx264 -g 10 -x264-params intra-refresh=1", Cut()),
        ("one_key_frame.mp4", "-c:v libx264 -g 999", Cut()),
        ("variable.mp4", f"{VARIABLE} -c:v libx264 -g 12", Cut()),
        ("no_times.h264", "-c:v libx264 -g 12", Cut()),
        ("no_presentation_times.avi", "-c:v libx264 -bf 3 -g 12", Cut()),
        ("durations_after_a_while.wmv", "-q 2", Cut()),
        ("fields.mp4", f"{FIELDS} -c:v libx264 -g 12", Cut(deinterlace=True)),
        ("telecine.mkv", f"{TELECINE} -c:v libx264 -g 12", Cut(detelecine=True)),
    ],
)
def test_apart_or_at_once(
    name: str, options: str, cut: Cut, upscaler: Upscaler, tmp_path: Path
) -> None:
    """Where a jump leads elsewhere, the seams tell, and the segment is made anew."""
    ffmpeg(f"{source('96x64', 4)} {options} {tmp_path / name}")
    once = Segments(upscaler, tmp_path / name, tmp_path / "once", cut)
    apart = Segments(upscaler, tmp_path / name, tmp_path / "apart", cut)
    make_segments(once.run, once.film, cut, once.folder)
    make_segments(apart.run_apart, apart.film, cut, apart.folder)
    assert len(once.chunks()) >= 3
    assert apart.chunks() == once.chunks()
    assert (apart.tries > 1) == name.endswith(INEXACT)
    frames = [frame.pts for frame in read_frames(once.film, cut, BadPackets())]
    assert sorted(chunk.pts for chunks in once.chunks() for chunk in chunks) == frames


def test_a_jump_beyond_its_aim_is_noticed(upscaler: Upscaler, tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    ffmpeg(f"{source('96x64', 4)} -c:v libx264 -g 12 {path}")
    once, apart = (Segments(upscaler, path, tmp_path / name, Cut()) for name in ("once", "apart"))
    make_segments(once.run, once.film, Cut(), once.folder)

    def lost(planned: Iterable[Span]) -> None:
        apart.run_apart(
            span if span.seek is None else replace(span, seek=span.end) for span in planned
        )

    make_segments(lost, apart.film, Cut(), apart.folder)
    assert apart.tries > 1
    assert apart.chunks() == once.chunks()


def test_spans_end_at_key_frames_where_they_can(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    ffmpeg(f"{source('96x64', 4)} -c:v libx264 -g 16 -sc_threshold 0 {path}")
    planned = [*plan_spans(probe(path, Cut()), Cut())]
    assert [span.begin for span in planned] == [None, 640, 1280, 1920, 2560, 3200, 3840]
    assert [span.end for span in planned] == [640, 1280, 1920, 2560, 3200, 3840, None]
    assert [span.seek for span in planned[:2]] == [None, None]
    for span in planned[2:]:
        assert span.seek is not None and span.begin is not None
        assert 0 < span.seek < span.begin
