"""``bnnup benchmark``"""

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnnup.cli.options import ModelName, Scale

if TYPE_CHECKING:
    from bnnup.measure.benchmark import Scores


def finite(scores: "Scores") -> dict[str, float | None]:
    """Scores for JSON, which has no infinity: the PSNR of equal pictures becomes null."""
    return {name: value if isfinite(value) else None for name, value in asdict(scores).items()}


def benchmark(
    originals: Annotated[
        Path,
        typer.Option("--hr", exists=True, file_okay=False, help="Folder of original pictures."),
    ],
    scale: Scale = 2,
    model: ModelName = "hybrid-large",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Score a model, and bicubic, against original pictures (PSNR and SSIM on luma)."""
    from bnnup.measure import benchmark as scores
    from bnnup.upscale.upscaler import load

    rows = []
    line = "{:<24} {:>7.2f} {:>7.4f} {:>9.2f} {:>7.4f}".format
    if not as_json:
        typer.echo(f"{'picture':<24} {'PSNR':>7} {'SSIM':>7} {'bicubic':>9} {'SSIM':>7}")
    for name, row in scores.benchmark(load(model, scale=scale), originals):
        rows.append((name, row))
        if not as_json:
            typer.echo(line(name, row.psnr, row.ssim, row.bicubic_psnr, row.bicubic_ssim))
    mean = scores.mean([row for _, row in rows])
    if as_json:
        pictures = [{"name": name, **finite(row)} for name, row in rows]
        document = {"model": model, "scale": scale, "pictures": pictures, "mean": finite(mean)}
        typer.echo(json.dumps(document, allow_nan=False))
    else:
        typer.echo(line("mean", mean.psnr, mean.ssim, mean.bicubic_psnr, mean.bicubic_ssim))
