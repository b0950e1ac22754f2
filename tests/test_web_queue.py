"""Pictures that come in, wait their turn, are enlarged, told to go, and saved."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_page import NEEDED, Page

from bnnup import load

pytestmark = NEEDED


def make_picture(path: Path, width: int = 61, height: int = 47) -> np.ndarray:
    """A PNG with colours of its own, by its path; its pixels."""
    rng = np.random.default_rng(len(path.name))
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    image.save(path)
    return np.asarray(image)


def test_several_become_one_zip(page: Page, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_picture(tmp_path / folder / "same.png")
    page.choose(tmp_path / "a" / "same.png", tmp_path / "b" / "same.png")
    page.tab.wait_for_selector("#together:not([hidden])")
    name, content = page.save("#zip")
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert name == "bnnup.zip"
    assert archive.testzip() is None
    assert archive.namelist() == ["same_x2.png", "same_x2 (2).png"]
    assert Image.open(io.BytesIO(archive.read("same_x2.png"))).size == (122, 94)


def test_cancel_works_at_once_and_again_is_possible(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2000), "teal").save(tmp_path / "large.png")
    page.set("network", "hybrid-large")
    page.choose(tmp_path / "large.png")
    page.tab.wait_for_selector("#list li:has-text('enlarging')")
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("#list li:has-text('cancelled')", timeout=5000)
    make_picture(tmp_path / "small.png")
    page.choose(tmp_path / "small.png")
    page.tab.click("#list li:nth-child(2) .pick")
    page.wait()


# Pixels of the canvas: 20 in the middle of the row in the middle.
MIDDLE = """() => {
  const canvas = document.getElementById("canvas");
  const context = canvas.getContext("2d");
  return [...context.getImageData(canvas.width / 2 - 10, canvas.height / 2, 20, 1).data];
}"""


@pytest.fixture
def small(browser: Any, address: str) -> Iterator[Page]:
    """The page on a device with little memory: results may take 5.4 MB together."""
    context = browser.new_context(accept_downloads=True)
    context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 0.02 })"
    )
    page = Page(context, address)
    yield page
    context.close()
    assert not page.errors


def test_too_large_is_refused_with_what_fits(small: Page, tmp_path: Path) -> None:
    Image.new("L", (700, 560)).save(tmp_path / "large.png")
    small.set("scale", "4")
    small.choose(tmp_path / "large.png")
    small.tab.wait_for_selector("#trouble:not([hidden])")
    message = small.tab.inner_text("#trouble")
    assert "at most 647 × 518 pixels fit, or choose ×3" in message  # 5.4 MB for 16 a pixel


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_results_out_of_memory_are_saved_in_the_format_of_now(
    format: str, small: Page, tmp_path: Path
) -> None:
    """Three results, of which two fit."""
    names = ["a.png", "bb.png", "ccc.png"]
    pictures = [make_picture(tmp_path / name, 500, 400) for name in names]
    small.set("condition", "clean")
    small.set("format", {"png": "jpeg", "jpeg": "png"}[format])
    small.choose(*(tmp_path / name for name in names))
    small.tab.wait_for_selector("#list li:nth-child(3):has-text('1000 × 800')")
    small.set("format", format)
    archive = zipfile.ZipFile(io.BytesIO(small.save("#zip")[1]))
    upscaler = load("hybrid", scale=2)
    for name, pixels in zip(archive.namelist(), pictures, strict=True):
        saved = Image.open(io.BytesIO(archive.read(name)))
        assert (saved.format, name[-3:]) == (format.upper(), "jpg" if format == "jpeg" else "png")
        off = np.abs(np.asarray(saved, int) - upscaler.enlarge(pixels))
        assert off.mean() <= (0 if format == "png" else 2)


def test_what_is_looked_at_stays_sharp(small: Page, tmp_path: Path) -> None:
    """While others need the memory; 2200 pixels are more than small views are drawn from."""
    pixels = np.random.default_rng(7).integers(0, 256, (300, 1100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    make_picture(tmp_path / "other.png", 1100, 300)
    small.set("condition", "clean")
    small.choose(tmp_path / "wide.png", tmp_path / "other.png")
    small.tab.wait_for_selector("#list li:nth-child(2):has-text('2200 × 600')")
    for place in (2, 1):
        small.tab.click(f"#list li:nth-child({place}) .pick")
    small.tab.click("#actual")
    small.tab.fill("#slider", "0")
    shown = small.tab.evaluate(MIDDLE)
    expected = load("hybrid", scale=2).enlarge(pixels)[300, 1090:1110]
    alpha = np.full((20, 1), 255)
    np.testing.assert_array_equal(np.reshape(shown, (20, 4)), np.hstack([expected, alpha]))


HOLD = """() => {
  const read = Blob.prototype.arrayBuffer;
  const released = new Promise((resolve) => (window.release = resolve));
  Blob.prototype.arrayBuffer = async function () {
    window.reads = (window.reads ?? 0) + 1;
    await released;
    return read.call(this);
  };
  window.widths = new Set();
  const put = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...others) {
    if (message.samples) window.widths.add(message.outer.right);
    return put.call(this, message, ...others);
  };
}"""


@pytest.fixture
def reading(page: Page, tmp_path: Path) -> Page:
    """While it reads a picture, until ``release()``; ``widths`` are of what is enlarged."""
    make_picture(tmp_path / "slow.png")
    page.tab.evaluate(HOLD)
    page.choose(tmp_path / "slow.png")
    page.tab.wait_for_selector("#list li:has-text('enlarging')")
    return page


def test_removed_while_it_is_read(reading: Page, tmp_path: Path) -> None:
    reading.tab.click("#list .remove")
    make_picture(tmp_path / "other.png", 50)
    reading.choose(tmp_path / "other.png")
    reading.tab.evaluate("release()")
    reading.wait()
    assert reading.tab.evaluate("[...widths]") == [50]


def test_cancelled_while_it_is_read(reading: Page, tmp_path: Path) -> None:
    reading.tab.keyboard.press("Escape")
    assert "cancelled" in reading.tab.inner_text("#list li")
    make_picture(tmp_path / "other.png", 50)
    reading.choose(tmp_path / "other.png")
    reading.tab.evaluate("release()")
    reading.tab.click("#list li:nth-child(2) .pick")
    reading.wait()
    assert reading.tab.evaluate("[...widths]") == [50]
    assert "cancelled" in reading.tab.inner_text("#list li:nth-child(1)")
    assert reading.tab.is_hidden("#trouble")


def test_other_settings_while_it_is_read(reading: Page) -> None:
    reading.set("scale", "4")
    reading.tab.evaluate("release()")
    reading.wait()
    name, content = reading.save()
    assert name == "slow_x4.png"
    assert Image.open(io.BytesIO(content)).size == (244, 188)


def test_read_once(reading: Page) -> None:
    """It is looked at and enlarged at the same time."""
    assert reading.tab.evaluate("reads") == 1
    reading.tab.evaluate("release()")
    reading.wait()


HOLD_WRITING = """() => {
  const write = WritableStreamDefaultWriter.prototype.write;
  const released = new Promise((resolve) => (window.release = resolve));
  WritableStreamDefaultWriter.prototype.write = async function (part) {
    await released;
    return write.call(this, part);
  };
}"""


def test_what_is_saved_is_what_there_was(page: Page, tmp_path: Path) -> None:
    """When it was asked for: meanwhile, all is enlarged with other settings."""
    names = ["a.png", "bb.png"]
    for name in names:
        make_picture(tmp_path / name)
    page.choose(*(tmp_path / name for name in names))
    page.tab.wait_for_selector("#together:not([hidden])")
    page.tab.evaluate(HOLD_WRITING)
    with page.tab.expect_download() as download:
        page.tab.click("#zip")
        page.set("scale", "4")
        page.tab.wait_for_selector("#list li:nth-child(2):has-text('244 × 188')")
        page.tab.evaluate("release()")
    archive = zipfile.ZipFile(download.value.path())
    assert archive.namelist() == ["a_x2.png", "bb_x2.png"]
    for name in archive.namelist():
        assert Image.open(io.BytesIO(archive.read(name))).size == (122, 94)


FOLDER = "async () => window.showDirectoryPicker = () => navigator.storage.getDirectory()"
CONTENTS = """async () => {
  const names = [];
  for await (const name of (await navigator.storage.getDirectory()).keys()) names.push(name);
  return names;
}"""


def test_nothing_in_a_folder_is_overwritten(page: Page, tmp_path: Path) -> None:
    """By pictures of one name either, the last two of which are written at the same time."""
    for folder in "abcd":
        (tmp_path / folder).mkdir()
        make_picture(tmp_path / folder / "same.png")
    page.tab.evaluate(FOLDER)
    page.choose(tmp_path / "a" / "same.png", tmp_path / "b" / "same.png")
    page.tab.wait_for_selector("#together:not([hidden])")
    page.tab.click("#folder")
    page.tab.wait_for_selector("#list li:nth-child(2):has-text('saved')")
    page.tab.evaluate(HOLD_WRITING)
    page.choose(tmp_path / "c" / "same.png", tmp_path / "d" / "same.png")
    page.tab.wait_for_selector("#list li:nth-child(4):has-text('122 × 94')")
    page.tab.evaluate("release()")
    page.tab.wait_for_selector("#list li:nth-child(4):has-text('saved')")
    page.tab.wait_for_selector("#list li:nth-child(3):has-text('saved')")
    names = ["same_x2.png", *(f"same_x2 ({number}).png" for number in (2, 3, 4))]
    assert sorted(page.tab.evaluate(CONTENTS)) == sorted(names)
