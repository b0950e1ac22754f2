"""Files as the page reads and writes them: what stands around the pixels, and what it tells."""

import io
from collections.abc import Iterator
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

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def make_photo(path: Path) -> np.ndarray:
    """A JPEG that lies on its side, with a profile; its pixels upright."""
    coarse = np.random.default_rng(4).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((64, 40), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x9286] = 6, "a picture", "x"
    image.save(path, quality=95, exif=exif, icc_profile=PROFILE, dpi=(300, 300))
    return read_picture(path).pixels


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_profile_and_orientation_are_kept(format: str, page: Page, tmp_path: Path) -> None:
    pixels = make_photo(tmp_path / "photo.jpg")
    saved = Image.open(io.BytesIO(page.enlarge(tmp_path / "photo.jpg", 2, format)))
    assert saved.size == (80, 128)
    assert saved.info["icc_profile"] == PROFILE
    assert saved.getexif().get(0x0112, 1) == 1
    assert saved.getexif()[0x010E] == "a picture"
    if format != "webp":
        assert [round(density) for density in saved.info["dpi"]] == [300, 300]
    off = np.abs(np.asarray(saved.convert("RGB"), int) - load("hybrid", scale=2).enlarge(pixels))
    assert off.mean() < (1 if format == "png" else 8)  # decoders of JPEG differ a little


def make_exif(length: int) -> bytes:
    """A TIFF of that many bytes, which describes a picture at length."""
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    exif[0x9286] = b""
    rest = length - len(exif.tobytes().removeprefix(b"Exif\0\0"))
    exif[0x9286] = b"x" * rest
    made = exif.tobytes().removeprefix(b"Exif\0\0")
    assert len(made) == length
    return made


@pytest.mark.parametrize(("length", "kept"), [(65526, True), (65528, False), (70_000, False)])
def test_what_a_jpeg_has_no_room_for(length: int, kept: bool, page: Page, tmp_path: Path) -> None:
    """A segment holds 65533 bytes, six of which say that it is EXIF."""
    source = tmp_path / "told.png"
    Image.new("RGB", (40, 30), "teal").save(source, exif=make_exif(length))
    saved = Image.open(io.BytesIO(page.enlarge(source, 2, "jpeg")))
    off = np.asarray(saved, int) - np.array([0, 128, 128])
    assert saved.size == (80, 60) and np.abs(off).max() <= 2
    assert saved.getexif().get(0x010E) == ("a picture" if kept else None)
    note = "" if kept else "JPEG cannot hold so much EXIF, which is left out."
    assert page.tab.text_content("#note") == note


def test_a_density_that_a_jpeg_cannot_state(page: Page, tmp_path: Path) -> None:
    """It states 65535 pixels per inch at most."""
    stated = []
    Image.new("L", (40, 30)).save(tmp_path / "none.png")
    Image.new("L", (40, 30)).save(tmp_path / "dense.png", dpi=(70_000, 70_000))
    for name in ("none.png", "dense.png"):
        page.choose(tmp_path / name)
        page.tab.click("#list li:last-child .pick")
        page.set("format", "jpeg")
        page.wait()
        stated.append(Image.open(io.BytesIO(page.save()[1])).info.get("dpi"))
    assert stated[0] == stated[1]


def segments_of(jpeg: bytes) -> Iterator[bytes]:
    """The image's start, segments one by one, and from the start of the scan on, the rest."""
    yield jpeg[:2]
    at = 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at:end]
        at = end
    yield jpeg[at:]


def test_a_jpeg_with_fill_bytes_is_read(page: Page, tmp_path: Path) -> None:
    """Any marker may be preceded by them: ITU-T T.81, B.1.1.2."""
    pixels = make_photo(tmp_path / "photo.jpg")
    content = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "filled.jpg").write_bytes(b"\xff\xff\xff".join(segments_of(content)))
    saved = Image.open(io.BytesIO(page.enlarge(tmp_path / "filled.jpg")))
    assert saved.info["icc_profile"] == PROFILE
    off = np.abs(np.asarray(saved, int) - load("hybrid", scale=2).enlarge(pixels))
    assert off.mean() < 1


PREFIXES = """async (content) => {
  const { readJpeg } = await import("./containers.js");
  const bytes = new Uint8Array(content);
  const messages = new Set();
  for (let length = 2; length < bytes.length; length++) {
    try {
      readJpeg(bytes.slice(0, length));
    } catch ({ message }) {
      messages.add(message);
    }
  }
  return [...messages];
}"""


def test_wherever_a_jpeg_ends_the_message_is_clear(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "whole.jpg")
    content = list((tmp_path / "whole.jpg").read_bytes())
    assert page.tab.evaluate(PREFIXES, content) == ["the JPEG is damaged or not complete"]


def test_a_jpeg_lacks_a_piece_of_its_profile(page: Page, tmp_path: Path) -> None:
    """It is enlarged without one."""
    Image.effect_noise((40, 30), 9).convert("RGB").save(
        tmp_path / "photo.jpg", icc_profile=np.random.default_rng(0).bytes(150_000)
    )
    parts = list(segments_of((tmp_path / "photo.jpg").read_bytes()))
    first = next(i for i, part in enumerate(parts) if b"ICC_PROFILE\0\1" in part)
    (tmp_path / "photo.jpg").write_bytes(b"".join(parts[:first] + parts[first + 1 :]))
    saved = Image.open(io.BytesIO(page.enlarge(tmp_path / "photo.jpg")))
    assert saved.size == (80, 60) and "icc_profile" not in saved.info


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


BESIDE: dict[str, dict[str, Any]] = {
    "EXIF": {"exif": make_exif(100)},
    "XMP": {"xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"},
    "profile": {"icc_profile": PROFILE},
    "frames": {"save_all": True, "append_images": [Image.new("RGB", (90, 70))]},
}


@pytest.mark.parametrize("lossless", [True, False], ids=["lossless", "lossy"])
@pytest.mark.parametrize("beside", BESIDE)
def test_webp_tells_its_loss_whatever_else_is_in_it(
    beside: str, lossless: bool, page: Page, tmp_path: Path
) -> None:
    source = tmp_path / "picture.webp"
    with Image.open(make_kind("PNG", tmp_path / "picture")) as image:
        image.save(source, lossless=lossless, **BESIDE[beside])
    page.choose(source)
    page.wait()
    assert page.tab.inner_text("#choice") == (
        "lossless and clean: enlarged by hybrid"
        if lossless
        else "lossy WebP: restored and enlarged by edsr-small-real"
    )


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
