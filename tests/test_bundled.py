"""The models in the package do what they did when they were put there.

``bundled.tsv`` holds, for each of them, the SHA-256 of the pixels that it makes of a
reduced part of an example, and their PSNR against that part. After a model has
changed, ``python tests/test_bundled.py`` writes the table anew; the difference shows
what the change was worth.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnup import Upscaler, load
from bnnup.measure import benchmark, metrics
from bnnup.model.zoo import ZOO, Entry
from bnnup.pixels.bicubic import reduce

TESTS = Path(__file__).parent
TABLE = TESTS / "bundled.tsv"
EXAMPLE = TESTS.parent / "examples" / "astronaut.png"
SIDE = 144  # pixels each way of the part: a multiple of every scale
GAIN = 0.5  # dB above bicubic, at least
BUNDLED = [entry for entry in ZOO if entry.bundled_path]


def part() -> np.ndarray:
    """The middle of the example, (SIDE, SIDE, 3) uint8."""
    pixels = np.asarray(Image.open(EXAMPLE).convert("RGB"))
    top, left = ((length - SIDE) // 2 for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def measure(entry: Entry) -> tuple[str, float, float]:
    """SHA-256 of the result, its PSNR, and bicubic's, in dB."""
    original, scale = part(), entry.scale
    small = reduce(original, scale)
    upscaler: Upscaler = load(entry.label, scale=scale)
    result = upscaler.enlarge(small)
    psnr, _ = metrics.score(result, original, scale)
    bicubic, _ = metrics.score(benchmark.enlarge_by_bicubic(small, scale), original, scale)
    return hashlib.sha256(result.tobytes()).hexdigest(), psnr, bicubic


def stored() -> dict[str, tuple[str, float]]:
    lines = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {label: (digest, float(psnr)) for label, digest, psnr in lines}


def test_the_table_is_complete() -> None:
    assert BUNDLED
    assert list(stored()) == [entry.label for entry in BUNDLED]


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.label)
def test_the_same_pixels_as_ever(entry: Entry) -> None:
    digest, psnr, bicubic = measure(entry)
    expected, floor = stored()[entry.label]
    assert digest == expected
    assert psnr > max(floor - 0.01, bicubic + GAIN)


if __name__ == "__main__":
    rows = ((entry.label, *measure(entry)) for entry in BUNDLED)
    lines = [f"{label}\t{digest}\t{psnr:.2f}\n" for label, digest, psnr, _ in rows]
    TABLE.write_text("".join(lines), encoding="utf-8")
