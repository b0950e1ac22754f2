"""Metrics against scikit-image, and the whole protocol against published scores."""

from pathlib import Path

import numpy as np
import pytest
from skimage import metrics as oracle

from bnnup.measure import metrics
from bnnup.measure.benchmark import benchmark, mean
from bnnup.model.file import Model
from bnnup.model.operations import Bicubic
from bnnup.model.program import Program
from bnnup.upscale.upscaler import Upscaler

# Mean PSNR and SSIM of bicubic as the literature quotes them, e.g. Lim et al. (EDSR), table 3.
PUBLISHED = {
    ("Set5", 2): (33.66, 0.9299),
    ("Set5", 3): (30.39, 0.8682),
    ("Set5", 4): (28.42, 0.8104),
    ("Set14", 2): (30.24, 0.8688),
    ("Set14", 3): (27.55, 0.7742),
    ("Set14", 4): (26.00, 0.7027),
}


@pytest.fixture
def planes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a = rng.integers(16, 236, (40, 53)).astype(np.float64)
    return a, np.clip(a + rng.normal(0, 9, a.shape), 0, 255)


def test_psnr_agrees_with_scikit_image(planes: tuple[np.ndarray, np.ndarray]) -> None:
    expected = oracle.peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
        *planes, data_range=255
    )
    assert metrics.psnr(*planes) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_equal_pictures_is_infinite(planes: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.psnr(planes[0], planes[0]) == float("inf")


def test_ssim_agrees_with_scikit_image(planes: tuple[np.ndarray, np.ndarray]) -> None:
    expected = oracle.structural_similarity(  # type: ignore[no-untyped-call]
        *planes, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.ssim(*planes) == pytest.approx(expected, abs=1e-9)


def test_studio_luma_of_the_primaries() -> None:
    primaries = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]]], np.uint8)
    expected = [16, 235, 81.481, 144.553]
    np.testing.assert_allclose(metrics.studio_luma(primaries)[0], expected, atol=1e-9)


@pytest.mark.parametrize(("folder", "scale"), PUBLISHED, ids=str)
def test_bicubic_lands_on_the_published_scores(data: Path, folder: str, scale: int) -> None:
    program = Program(scale, (Bicubic("result", "luma", scale),))
    upscaler = Upscaler(Model(program, {}))
    scores = mean([row for _, row in benchmark(upscaler, data / "bench" / folder / "HR")])
    psnr, ssim = PUBLISHED[folder, scale]
    assert scores.bicubic_psnr == pytest.approx(psnr, abs=0.02)
    assert scores.bicubic_ssim == pytest.approx(ssim, abs=0.0005)
    # The same kernel on luma, through program, tiles and colour conversion.
    assert scores.psnr == pytest.approx(psnr, abs=0.03)
