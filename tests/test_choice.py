"""Which network a picture gets: by what its file lost, or by its noise."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from PIL import Image, ImageDraw, ImageFont
from PIL.JpegImagePlugin import JpegImageFile

from bnnup.folders.ledger import NAME
from bnnup.model import zoo
from bnnup.pictures.icc import srgb
from bnnup.pictures.loss import Loss, jpeg_quality
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import decode
from bnnup.pixels import bicubic
from bnnup.upscale.choice import (
    DRAWN,
    QUALITY,
    SIGMA,
    Choice,
    choose_model,
    drawn_share,
    estimate_noise,
    for_film,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks for real pictures at ×2, a small one at ×3, none at ×4; for screenshots at ×2."""
    bundled = (
        "hybrid-large-real-x2",
        "edsr-small-real-x2",
        "edsr-small-real-x3",
        "edsr-small-screen-x2",
    )
    for name in bundled:
        (tmp_path / f"{name}.safetensors").touch()
    monkeypatch.setattr(zoo, "bundled_folder", lambda: tmp_path)
    return tmp_path


def smooth(seed: int = 0) -> np.ndarray:
    """(160, 200, 3) uint8 without noise, never the same in neighbouring pixels."""
    noise = Image.fromarray(np.random.default_rng(seed).integers(40, 216, (6, 8, 3), np.uint8))
    return np.asarray(noise.resize((200, 160), Image.Resampling.BICUBIC))


def saved(pixels: np.ndarray, name: str, **options: object) -> Picture:
    file = BytesIO()
    Image.fromarray(pixels).save(file, name, **options)
    return decode(file, name)


@pytest.mark.parametrize("quality", [25, 50, 75, 90, 95, 100])
def test_quality_is_what_the_encoder_was_told(quality: int) -> None:
    file = BytesIO()
    Image.fromarray(smooth()).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        assert isinstance(image, JpegImageFile)
        assert jpeg_quality(image.quantization[0]) == pytest.approx(quality, abs=1)


@pytest.mark.parametrize(
    ("name", "options", "loss"),
    [
        ("PNG", {}, None),
        ("BMP", {}, None),
        ("WEBP", {"lossless": True}, None),
        ("WEBP", {"quality": 80}, Loss("lossy WebP")),
        ("JPEG", {"quality": 75}, Loss("JPEG", 75)),
        ("AVIF", {"quality": 60}, Loss("AVIF")),
    ],
)
def test_what_a_file_lost(name: str, options: dict[str, object], loss: Loss | None) -> None:
    assert saved(smooth(), name, **options).loss == loss


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("kind", ["plain", "exif", "animated", "from Python"])
def test_what_webp_lost(kind: str, lossless: bool) -> None:
    """Where its pixels are depends on what else is in the file."""
    pixels = smooth()
    exif = b"Exif\0\0MM\0*\0\0\0\10\0\0\0\0\0\0"
    options: dict[str, dict[str, Any]] = {
        "exif": {"exif": exif, "icc_profile": srgb()},
        "animated": {"save_all": True, "append_images": [Image.fromarray(pixels[::-1])]},
    }
    if kind == "from Python":
        file = BytesIO()
        Image.fromarray(pixels).save(file, "WEBP", lossless=lossless)
        loss = Picture.of(Image.open(file)).loss
    else:
        loss = saved(pixels, "WEBP", lossless=lossless, **options.get(kind, {})).loss
    assert loss == (None if lossless else Loss("lossy WebP"))


def test_webp_whose_file_is_gone_counts_as_lossy(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    Image.fromarray(smooth()).save(path, lossless=True)
    with Image.open(path) as image:
        image.load()
        assert Picture.of(image).loss == Loss("lossy WebP")
    assert Picture.of(image).loss == Loss("lossy WebP")


@pytest.mark.parametrize("sigma", [0, 2, 5, 10, 20])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_is_measured(sigma: float, dtype: type) -> None:
    rng = np.random.default_rng(1)
    grey = smooth()[..., 0]
    noisy = (grey + sigma * rng.standard_normal(grey.shape)).clip(0, 255)
    scaled = np.rint(noisy * (1 if dtype == np.uint8 else 257)).astype(dtype)
    assert estimate_noise(scaled) == pytest.approx(sigma, abs=0.4 + 0.15 * sigma)


def test_texture_is_no_noise() -> None:
    pixels = smooth().copy()
    rng = np.random.default_rng(1)
    pixels[:, :120] = rng.integers(0, 256, (160, 120, 3))
    assert estimate_noise(pixels) < SIGMA


def test_a_small_picture_needs_little_without_texture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    pixels[:7] = smooth()[:7, :64]
    assert estimate_noise(pixels) < SIGMA


def test_drawings_have_no_noise() -> None:
    page = np.full((300, 300, 3), 255, np.uint8)
    page[20:280:9, 20:280] = 0
    page[100:130, 100:130] = np.random.default_rng(0).integers(0, 256, (30, 30, 3))
    assert estimate_noise(page) == 0


def test_tiny_pictures_have_none() -> None:
    assert estimate_noise(np.zeros((1, 1), np.uint8)) == 0


def drawn_page(size: int = 1) -> np.ndarray:
    """(240, 320, 3) uint8, times the size: lines, boxes and letters, as a program draws them."""
    page = Image.new("RGB", (320 * size, 240 * size), (250, 250, 250))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11 * size)
    for number in range(8):
        draw.line(
            [8 * size, number * 14 * size, 150 * size, number * 14 * size], (90, 90, 90), size
        )
        draw.text((160 * size, number * 14 * size), "Lines and letters", (30, 30, 30), font)
        left = (8 + 38 * number) * size
        box = left, 130 * size, left + 30 * size, 200 * size
        draw.rectangle(box, (30 * number, 200 - 20 * number, 120), (0, 0, 0), size)
    return np.asarray(page)


def reduced(pixels: np.ndarray, resampling: Image.Resampling) -> np.ndarray:
    height, width = (length // 2 for length in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling))


def test_drawn_for_its_pixels() -> None:
    """What was reduced has rings or slopes where a drawing has neither."""
    page = drawn_page()
    assert drawn_share(page) > 0.9
    assert drawn_share(page[..., 0]) > 0.9
    assert drawn_share(page.astype(np.uint16) * 257) == drawn_share(page)
    opaque = np.full((*page.shape[:2], 1), 255, np.uint8)
    assert drawn_share(np.concatenate([page, opaque], 2)) == drawn_share(page)
    for resampling in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
        assert drawn_share(reduced(drawn_page(3), resampling)) < DRAWN / 2
    assert drawn_share(bicubic.reduce(drawn_page(3), 2)) < DRAWN / 2
    assert drawn_share(smooth()) == 0
    assert drawn_share(np.zeros((1, 1), np.uint8)) == 0


def test_flat_pictures_tell_nothing() -> None:
    page = np.full((100, 100, 3), 255, np.uint8)
    page[50, 10:20] = 0
    assert drawn_share(page) == 0


@pytest.mark.usefixtures("package")
def test_screenshots_have_a_network_of_their_own() -> None:
    page = drawn_page()
    choice = choose_model(saved(page, "PNG"), 2)
    assert str(choice) == "edsr-small-screen: drawn for its pixels"
    assert choose_model(saved(page, "PNG"), 3).model == "hybrid-large"  # none at that scale
    assert choose_model(saved(page, "JPEG", quality=60), 2).model == "hybrid-large-real"


@pytest.mark.usefixtures("package")
def test_the_rule() -> None:
    clean = saved(smooth(), "PNG")
    assert choose_model(clean, 2).model == "hybrid-large"
    assert choose_model(saved(smooth(), "JPEG", quality=QUALITY + 3), 2).model == "hybrid-large"
    lossy = saved(smooth(), "JPEG", quality=QUALITY - 3)
    choice = choose_model(lossy, 2)
    assert choice.model == "hybrid-large-real"
    assert str(choice) == f"hybrid-large-real: JPEG of quality {QUALITY - 3}"
    assert choose_model(lossy, 3).model == "edsr-small-real"
    nothing = choose_model(lossy, 4)
    assert nothing.model == "hybrid-large"
    assert "no network for such pictures at ×4" in nothing.reason
    noise = np.random.default_rng(0).standard_normal(clean.pixels.shape)
    noisy = (clean.pixels + 3 * SIGMA * noise).clip(0, 255).astype(np.uint8)
    assert choose_model(replace(clean, pixels=noisy), 2).model == "hybrid-large-real"


def test_films_have_a_network_of_their_own(package: Path) -> None:
    reason = "films are compressed"
    assert for_film("auto", 2) == Choice("hybrid-large-real", reason)
    (package / "hybrid-large-film-x2.safetensors").touch()
    assert for_film("auto", 2) == Choice("hybrid-large-film", reason)
    assert for_film("auto", 3) == Choice("edsr-small-real", reason)
    assert for_film("auto", 4).model == "hybrid-large"
    assert for_film("edsr", 2) == Choice("edsr")


@pytest.mark.parametrize(("quality", "model"), [(50, "hybrid-large-real"), (97, "hybrid-large")])
def test_the_command_line_says_which_and_why(
    run: Run, tmp_path: Path, quality: int, model: str
) -> None:
    """Also where the picture becomes one of another format, and keeps it on record."""
    (tmp_path / "in").mkdir()
    Image.fromarray(smooth()).save(tmp_path / "in" / "photo.jpg", quality=quality)
    done = run("upscale", tmp_path / "in" / "photo.jpg", "-o", tmp_path / "large.png")
    assert f"by {model} (JPEG of quality {quality})" in done.err
    run("upscale", tmp_path / "in", "-o", tmp_path / "out")
    facts = (tmp_path / "out" / NAME).read_text().splitlines()
    assert json.loads(facts[-1])["model"] == model
