"""Held-out pictures, damaged in fixed ways, and how well a network enlarges them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import TrainingError
from bnnup.measure import metrics
from bnnup.train.data import WHITE, Plane, read_pair
from bnnup.train.degrade import CASES, CLEAN_CASE
from bnnup.train.settings import TrainingSettings

SIDE = 256  # pixels of the original, at most
LEAST = 3  # small pixels each way: one is shaved from each side
EXACT = 100.0  # dB, of what equals the original; no picture that differs can have as much

Enlarge = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # luma, (H, W)


def validation_pairs(
    settings: TrainingSettings, paths: list[Path]
) -> dict[str, list[tuple[Plane, Plane]]]:
    """Held-out pictures at both sizes, by what damaged the small ones.

    Flat ones are left out: every network gets them right but for a level now and then, which
    would count for tens of decibels. TrainingError if there are no others.
    """
    cases = CASES.get(settings.trained_for, CLEAN_CASE)
    pairs = {
        name: [read_pair(path, settings.scale, SIDE, damage) for path in paths]
        for name, damage in cases.items()
    }
    telling = {
        name: [(high, low) for high, low in case if high.min() < high.max()]
        for name, case in pairs.items()
    }
    if not all(telling.values()):
        names = ", ".join(str(path) for path in paths)
        raise TrainingError(
            f"what is held out for validation has flat centres: {names}; remove such pictures, "
            "or hold out more"
        )
    return telling


def validate(
    run: Enlarge,
    pairs: list[tuple[Plane, Plane]],
    scale: int,
) -> float:
    """Mean PSNR in dB on studio-range luma, rounded to 8 bits, ``scale`` pixels shaved.

    ``run`` enlarges luma, (H, W) float32; pairs are those of ``read_pair``. A picture that is
    met exactly counts as ``EXACT``.
    """
    scores = []
    for high, low in pairs:
        result = run(low.astype(np.float32) / np.float32(WHITE)).astype(np.float64).clip(0, 1)
        a, b = (np.rint(16 + 219 * plane) for plane in (result, high / WHITE))
        psnr = metrics.psnr(metrics.shave(a, scale), metrics.shave(b, scale))
        scores.append(min(psnr, EXACT))
    return float(np.mean(scores))
