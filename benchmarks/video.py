"""How fast films are enlarged, and what the time goes into.

    python -m benchmarks.video [--model NAME] [--size WxH] [--frames N] [--preset P] [--json]
    python -m benchmarks.video --cluster …

Makes a film in which every pixel of every frame changes, and enlarges it ×2. First each
stage on its own, in milliseconds of processor time a frame: their sum, shared by the
cores, is the limit. Then as ``bnnup video`` does it, all at once: frames a second, and
the share of the time for which each stage was busy. On a machine that does other work,
too, the processor times still hold, the frames a second do not.

The second form enlarges the film by a plain process, by one worker of a Ray cluster and
by two, each held to a core of its own; starting workers and joining segments is left out.
Needs two cores and pip install '.[cluster]'.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
from av.video.frame import VideoFrame

from benchmarks import nodes
from bnnup.backends.engine import usable_cores
from bnnup.cluster import video, workers
from bnnup.cluster.video import over_cluster
from bnnup.upscale.upscaler import Upscaler, load
from bnnup.video import spans
from bnnup.video.enlarge import Options, enlarge_video
from bnnup.video.frame_upscaler import FrameUpscaler
from bnnup.video.frames import from_planes
from bnnup.video.planes import Plane, read_pix_fmt
from bnnup.video.transcode import FilmProgress

RATE = 24


def moving(width: int, height: int, frames: int) -> Iterator[list[Plane]]:
    """Frames in which nothing stays: waves that travel, with the grain of a camera."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32) / 12
    form = read_pix_fmt("yuv420p")
    assert form is not None
    chroma = form.shapes(height, width)[1]
    for number in range(frames):
        waves = np.sin(x + number / 3) * np.cos(y * 0.7 - number / 5)
        luma = 126 + 80 * waves + rng.normal(0, 3, (height, width))
        yield [
            luma.clip(16, 235).astype(np.uint8),
            *(rng.integers(120, 136, chroma, np.uint8) for _ in range(2)),
        ]


def make_film(path: Path, width: int, height: int, frames: int) -> None:
    """With as many key frames as spans can be."""
    options = {"crf": "18", "g": str(spans.LEAST)}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height = width, height
        for number, planes in enumerate(moving(width, height, frames)):
            frame: VideoFrame = from_planes(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def milliseconds(frames: int, work: Callable[[], None]) -> float:
    """Processor time a frame, over all threads."""
    began = time.process_time()
    work()
    return 1e3 * (time.process_time() - began) / frames


def cost_of_decoding(film: Path, frames: int) -> float:
    def decode() -> None:
        with av.open(str(film)) as container:
            for _ in container.decode(video=0):
                pass

    return milliseconds(frames, decode)


def cost_of_network(upscaler: Upscaler, width: int, height: int, frames: int) -> float:
    """Of everything between decoder and encoder."""
    form = read_pix_fmt("yuv420p")
    assert form is not None
    enlarge = FrameUpscaler(upscaler, form)
    pictures = list(moving(width, height, frames + 1))
    enlarge(pictures.pop())  # the first run allocates
    return milliseconds(frames, lambda: [enlarge(planes) for planes in pictures].clear())


def cost_of_encoding(width: int, height: int, frames: int, preset: str) -> float:
    pictures = [from_planes(planes, "yuv420p") for planes in moving(width, height, frames)]

    def encode() -> None:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, RATE), Fraction(RATE)
        context.options = {"preset": preset, "crf": "18"}
        for number, picture in enumerate(pictures):
            picture.pts, picture.time_base = number, context.time_base
            context.encode(picture)
        context.encode(None)

    return milliseconds(frames, encode)


def measure(
    upscaler: Upscaler, width: int, height: int, frames: int, presets: list[str]
) -> list[dict[str, Any]]:
    """One row a preset: costs on their own in ms, then what all of it at once reached."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        film, larger = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        make_film(film, width, height, frames)
        few = min(frames, 24)
        decode = cost_of_decoding(film, frames)
        network = cost_of_network(upscaler, width, height, few)
        for preset in presets:
            encode = cost_of_encoding(2 * width, 2 * height, few, preset)
            limit = 1e3 * usable_cores() / (decode + network + encode)
            options = Options(preset=preset)
            progress = enlarge_video(upscaler, film, larger, options, discard=True).progress
            larger.unlink()
            rows.append(
                {
                    "preset": preset,
                    "milliseconds": {"decode": decode, "engine": network, "encode": encode},
                    "limit": limit,
                    "rate": progress.rate,
                    "busy": {stage: s / progress.seconds for stage, s in progress.busy.items()},
                }
            )
    return rows


def measure_cluster(
    upscaler: Upscaler, width: int, height: int, frames: int, preset: str
) -> dict[str, float]:
    """Frames a second of a process on one core, of one worker and of two."""
    options = Options(preset=preset)
    with tempfile.TemporaryDirectory() as folder:
        film, larger = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        make_film(film, width, height, frames)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {0})
        plain = enlarge_video(upscaler, film, larger, options).progress.rate
        os.sched_setaffinity(0, cores)
        found = {"process": plain}
        for count in (1, 2):
            expected = larger.read_bytes()
            larger.unlink()
            found[f"workers {count}"] = rate_of_workers(upscaler, film, larger, options, count)
            assert larger.read_bytes() == expected
    return found


def rate_of_workers(
    upscaler: Upscaler, film: Path, larger: Path, options: Options, count: int
) -> float:
    """Frames a second from when all workers are there."""
    claims = film.parent / f"cores-{count}"
    claims.mkdir()
    claim = nodes.claimer(claims, count)

    class Pinned(video.FilmWorker):
        def __init__(self, job: video.Job) -> None:
            claim()
            super().__init__(job)

    began: list[float] = []

    def wait(progress: FilmProgress) -> None:
        if progress.workers == count and not began:
            assert progress.frames == 0
            began.append(progress.seconds)

    with (
        nodes.cluster(count) as address,
        patch.multiple(video, FilmWorker=Pinned),
        patch.object(workers, "PERIOD", 0.1),
    ):
        made = enlarge_video(
            upscaler, film, larger, options, wait, workers=partial(over_cluster, address, 1)
        ).progress
    return made.frames / (made.seconds - began[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="edsr-small")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--preset", action="append", help="of x264; may be given several times")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cluster", action="store_true", help="one-core workers instead")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    presets = arguments.preset or ["medium", "veryfast"]
    if arguments.cluster:
        upscaler = load(arguments.model, scale=2, threads=1)
        rates = measure_cluster(upscaler, width, height, arguments.frames, presets[0])
        if arguments.json:
            print(json.dumps({"model": arguments.model, "size": arguments.size, "rates": rates}))
            return
        for name, rate in rates.items():
            print(f"{name:<12}{rate:>8.1f} frames a second{rate / rates['process']:>8.2f}")
        return
    upscaler = load(arguments.model, scale=2, threads=arguments.threads)
    rows = measure(upscaler, width, height, arguments.frames, presets)
    if arguments.json:
        print(json.dumps({"model": arguments.model, "size": arguments.size, "rows": rows}))
        return
    print(f"{arguments.model}, {width}×{height} → {2 * width}×{2 * height}, {usable_cores()} cores")
    stages = ("decode", "engine", "encode")
    names = "".join(f"{stage:>8}" for stage in stages)
    print(f"{'':<12}{'ms of processor time a frame':>32}{'':>8}{'all at once, busy':>34}")
    print(f"{'x264':<12}{names}{'limit':>8}{'frames/s':>10}{names}")
    for row in rows:
        costs = "".join(f"{row['milliseconds'][stage]:>8.1f}" for stage in stages)
        shares = "".join(f"{row['busy'][stage]:>8.0%}" for stage in stages)
        print(f"{row['preset']:<12}{costs}{row['limit']:>8.1f}{row['rate']:>10.1f}{shares}")


if __name__ == "__main__":
    main()
