"""What pictures are damaged by in training, held to other encoders and to statistics."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bnnup.pixels import bicubic
from bnnup.train import degrade

WEIGHTS = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    """(120, 96, 3) uint8, smooth."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8))
    return np.asarray(noise.resize((96, 120), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def small(original: np.ndarray) -> np.ndarray:
    return bicubic.reduce(original, 2)


def degraded(original: degrade.Pixels, scale: int, random: np.random.Generator) -> degrade.Luma:
    return degrade.damage(degrade.reduce_at_random(original, scale, random), random)


def test_the_same_seed_damages_the_same(original: np.ndarray) -> None:
    first, second, other = (
        degraded(original, 2, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_kind_keeps_place_and_brightness(original: np.ndarray, scale: int) -> None:
    """Within what the worst quality and the strongest noise do to a smooth picture."""
    clean = bicubic.reduce(original, scale) @ WEIGHTS / 255
    for seed in range(60):
        luma = degraded(original, scale, np.random.default_rng(seed))
        assert luma.dtype == np.float32
        assert luma.shape == clean.shape
        error = luma - clean
        assert abs(error.mean()) < 0.02, seed
        assert error.std() < 0.12, seed
        moved = np.roll(luma, (2, 2), (0, 1)) - clean
        assert error[2:, 2:].std() < moved[2:, 2:].std() or error.std() > 0.03, seed


def test_noise_has_its_deviation() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    for same in (True, False):
        noisy = degrade.add_noise(grey, 10, np.random.default_rng(0), grey=same).astype(float)
        assert noisy.std((0, 1)) == pytest.approx([10, 10, 10], rel=0.03)
        together = np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]
        assert together == pytest.approx(1.0 if same else 0.0, abs=0.03)


def test_jpeg_is_what_any_reader_sees(small: np.ndarray) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    file = BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=40, subsampling="4:2:0")
    expected = imagecodecs.jpeg8_decode(file.getvalue()).astype(int)
    assert abs(degrade.through_jpeg(small, 40).astype(int) - expected).max() <= 2


def test_a_film_at_its_best_is_the_picture(small: np.ndarray) -> None:
    """Studio range is undone, the last frame is the one that stands still."""
    pytest.importorskip("av", reason="PyAV is not installed")
    odd = small[:-1, :-1]
    luma = degrade.through_x264(odd, 1, [(4, 2), (2, 1), (0, 0)])
    np.testing.assert_allclose(luma, odd @ WEIGHTS / 255, atol=0.03)
    worse = degrade.through_x264(odd, 36, [(4, 2), (2, 1), (0, 0)])
    assert abs(worse - odd @ WEIGHTS / 255).std() > abs(luma - odd @ WEIGHTS / 255).std()
