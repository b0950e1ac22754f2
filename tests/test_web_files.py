"""Files as the page reads and writes them: what stands around the pixels, and what it tells."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from web_page import NEEDED, Page

from bnnup import load
from bnnup.pictures.read import read_picture
from bnnup.upscale.choice import choose_model

pytestmark = NEEDED


def make_photo(path: Path) -> tuple[np.ndarray, bytes]:
    """A JPEG that lies on its side, with a profile; its pixels upright, and the profile."""
    coarse = np.random.default_rng(4).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((64, 40), Image.Resampling.BICUBIC)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x9286] = 6, "a picture", "x"
    image.save(path, quality=95, exif=exif, icc_profile=profile, dpi=(300, 300))
    return read_picture(path).pixels, profile


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_profile_and_orientation_are_kept(format: str, page: Page, tmp_path: Path) -> None:
    pixels, profile = make_photo(tmp_path / "photo.jpg")
    saved = Image.open(io.BytesIO(page.enlarge(tmp_path / "photo.jpg", 2, format)))
    assert saved.size == (80, 128)
    assert saved.info["icc_profile"] == profile
    assert saved.getexif().get(0x0112, 1) == 1
    assert saved.getexif()[0x010E] == "a picture"
    if format != "webp":
        assert [round(density) for density in saved.info["dpi"]] == [300, 300]
    off = np.abs(np.asarray(saved.convert("RGB"), int) - load("hybrid", scale=2).enlarge(pixels))
    assert off.mean() < (1 if format == "png" else 8)  # decoders of JPEG differ a little


def make_kind(kind: str, path: Path) -> Path:
    """A picture of 90 by 70 pixels, damaged in some way or clean."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(40, 215, (8, 10, 3), np.uint8))
    image = coarse.resize((90, 70), Image.Resampling.BICUBIC)
    format, _, detail = kind.partition(" ")
    if detail == "drawn":
        image = Image.new("RGB", (90, 70), (250, 250, 250))
        for left in range(4, 84, 8):
            image.paste((20, 20, 3 * left), (left, left // 2, left + 5, left // 2 + 20))
    if detail == "noisy":
        noisy = np.asarray(image) + rng.normal(0, 8, (70, 90, 3))
        image = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    path = path.with_suffix(f".{format.lower()}")
    options: dict[str, Any] = {"quality": int(detail)} if detail.isdecimal() else {}
    image.save(path, lossless=detail == "lossless", **options)
    return path


DAMAGE = ["PNG", "PNG noisy", "PNG drawn", "JPEG 100", "JPEG 90", "JPEG 89", "JPEG 40"]
DAMAGE += ["WebP 95", "WebP lossless", "AVIF 90"]


@pytest.mark.parametrize("kind", DAMAGE)
def test_network_is_chosen_as_on_the_command_line(kind: str, page: Page, tmp_path: Path) -> None:
    source = make_kind(kind, tmp_path / "picture")
    expected = choose_model(read_picture(source), 2)
    page.set("network", "hybrid-large")
    page.choose(source)
    page.wait()
    told = page.tab.inner_text("#choice")
    assert told.startswith(f"{expected.reason}: ")
    assert told.endswith(f" by {expected.model}")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_damaged_pictures_are_enlarged_as_on_the_command_line(
    scale: int, page: Page, tmp_path: Path
) -> None:
    source = make_kind("PNG noisy", tmp_path / "picture")
    content = page.enlarge(source, scale, network="hybrid-large", condition="auto")
    enlarged = np.asarray(Image.open(io.BytesIO(content)))
    picture = read_picture(source)
    expected = load(choose_model(picture, scale).model, scale=scale).enlarge(picture.pixels)
    np.testing.assert_array_equal(enlarged, expected)


def test_the_choice_can_be_overruled(page: Page, tmp_path: Path) -> None:
    page.choose(make_kind("PNG noisy", tmp_path / "picture"))
    page.wait()
    page.set("condition", "clean")
    page.tab.wait_for_selector("#choice:has-text('enlarged by hybrid')")
    page.wait()
    assert page.tab.inner_text("#choice") == "enlarged by hybrid"
