"""Scores of a model, and of bicubic, by the protocol of the literature.

The original is cropped at right and bottom to a multiple of the scale, reduced by
MATLAB's bicubic, enlarged again, and compared (``metrics.score``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import MediaError
from bnnup.measure import metrics
from bnnup.measure.originals import originals_in
from bnnup.pictures.read import read_picture
from bnnup.pixels.bicubic import enlarge, reduce
from bnnup.upscale.upscaler import Upscaler


@dataclass(frozen=True)
class Scores:
    """PSNR in dB and SSIM of the model and of bicubic."""

    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float


def benchmark(upscaler: Upscaler, originals: Path) -> Iterator[tuple[str, Scores]]:
    """Name and scores of each picture in a folder, in order of name."""
    if not originals.is_dir():
        raise MediaError(f"{originals} is not a folder")
    paths = originals_in(originals)
    if not paths:
        raise MediaError(f"no pictures in {originals}")
    for path in paths:
        yield path.stem, _score(upscaler, _read_original(path, upscaler.scale))


def mean(scores: list[Scores]) -> Scores:
    """Mean of every score."""
    return Scores(*(float(np.mean([getattr(s, f.name) for s in scores])) for f in fields(Scores)))


def enlarge_by_bicubic(reduced: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8, every channel enlarged by bicubic and rounded to 8 bits."""
    planes = np.moveaxis(np.atleast_3d(reduced), -1, 0).astype(np.float32)
    enlarged = np.stack([enlarge(plane, scale) for plane in planes], axis=-1)
    rounded = np.floor(enlarged + 0.5).clip(0, 255).astype(np.uint8)
    shape = *rounded.shape[:2], *reduced.shape[2:]
    return np.reshape(rounded, shape)


def _read_original(path: Path, scale: int) -> NDArray[np.uint8]:
    pixels = read_picture(path).pixels
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)):
        raise MediaError(f"{path} is not an 8-bit grey or RGB picture without alpha")
    height, width = (length - length % scale for length in pixels.shape[:2])
    # The SSIM window must fit into what the shaving leaves.
    if min(height, width) < metrics.SSIM_WINDOW + 2 * scale:
        raise MediaError(f"{path} is too small to be scored")
    return pixels[:height, :width]


def _score(upscaler: Upscaler, original: NDArray[np.uint8]) -> Scores:
    scale = upscaler.scale
    reduced = reduce(original, scale)
    results = upscaler.enlarge(reduced), enlarge_by_bicubic(reduced, scale)
    return Scores(*(s for result in results for s in metrics.score(result, original, scale)))
