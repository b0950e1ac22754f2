"""How good compressed films become: python -m benchmarks.films --data FOLDER [MODEL]

``FOLDER`` holds Set14, with its originals in ``HR``. Each picture becomes a film that pans over
it, small, compressed by x264; ``bnnup video`` and ffmpeg's Lanczos enlarge it twofold. PSNR is
that of luma over all frames but the first, 2 pixels shaved from each border. Flicker is the
standard deviation of luma over time, in levels, where a film of a picture that stands still
has grain.
"""

import argparse
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.real import originals
from bnnup.pixels.bicubic import reduce
from bnnup.train import degrade

Pixels = NDArray[np.uint8]
Levels = NDArray[np.float64]

SCALE = 2
FRAMES = 9
CRFS = (18, 23, 28, 35)
GRAIN = 6.0  # standard deviation in levels, anew in each frame
GRAIN_CRF = 18  # which keeps most of it


def windows(original: Pixels) -> list[Pixels]:
    """What a camera sees that moves by two pixels of the original a frame, both ways."""
    height, width = ((length - SCALE * FRAMES) // 4 * 4 for length in original.shape[:2])
    starts = range(0, SCALE * FRAMES, SCALE)
    return [np.ascontiguousarray(original[n : n + height, n : n + width]) for n in starts]


def write(frames: Sequence[Pixels], path: Path, crf: int) -> None:
    """(H, W, 3) R'G'B' each, as 4:2:0 in studio range, BT.601."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 24, options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 24)
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU601")))
        container.mux(stream.encode(None))


def read(path: Path) -> Levels:
    """Luma, (frames, H, W), 16 to 235."""
    with av.open(str(path)) as container:
        return np.stack([np.asarray(luma_of(frame)) for frame in container.decode(video=0)])


def luma_of(frame: av.VideoFrame) -> Levels:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    levels: Levels = rows[:, : plane.width].astype(np.float64)
    return levels


def enlarged(path: Path, model: str) -> dict[str, Levels]:
    """The film by Lanczos and by bnnup, both stored without loss."""
    ours, lanczos = path.with_name("bnnup.mkv"), path.with_name("lanczos.mkv")
    bnnup = ["bnnup", "video", path, "-o", ours, "-m", model, "--codec", "ffv1", "--force"]
    ffmpeg = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-i",
        path,
        "-vf",
        f"scale=iw*{SCALE}:-1:flags=lanczos",
    ]
    for command in (bnnup, [*ffmpeg, "-c:v", "ffv1", lanczos]):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return {"lanczos": read(lanczos), "bnnup": read(ours)}


def psnr(result: Levels, truth: Levels) -> float:
    shaved = (slice(1, None), slice(SCALE, -SCALE), slice(SCALE, -SCALE))
    return float(10 * np.log10(255**2 / np.mean((result - truth)[shaved] ** 2)))


def codes(pixels: Pixels) -> Levels:
    """Luma of R'G'B', 16 to 235."""
    luma: Levels = np.rint(16 + 219 * degrade.luma_of(pixels))
    return luma


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="auto")
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmark sets")
    options = parser.parse_args()
    pictures = originals(options.data / "Set14" / "HR", 4)
    quality = Table("", *(f"crf {crf}" for crf in CRFS), title="PSNR of luma, dB", box=None)
    flicker = Table("", "flicker", title="Flicker of grain, levels", box=None)
    gained: dict[str, list[list[float]]] = {"lanczos": [], "bnnup": []}
    steady: dict[str, list[float]] = {"source": [], "lanczos": [], "bnnup": []}
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.mkv"
        for crf in CRFS:
            columns: dict[str, list[float]] = {name: [] for name in gained}
            for picture in pictures:
                seen = windows(picture)
                write([reduce(window, SCALE) for window in seen], film, crf)
                truth = np.stack([codes(window) for window in seen])
                for name, result in enlarged(film, options.model).items():
                    columns[name].append(psnr(result, truth))
            for name, column in columns.items():
                gained[name].append(column)
        for picture in pictures:
            small = reduce(windows(picture)[0], SCALE).astype(np.float64)
            random = np.random.default_rng(0)
            grained = small + GRAIN * random.standard_normal((FRAMES, *small.shape[:2], 1))
            write([*grained.round().clip(0, 255).astype(np.uint8)], film, GRAIN_CRF)
            films = {"source": read(film)} | enlarged(film, options.model)
            for name, result in films.items():
                steady[name].append(float(result.std(axis=0).mean()))
    for name, measured in gained.items():
        quality.add_row(name, *(f"{np.mean(column):.2f}" for column in measured))
    for name, values in steady.items():
        flicker.add_row(name, f"{np.mean(values):.2f}")
    console = Console(width=100, highlight=False)
    console.print(quality, flicker)


if __name__ == "__main__":
    main()
