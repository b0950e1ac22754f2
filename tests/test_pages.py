"""Pages that a browser draws at several sizes, to train on."""

import base64
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnup.train import pages


@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("fc-list")), reason="no Chromium, or no fc-list"
)
def test_a_page_is_the_same_at_every_size() -> None:
    pytest.importorskip("playwright", reason="playwright is not installed")
    [(number, drawn)] = pages.draw([5])
    assert number == 5
    small = np.asarray(Image.open(BytesIO(drawn[1])).convert("L"), float)
    assert small.shape == (pages.HEIGHT, pages.WIDTH)
    assert small.std() > 10
    for density in pages.DENSITIES[1:]:
        image = Image.open(BytesIO(drawn[density])).convert("L")
        assert image.size == (density * pages.WIDTH, density * pages.HEIGHT)
        reduced = np.asarray(image.reduce(density), float)
        similar = np.corrcoef(reduced.ravel(), small.ravel())[0, 1]
        moved = np.corrcoef(np.roll(reduced, 2, 1).ravel(), small.ravel())[0, 1]
        assert similar > 0.9
        assert similar > moved


def test_photographs_of_16_bits_are_shown_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 20000, np.uint16)).save(tmp_path / "deep.png")
    shown = pages.Page(0, ["Sans"], [tmp_path / "deep.png"])._photo()
    _, _, content = shown.partition("base64,")
    photo = Image.open(BytesIO(base64.b64decode(content.partition("'")[0])))
    assert photo.convert("L").getextrema() == (round(20000 / 257),) * 2
