"""The sheets of docs/real.md: python -m benchmarks.sheets --data FOLDER --scan PICTURE

``FOLDER`` holds the training pictures, in ``train`` and ``art``. The sheets show some that
training holds out, chosen before anybody saw a result: damaged as people's pictures are,
enlarged by the command line with the choice left to it, and put beside bicubic and the
original by ``bnnup compare``. A chart of lines and letters is drawn on the spot. ``PICTURE`` is
``prog/zanotti-78.jpg`` of the sources of Leptonica 1.82.0; without it, that sheet stays as it is.
"""

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from benchmarks import films
from bnnup.pixels.bicubic import reduce
from bnnup.train import pages
from bnnup.train.degrade import add_noise
from bnnup.upscale.choice import AUTO, for_film

Pixels = NDArray[np.uint8]
SCALE = 2
CRF, FRAMES, SHOWN = 28, 13, 7  # of the film, which pans by a pixel each frame
PAPER, INK = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True)
class Sheet:
    """A held-out picture, and what happens to it on its way."""

    name: str
    source: str | Path  # in the folder, or anywhere
    quality: int | None = None  # of JPEG 4:2:0; None: PNG
    noise: float = 0.0  # standard deviation, in levels of 255
    light: float = 1.0  # share of it that there was


SHEETS = (
    Sheet("web", "train/cid22_3bafc2a0.jpg", quality=70),
    Sheet("night", "train/deepin_cf8d6abd.jpg", noise=10, light=0.4),
    Sheet("screenshot", "art/msterm_8fcc09fa.webp"),
    Sheet("drawing", "art/ocal_1a64563c.webp", quality=85),
)
PAGE = 10_000  # of ``train.pages``, which trains on the first ones
FILM = "train/ukylin_8cb8dfe4.jpg"


def bnnup(*arguments: object) -> str:
    done = subprocess.run(
        ["bnnup", *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return done.stdout


def read(path: Path) -> Pixels:
    """(H, W, 3) uint8 with sides that the scale divides."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width = (length - length % SCALE for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def save(pixels: Pixels, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def compare(small: Path, large: Path, original: Path, sheet: Path) -> dict[str, Any]:
    said = bnnup("compare", small, large, "--original", original, "-o", sheet, "--force", "--json")
    scores: dict[str, Any] = json.loads(said)
    return scores


def still(sheet: Sheet, data: Path, work: Path) -> tuple[dict[str, Any], str]:
    """A picture's scores, and the network that was chosen."""
    original = np.round(read(data / sheet.source) * sheet.light).astype(np.uint8)
    truth, large = save(original, work / "original.png"), work / "bnnup.png"
    pixels = reduce(original, SCALE)
    if sheet.noise:
        pixels = add_noise(pixels, sheet.noise, np.random.default_rng(0), grey=False)
    small = work / ("small.png" if sheet.quality is None else "small.jpg")
    options: dict[str, Any] = (
        {} if sheet.quality is None else {"quality": sheet.quality, "subsampling": "4:2:0"}
    )
    Image.fromarray(pixels).save(small, **options)
    said = json.loads(bnnup("upscale", small, "-o", large, "--force", "--json"))
    return compare(small, large, truth, work / "sheet.png"), said["model"]


def page(work: Path) -> tuple[dict[str, Any], str]:
    """The same of a page that a browser has drawn at both sizes."""
    [(_, drawn)] = pages.draw([PAGE])
    (work / "small.png").write_bytes(drawn[1])
    (work / "original.png").write_bytes(drawn[SCALE])
    large = work / "bnnup.png"
    said = json.loads(bnnup("upscale", work / "small.png", "-o", large, "--force", "--json"))
    scores = compare(work / "small.png", large, work / "original.png", work / "sheet.png")
    return scores, said["model"]


def film(data: Path, work: Path) -> tuple[dict[str, Any], str]:
    """The same of a frame from the middle of a film."""
    original = read(data / FILM)
    height, width = original.shape[0] // 4 * 4, (original.shape[1] - SCALE * FRAMES) // 4 * 4
    windows = [
        np.ascontiguousarray(original[:height, SCALE * n : SCALE * n + width])
        for n in range(FRAMES)
    ]
    source, result = work / "film.mp4", work / "film.mkv"
    films.write([reduce(window, SCALE) for window in windows], source, CRF)
    bnnup("video", source, "-o", result, "--codec", "ffv1", "--force")
    small = save(frame_of(source), work / "small.png")
    large = save(frame_of(result), work / "bnnup.png")
    truth = save(windows[SHOWN], work / "original.png")
    return compare(small, large, truth, work / "sheet.png"), for_film(AUTO, SCALE).model


def frame_of(film: Path) -> Pixels:
    """The frame that is shown, as RGB."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.ascontiguousarray(frames[SHOWN])


def chart() -> Pixels:
    """Lines of one pixel, coloured letters, a checkerboard, flat fields: (96, 144, 3) uint8."""
    picture = Image.new("RGB", (144, 96), (250, 250, 250))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for number in range(6):
        draw.line((4 + 7 * number, 4, 4 + 7 * number, 28), fill=(130, 130, 130))
        draw.line((4, 34 + 4 * number, 42, 34 + 4 * number + number), fill=(60, 60, 60))
    board = (np.indices((24, 24)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture.paste(Image.fromarray(board), (52, 4))
    board = (np.indices((24, 24)).sum(axis=0) // 2 % 2 * 255).astype(np.uint8)
    picture.paste(Image.fromarray(board), (82, 4))
    draw.rectangle((112, 4, 139, 27), fill=(200, 30, 40))
    draw.text((115, 9), "Blue", (20, 40, 200), font)
    draw.text((50, 34), "Grey on white", (120, 120, 120), font)
    draw.text((50, 48), "Red text 123", (200, 30, 30), font)
    for number, color in enumerate([(40, 90, 160), (240, 200, 60), (30, 30, 30), (128, 128, 128)]):
        draw.rectangle((4 + 35 * number, 66, 33 + 35 * number, 91), fill=color)
    draw.text((8, 72), "flat", (255, 255, 255), font)
    draw.ellipse((80, 70, 98, 88), outline=(255, 255, 255))
    return np.asarray(picture)


def draw_chart(work: Path) -> Pixels:
    """The chart ×2 and ×4: by nearest neighbour, by bicubic, by the automatic choice."""
    small = save(chart(), work / "chart.png")
    height, width = chart().shape[:2]
    largest, gap, line = 4, 12, 24
    sheet_size = 3 * (largest * width + gap) + gap, 2 * (largest * height + gap + line) + gap
    sheet = Image.new("RGB", sheet_size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for row, scale in enumerate((2, 4)):
        large = work / "chart-large.png"
        bnnup("upscale", small, "-o", large, "-s", scale, "--force")
        size = (scale * width, scale * height)
        source = Image.open(small)
        views = {
            "nearest neighbour": source.resize(size, Image.Resampling.NEAREST),
            "bicubic": source.resize(size, Image.Resampling.BICUBIC),
            "bnnup": Image.open(large).convert("RGB"),
        }
        y = gap + row * (largest * height + gap + line)
        for column, (name, view) in enumerate(views.items()):
            x = gap + column * (largest * width + gap)
            draw.text((x, y), f"{name}, {scale} times", INK, font)
            shown = view.resize((largest * width, largest * height), Image.Resampling.NEAREST)
            sheet.paste(shown, (x, y + line))
    return np.asarray(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of train and art")
    parser.add_argument("--scan", type=Path, help="a scan of print")
    parser.add_argument("--output", type=Path, default=Path("docs/real"))
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    table = Table("", "network", "bicubic, dB", "bnnup, dB", "bicubic, SSIM", "bnnup, SSIM")
    with TemporaryDirectory() as folder:
        work = Path(folder)

        def keep(name: str, scores: dict[str, Any], model: str) -> None:
            Image.open(work / "sheet.png").save(options.output / f"{name}.webp", quality=88)
            both = [scores[key][of] for of in ("psnr", "ssim") for key in ("bicubic", "result")]
            table.add_row(
                name, model, *(f"{n:.2f}" for n in both[:2]), *map("{:.4f}".format, both[2:])
            )

        scans = [] if options.scan is None else [Sheet("scan", options.scan, quality=85)]
        for sheet in (*SHEETS, *scans):
            keep(sheet.name, *still(sheet, options.data, work))
        keep("page", *page(work))
        keep("film", *film(options.data, work))
        Image.fromarray(draw_chart(work)).save(
            options.output / "chart.webp", lossless=True, method=6
        )
    Console(width=110, highlight=False).print(table)


if __name__ == "__main__":
    main()
