"""Looking: scores by the field's protocol, sheets, and a page that works in a real browser."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from PIL import Image

from bnnup.errors import MediaError
from bnnup.measure import compare, metrics
from bnnup.measure.benchmark import enlarge_by_bicubic
from bnnup.measure.compare import View, draw_sheet, find_crop, load_views, read_crop
from bnnup.pixels.bicubic import reduce

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with small.png, large.png, twice as large, and original.png."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (10, 14, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    small = reduce(smooth, 2)
    large = smooth.astype(int) + rng.integers(-3, 4, smooth.shape)
    large[20:40, 30:60] = 255 - large[20:40, 30:60]
    for name, pixels in ("small", small), ("large", large), ("original", smooth):
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_scores_are_those_of_the_benchmark(pictures: Path) -> None:
    views = load_views(*(pictures / f"{name}.png" for name in ("small", "large", "original")))
    assert [view.name for view in views] == ["bicubic", "large.png", "original"]
    original, result = views[2].pixels, views[1].pixels
    assert (views[1].psnr, views[1].ssim) == metrics.score(result, original, 2)
    with Image.open(pictures / "small.png") as small:
        reference = metrics.score(enlarge_by_bicubic(np.asarray(small), 2), original, 2)
    # Pillow's bicubic rounds, and weighs at the border, a little differently.
    assert views[0].psnr == pytest.approx(reference[0], abs=0.3)
    assert views[2].psnr is None


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("large", "small", None), "not an enlargement"),
        (("small", "small", None), "not an enlargement"),
        (("small", "large", "small"), "not as large"),
        (("small", "tall", None), "not an enlargement"),
        (("dot", "dots", "dots"), "too small"),
    ],
)
def test_pictures_that_do_not_match(
    pictures: Path, names: tuple[str, str, str | None], reason: str
) -> None:
    Image.new("RGB", (112, 240)).save(pictures / "tall.png")
    Image.new("RGB", (2, 2)).save(pictures / "dot.png")
    Image.new("RGB", (4, 4)).save(pictures / "dots.png")
    small, large, original = (name and pictures / f"{name}.png" for name in names)
    assert small and large
    with pytest.raises(MediaError, match=reason):
        load_views(small, large, original or None)


def test_every_kind_of_picture_becomes_rgb(tmp_path: Path) -> None:
    Image.new("LA", (4, 4), (200, 0)).save(tmp_path / "small.png")
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "large.png")
    views = load_views(tmp_path / "small.png", tmp_path / "large.png")
    assert (views[0].pixels == compare.BEHIND).all()
    assert (views[1].pixels == 255).all()


def test_crop_is_where_the_difference_is() -> None:
    flat = np.zeros((400, 600, 3), np.uint8)
    changed = flat.copy()
    changed[300:340, 500:540] = 200
    left, top, width, height = find_crop([View("a", flat), View("b", changed)])
    assert left <= 500 < 540 <= left + width
    assert top <= 300 < 340 <= top + height
    assert find_crop([View("a", flat[:5, :7]), View("b", changed[:5, :7])]) == (0, 0, 7, 5)


def test_sheet_shows_every_view_closely_and_whole() -> None:
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    views = [View(str(color), np.full((300, 400, 3), color, np.uint8)) for color in colors]
    sheet = draw_sheet(views, (10, 20, 160, 120))
    column = (sheet.shape[1] - compare.GAP) // 3
    for number, color in enumerate(colors):
        part = sheet[:, number * column : (number + 1) * column]
        assert (part == color).all(axis=2).sum() > 480 * 360 * 1.9
    with pytest.raises(MediaError, match="400×300"):
        draw_sheet(views, (300, 0, 101, 20))


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "-1,2,3,4", "1,2,0,4", "a,b,c,d"])
def test_crops_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="crop"):
        read_crop(text)


# The command line


def test_sheet_and_scores(run: Run, pictures: Path) -> None:
    files = [pictures / "small.png", pictures / "large.png"]
    original = ["--original", pictures / "original.png"]
    done = run("compare", *files, *original, "-o", pictures / "sheet.png", "--crop", "0,0,40,30")
    assert done.code == 0
    assert done.err.count(" dB ") == 2
    with Image.open(pictures / "sheet.png") as sheet:
        assert sheet.size[0] == 3 * (compare.PANEL + compare.GAP) + compare.GAP
    again = run("compare", *files, "-o", pictures / "sheet.png")
    assert again.code == 1
    assert "--force" in again.err
    report = run("compare", *files, *original, "-o", pictures / "sheet.png", "--force", "--json")
    assert list(json.loads(report.out)) == ["bicubic", "result"]
    equal = [pictures / "small.png", pictures / "original.png", *original]
    done = run("compare", *equal, "-o", pictures / "equal.png", "--json")
    assert done.code == 0
    assert json.loads(done.out)["result"] == {"psnr": None, "ssim": 1.0, "equal": True}
    done = run("compare", *files, "-o", pictures / "two.png", "--json")
    found = json.loads(done.out)["from_bicubic"]
    assert 10 < found["psnr"] < 40
    assert 0 < found["ssim"] < 1
    done = run("compare", *files, "-o", pictures / "two.png", "--force")
    assert "away from bicubic  112×80" in done.err


@pytest.mark.parametrize(
    "options", [[], ["-o", "sheet.png", "--crop", "1,2"], ["--original", "absent.png"]], ids=str
)
def test_wrong_usage(run: Run, pictures: Path, options: list[str]) -> None:
    assert run("compare", pictures / "small.png", pictures / "large.png", *options).code == 2


class Outside(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = [value for name, value in attributes if name in ("src", "href") and value]
        self.urls += [url for url in found if not url.startswith("data:")]


def test_page_needs_nothing_else(run: Run, pictures: Path) -> None:
    strange = pictures / "a<b>&'$x.png"
    shutil.copy(pictures / "large.png", strange)
    page = pictures / "page.html"
    assert run("compare", pictures / "small.png", strange, "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    parser = Outside()
    parser.feed(text)
    assert parser.urls == []
    assert "url(" not in text
    assert "<title>a&lt;b&gt;&amp;&#x27;$x.png</title>" in text


RED, BLUE = (255, 0, 0), (0, 0, 255)


@needs_chromium
@pytest.mark.parametrize(
    ("action", "share"),
    [
        ("", 0.5),
        ("slider.value = 25; slider.dispatchEvent(new Event('input'))", 0.25),
        ("slider.value = 0; slider.dispatchEvent(new Event('input'))", 0.0),
        ("left.value = '1'; left.dispatchEvent(new Event('input'))", 0.0),
        (
            "views.dispatchEvent(new PointerEvent('pointerdown', {buttons: 1, clientX: "
            "views.getBoundingClientRect().left + 300}))",
            0.75,
        ),
    ],
    ids=["start", "slider", "edge", "select", "pointer"],
)
def test_slider_in_a_browser(tmp_path: Path, action: str, share: float) -> None:
    """Left of the border is the one picture, right of it the other."""
    views = [View(str(color), np.full((300, 400, 3), color, np.uint8)) for color in (RED, BLUE)]
    page = compare.make_page(views).replace("</html>", f"<script>{action}</script></html>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    shot = tmp_path / "shot.png"
    assert CHROMIUM
    subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--force-device-scale-factor=1", "--window-size=800,600"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}"),
            (tmp_path / "page.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    red, blue = ((pixels == color).all(axis=2) for color in (RED, BLUE))
    assert (red | blue).sum() == pytest.approx(400 * 300, abs=400)
    assert red.sum() / (400 * 300) == pytest.approx(share, abs=0.01)
    if 0 < share < 1:
        assert np.flatnonzero(red.any(axis=0)).max() < np.flatnonzero(blue.any(axis=0)).min()
