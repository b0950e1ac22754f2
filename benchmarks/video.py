"""How fast films are enlarged, and what the time goes into.

    python -m benchmarks.video [--model NAME] [--size WxH] [--frames N] [--preset P] [--json]

Makes a film in which every pixel of every frame changes, enlarges it ×2 as `bnnup
video` does, and says how many frames a second that were and how busy each stage was;
the same without encoding; and how many the network alone does. Stages run at once:
their shares add up to more than 100 % of the time, and to no more than the cores.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from bnnup.frames import from_planes
from bnnup.planes import FrameUpscaler, Plane, read_pix_fmt
from bnnup.upscaler import Upscaler, load
from bnnup.video import Options, enlarge_video

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
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height = width, height
        for number, planes in enumerate(moving(width, height, frames)):
            frame: VideoFrame = from_planes(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def network_alone(upscaler: Upscaler, width: int, height: int, frames: int) -> float:
    """Frames a second of everything between decoder and encoder, and nothing beside it."""
    form = read_pix_fmt("yuv420p")
    assert form is not None
    enlarge = FrameUpscaler(upscaler, form)
    pictures = list(moving(width, height, frames + 1))
    enlarge(pictures.pop())
    began = time.perf_counter()
    for planes in pictures:
        enlarge(planes)
    return frames / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="edsr-small")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--preset", action="append", help="of x264; may be given several times")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    upscaler = load(arguments.model, scale=2, threads=arguments.threads)
    alone = network_alone(upscaler, width, height, min(arguments.frames, 48))
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "in.mp4"
        make_film(film, width, height, arguments.frames)
        for preset in arguments.preset or ["medium", "veryfast", "ultrafast"]:
            options = Options(preset=preset)
            progress = enlarge_video(upscaler, film, Path(folder) / "out.mp4", options).progress
            busy = {stage: s / progress.seconds for stage, s in progress.busy.items()}
            rows.append({"preset": preset, "frames_per_second": progress.rate, **busy})
            (Path(folder) / "out.mp4").unlink()
    if arguments.json:
        print(json.dumps({"network_alone": alone, "rows": rows, "size": arguments.size}))
        return
    print(
        f"{arguments.model}, {width}×{height} → {2 * width}×{2 * height}, {upscaler.backend.name}"
    )
    print(f"{'':<14} {'frames/s':>9} {'decode':>7} {'engine':>7} {'encode':>7}")
    print(f"{'network alone':<14} {alone:>9.1f}")
    for row in rows:
        shares = "".join(f" {row[stage]:>7.0%}" for stage in ("decode", "engine", "encode"))
        print(f"x264 {row['preset']:<9} {row['frames_per_second']:>9.1f}{shares}")


if __name__ == "__main__":
    main()
