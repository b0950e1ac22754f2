"""Pictures that come in, wait their turn, are enlarged, told to go, and saved."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_page import NEEDED, Page

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


def test_too_large_is_refused_with_what_fits(browser: Any, address: str, tmp_path: Path) -> None:
    context = browser.new_context()
    context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 0.25 })"
    )
    page = Page(context, address)
    Image.new("L", (2500, 2000)).save(tmp_path / "large.png")
    page.set("scale", "4")
    page.choose(tmp_path / "large.png")
    page.tab.wait_for_selector("#trouble:not([hidden])")
    message = page.tab.inner_text("#trouble")
    context.close()
    assert "at most 2289 × 1831 pixels fit, or choose ×3" in message  # 64 MiB for 16 a pixel


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
