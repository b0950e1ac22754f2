"""Films over a cluster of two nodes on this machine: the same film, whatever happens.

Ray's own test cluster; every node has one core.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from functools import partial

from conftest import Run
from films import ffmpeg, needs_ffmpeg, other_packets, source, times
from nodes import add_node

from bnnup.cluster import video, workers
from bnnup.cluster.video import FilmWorker, Job, over_cluster
from bnnup.cluster.workers import TRIES
from bnnup.errors import ClusterError, FullError, MediaError
from bnnup.model.file import Model
from bnnup.upscale.upscaler import Upscaler
from bnnup.video import spans
from bnnup.video.enlarge import (
    Options,
    TranscoderFactory,
    choose_encoding,
    enlarge_video,
    in_this_process,
)
from bnnup.video.film import probe
from bnnup.video.read import Cut
from bnnup.video.segments import WorkFolder
from bnnup.video.spans import Span
from bnnup.video.transcode import FilmProgress

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = needs_ffmpeg

FRAMES = 100


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LEAST", 6)
    monkeypatch.setattr(spans, "MOST", 12)
    monkeypatch.setattr(workers, "PERIOD", 0.2)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames in open groups, at changing distances, with sound and subtitles."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "s.srt").write_text("1\n00:00:00,100 --> 00:00:03,500\nOne\n")
    others = f"-f lavfi -i sine=d=4 -i {folder}/s.srt -map 0 -map 1 -map 2 -c:a libopus -c:s srt"
    codec = "-c:v libx265 -x265-params log-level=none:open-gop=1:keyint=8:min-keyint=8"
    moved = "-vf setpts='PTS+mod(N,3)*0.007/TB' -vsync vfr"
    ffmpeg(f"{source('96x64', 4)} {others} {codec} {moved} {folder}/film.mkv")
    return folder / "film.mkv"


@pytest.fixture(scope="module")
def straight(
    film: Path, models: dict[int, Model], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """All packets of the result on one machine, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "LEAST", 6)
        patch.setattr(spans, "MOST", 12)
        after = tmp_path_factory.mktemp("straight") / "out.mkv"
        enlarge_video(Upscaler(models[2]), film, after)
    assert times(after) == times(film)
    assert other_packets(after) == other_packets(film)
    return other_packets(after, film=-1)


def over(address: str) -> TranscoderFactory:
    return partial(over_cluster, address, 1)


def test_a_film(
    nodes: "Cluster", film: Path, straight: list[dict[str, Any]], upscaler: Upscaler, tmp_path: Path
) -> None:
    seen: list[int] = []
    result = enlarge_video(
        upscaler,
        film,
        tmp_path / "out.mkv",
        progress=lambda progress: seen.append(progress.workers),
        workers=over(nodes.address),
    )
    assert other_packets(tmp_path / "out.mkv", film=-1) == straight
    assert (result.progress.frames, result.progress.total) == (FRAMES, FRAMES)
    assert max(seen) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("first", ["here", "there"])
def test_begun_in_one_way_and_finished_in_the_other(
    nodes: "Cluster",
    first: str,
    film: Path,
    straight: list[dict[str, Any]],
    upscaler: Upscaler,
    tmp_path: Path,
) -> None:
    after = tmp_path / "out.mkv"
    ways = [in_this_process, over(nodes.address)]
    if first == "there":
        ways.reverse()

    def stop(progress: FilmProgress) -> None:
        if progress.frames > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enlarge_video(upscaler, film, after, progress=stop, workers=ways[0])
    result = enlarge_video(upscaler, film, after, workers=ways[1])
    assert 16 < result.progress.resumed < FRAMES
    assert other_packets(after, film=-1) == straight


def test_a_node_is_killed(
    nodes: "Cluster",
    film: Path,
    straight: list[dict[str, Any]],
    upscaler: Upscaler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(FilmWorker):
        def __call__(self, span: Span) -> FilmProgress:
            time.sleep(0.3)
            return super().__call__(span)

    monkeypatch.setattr(video, "FilmWorker", Slow)
    extra = [add_node(nodes)]

    def kill(progress: FilmProgress) -> None:
        if progress.workers == 3 and extra:
            nodes.remove_node(extra.pop(), allow_graceful=False)

    enlarge_video(upscaler, film, tmp_path / "out.mkv", progress=kill, workers=over(nodes.address))
    assert not extra
    assert other_packets(tmp_path / "out.mkv", film=-1) == straight


def test_a_poisonous_segment(
    nodes: "Cluster",
    film: Path,
    straight: list[dict[str, Any]],
    upscaler: Upscaler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is done is kept, and the rest is made where nothing dies."""

    class Mortal(FilmWorker):
        def __call__(self, span: Span) -> FilmProgress:
            if span.number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(span)

    after = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(video, "FilmWorker", Mortal)
        message = rf"begins at 1\.29 s failed: its worker died {TRIES} times; .* is kept in"
        with pytest.raises(MediaError, match=message) as caught:
            enlarge_video(upscaler, film, after, workers=over(nodes.address))
    assert "\n" not in str(caught.value)
    assert not after.exists()
    assert enlarge_video(upscaler, film, after).progress.resumed > 0
    assert other_packets(after, film=-1) == straight


def test_the_driver_is_killed(nodes: "Cluster", run: Run, tiny: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg(f"{source('96x64', 6)} -c:v libx264 -preset ultrafast -g 8 {before}")
    command: list[str | Path] = ["video", before, "-o", after, "-m", tiny, "--codec", "ffv1"]
    over = ["--cluster", nodes.address, "--json"]
    part = tmp_path / "out.mkv.part"
    short = (
        "from bnnup import cli; from bnnup.video import spans; "
        "spans.LEAST, spans.MOST = 6, 12; cli.main()"
    )
    driver = subprocess.Popen([sys.executable, "-P", "-c", short, *command, *over])
    until = time.monotonic() + 60
    while len([*part.glob("*.seg")]) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    assert not after.exists()
    done = run(*command, *over)
    assert done.code == 0, done.err
    progress = json.loads(done.out.splitlines()[-1])["progress"]
    assert progress["resumed"] >= 3 * 6
    assert progress["frames"] == 150
    assert progress["workers"] in (1, 2)
    run(*command[:2], "-o", tmp_path / "straight.mkv", *command[4:])
    expected = other_packets(tmp_path / "straight.mkv", film=-1)
    assert other_packets(after, film=-1) == expected


def test_a_full_disk_ends_the_job(
    nodes: "Cluster",
    film: Path,
    upscaler: Upscaler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(FilmWorker):
        def __call__(self, span: Span) -> FilmProgress:
            if span.number == 2:
                raise OSError(28, "No space left on device")
            return super().__call__(span)

    monkeypatch.setattr(video, "FilmWorker", Full)
    with pytest.raises(FullError, match=r"No space left on device; .* goes on"):
        enlarge_video(upscaler, film, tmp_path / "out.mkv", workers=over(nodes.address))


# What workers must see


@pytest.fixture
def job(film: Path, models: dict[int, Model], tmp_path: Path) -> Job:
    found, cut = probe(film, Cut()), Cut()
    folder = WorkFolder(tmp_path / "out.mkv.part")
    folder.prepare({}, discard=False)
    encoding = choose_encoding(found, 2, tmp_path / "out.mkv", Options())
    size = film.stat().st_size
    return Job(models[2], 1, 1 << 20, found, size, encoding, cut, folder.path)


def test_workers_that_see_something_else(job: Job, tmp_path: Path) -> None:
    FilmWorker(job)
    absent = replace(job.film, path=tmp_path / "absent" / "film.mkv")
    for change, message in (
        ({"film": absent}, "does not see .*absent: mount it"),
        ({"folder": tmp_path}, "does not see"),
        ({"size": 1}, "another file"),
        ({"libav": "1.0"}, "pip install av==1.0"),
    ):
        with pytest.raises(ClusterError, match=message):
            FilmWorker(replace(job, **change))
