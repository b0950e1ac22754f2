"""How good real pictures become: python -m benchmarks.real --data FOLDER [MODEL ...]

``FOLDER`` holds Set5, Set14, Classic5 and Art20, each with its originals in ``HR``. The
small pictures are reduced by MATLAB's bicubic and then saved as JPEG 4:2:0 of some
quality, or get Gaussian noise; "auto" chooses for each by what its file says. PSNR is that
of BT.601 luma, ``scale`` pixels shaved from each border. Nothing is ever trained, tuned or
chosen by these pictures.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bnnup import Upscaler, load
from bnnup.measure import benchmark, metrics
from bnnup.measure.originals import originals_in
from bnnup.model.zoo import entries_named
from bnnup.pictures.read import read_picture
from bnnup.pixels import bicubic, color
from bnnup.pixels.bicubic import reduce
from bnnup.train.degrade import add_noise, luma_of
from bnnup.upscale.choice import AUTO

Pixels = NDArray[np.uint8]
Damage = Callable[[Pixels], Image.Image]
Enlarge = Callable[[Image.Image], Pixels]


def as_jpeg(pixels: Pixels, quality: int) -> Image.Image:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(file)


def with_noise(pixels: Pixels, sigma: float) -> Image.Image:
    return Image.fromarray(add_noise(pixels, sigma, np.random.default_rng(0), grey=False))


CASES: dict[str, Damage] = {
    "clean": Image.fromarray,
    **{f"JPEG {q}": partial(as_jpeg, quality=q) for q in (95, 85, 70, 50, 30)},
    **{f"noise {sigma}": partial(with_noise, sigma=sigma) for sigma in (5, 15)},
}
GREY = {f"JPEG {q}": partial(as_jpeg, quality=q) for q in (10, 20, 30, 40)}


def originals(folder: Path, scale: int) -> list[Pixels]:
    """(H, W, 3) uint8 each, grey ones with three equal channels, sides multiples of the scale."""
    found = []
    for path in originals_in(folder):
        pixels = read_picture(path).pixels
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        height, width = (length - length % scale for length in pixels.shape[:2])
        found.append(np.ascontiguousarray(pixels[:height, :width, :3]))
    return found


def luma_psnr(result: Pixels, original: Pixels, scale: int) -> float:
    return metrics.score(result, original, scale)[0]


def color_psnr(result: Pixels, original: Pixels, scale: int) -> float:
    """PSNR of R'G'B', all channels together, with the same border shaved."""
    a, b = (pixels[scale:-scale, scale:-scale].astype(np.float64) for pixels in (result, original))
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def scores(
    enlarge: Enlarge,
    pictures: Sequence[Pixels],
    scale: int,
    cases: Mapping[str, Damage],
    measure: Callable[[Pixels, Pixels, int], float] = luma_psnr,
) -> list[list[float]]:
    """For each case, the PSNR of each picture in dB."""
    return [
        [measure(enlarge(damage(reduce(p, scale))), p, scale) for p in pictures]
        for damage in cases.values()
    ]


def worst_loss(ours: list[list[float]], bicubic: list[list[float]]) -> str:
    """The most that any picture has lost against bicubic, in each column."""
    losses = (min(np.subtract(a, b)) for a, b in zip(ours, bicubic, strict=True))
    return "  ".join(f"{loss:+.2f}" for loss in losses)


def table(
    console: Console,
    title: str,
    models: dict[str, Enlarge],
    pictures: Sequence[Pixels],
    scale: int,
    cases: Mapping[str, Damage],
    measure: Callable[[Pixels, Pixels, int], float] = luma_psnr,
) -> None:
    result = Table("", *cases, title=title, box=None)
    measured = {
        name: scores(enlarge, pictures, scale, cases, measure) for name, enlarge in models.items()
    }
    for name, columns in measured.items():
        result.add_row(name, *(f"{np.mean(column):.2f}" for column in columns))
    console.print(result)
    for name, columns in measured.items():
        if name != "bicubic":
            console.print(f"  least gain of {name}: {worst_loss(columns, measured['bicubic'])}")


def with_bicubic_chroma(enlarge: Enlarge, scale: int) -> Enlarge:
    """The same luma; chroma as bicubic alone has it."""

    def enlarged(picture: Image.Image) -> Pixels:
        colors = np.asarray(picture).astype(np.float32) / np.float32(255)
        chroma = (bicubic.enlarge(plane, scale) for plane in color.split(colors)[1:])
        luma = luma_of(enlarge(picture))
        return color.quantize(color.merge(luma, *chroma), np.dtype(np.uint8))

    return enlarged


def enlargers(names: Sequence[str], scale: int) -> dict[str, Enlarge]:
    """Bicubic and the models that there are at a scale."""

    def by_bicubic(picture: Image.Image) -> Pixels:
        return benchmark.enlarge_by_bicubic(np.asarray(picture), scale)

    def by(upscaler: Upscaler) -> Enlarge:
        return lambda picture: np.asarray(upscaler(picture))

    found: dict[str, Enlarge] = {"bicubic": by_bicubic}
    for name in names:
        known = [entry.scale for entry in entries_named(name) if entry.bundled_path]
        if name == AUTO or Path(name).is_file() or scale in known:
            found[Path(name).stem] = by(load(name, scale=scale))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        default=[AUTO, "hybrid", "hybrid-large", "edsr-small-real", "hybrid-large-real"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmark sets")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    options = parser.parse_args()
    console = Console(width=140, highlight=False)
    for scale in options.scales:
        models = enlargers(options.models, scale)
        for name in "Set5", "Set14":
            pictures = originals(options.data / name / "HR", scale)
            table(console, f"{name} ×{scale}, PSNR of luma", models, pictures, scale, CASES)
        art = originals(options.data / "Art20" / "HR", scale)
        cases = {name: CASES[name] for name in ("clean", "JPEG 70")}
        table(console, f"Art20 ×{scale}, PSNR of luma", models, art, scale, cases)
        plain = {
            f"{name}, bicubic chroma": with_bicubic_chroma(enlarge, scale)
            for name, enlarge in models.items()
            if name != "bicubic"
        }
        table(
            console,
            f"Art20 ×{scale}, PSNR of R'G'B'",
            models | plain,
            art,
            scale,
            cases,
            color_psnr,
        )
        grey = originals(options.data / "Classic5" / "HR", scale)
        table(console, f"Classic5 ×{scale}, grey JPEG, PSNR of luma", models, grey, scale, GREY)


if __name__ == "__main__":
    main()
