"""The page in a real browser: the same pixels as the command line's, and nothing sent anywhere."""

import gzip
import importlib
import importlib.util
import io
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from bnnup import load
from bnnup.model.file import load_model
from bnnup.model.find import find_model
from bnnup.model.program import Program
from bnnup.pictures.read import read_picture
from bnnup.pixels import bicubic
from bnnup.pixels.color import MERGING
from bnnup.upscale.choice import choose_model
from bnnup.upscale.upscaler import Upscaler

ROOT = Path(__file__).parents[1]
NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None,
        reason="no compiler for WebAssembly (pip install ziglang)",
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="nothing to drive a browser with (pip install playwright)",
    ),
]


OTHERS = ["edsr-small", "edsr", "rcan", "rdn", "srresnet"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built, and networks that it could run, too."""
    sys.path.insert(0, str(ROOT / "web"))
    try:
        build = importlib.import_module("build")
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("site")
    build.build_page(folder)
    for network in OTHERS:
        build.write_model(folder, find_model(network, 2))
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the page is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Page:
    """The page, open, and what happens on it."""

    def __init__(self, context: Any, address: str) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.tab = context.new_page()
        self.tab.set_default_timeout(60_000)
        context.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.goto(address)

    def choose(self, *files: Path) -> None:
        self.tab.set_input_files("#files", [str(file) for file in files])

    def set(self, name: str, value: str) -> None:
        self.tab.check(f"input[name={name}][value='{value}']", force=True)

    def wait(self) -> None:
        self.tab.wait_for_selector("#save:not([disabled])")

    def save(self, button: str = "#save") -> tuple[str, bytes]:
        with self.tab.expect_download() as download:
            self.tab.click(button)
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    def enlarge(
        self,
        file: Path,
        scale: int = 2,
        format: str = "png",
        network: str = "hybrid",
        condition: str = "clean",
    ) -> bytes:
        self.set("scale", str(scale))
        self.set("format", format)
        self.set("network", network)
        self.set("condition", condition)
        self.choose(file)
        self.wait()
        name, content = self.save()
        assert name == f"{file.stem}_x{scale}.{'jpg' if format == 'jpeg' else format}"
        return content


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    context = browser.new_context(accept_downloads=True)
    opened = Page(context, address)
    yield opened
    context.close()
    assert not opened.errors
    assert all(url.startswith((address, "blob:")) for url in opened.requests)


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return load("hybrid", scale=2)


def pixels_of(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    return read_picture(path).pixels


def write_chunks(path: Path, header: bytes, rows: bytes, *others: tuple[bytes, bytes]) -> Path:
    chunks = [(b"IHDR", header), *others, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + checksum
    path.write_bytes(content)
    return path


def interlaced(pixels: np.ndarray, path: Path) -> Path:
    """A grey PNG in the seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes:
        part = pixels[top::down, left::across]
        rows += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    height, width = pixels.shape
    return write_chunks(path, struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1), rows)


def make_png(kind: str, path: Path) -> Path:
    """A picture of 61 by 47 pixels, of a kind of PNG."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (12, 16, 4), np.uint8).repeat(4, 0).repeat(4, 1)
    rgba = np.ascontiguousarray(coarse[:47, :61])
    rgba[..., 3] = np.where(rgba[..., 3] < 150, 0, rgba[..., 3])
    image = Image.fromarray(rgba)
    deep = rng.integers(0, 65536, (47, 61, 3), np.uint16)
    match kind:
        case "palette":
            image.convert("RGB").quantize(13).save(path, bits=4)
        case "palette with alpha":
            image.quantize(60).save(path)
        case "black and white":
            image.convert("1").save(path)
        case "one clear colour":
            image.convert("RGB").save(path, transparency=tuple(rgba[0, 0, :3].tolist()))
        case "interlaced":
            return interlaced(rgba[..., 0], path)
        case "16 bit":
            head = struct.pack(">IIBBBBB", 61, 47, 16, 2, 0, 0, 0)
            rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
            return write_chunks(path, head, rows)
        case _:
            image.convert(kind).save(path)
    return path


KINDS = ["RGB", "RGBA", "L", "LA", "16 bit", "interlaced", "one clear colour"]
KINDS += ["palette", "palette with alpha", "black and white"]


@pytest.mark.parametrize("kind", KINDS)
def test_png_is_what_the_command_line_makes_of_it(
    kind: str, page: Page, upscaler: Upscaler, tmp_path: Path
) -> None:
    source = make_png(kind, tmp_path / "small.png")
    enlarged = pixels_of(page.enlarge(source), tmp_path / "saved.png")
    expected = upscaler.enlarge(read_picture(source).pixels)
    assert enlarged.dtype == expected.dtype
    np.testing.assert_array_equal(enlarged, expected)


@pytest.mark.parametrize(
    ("network", "size"),
    [("hybrid", (70, 700)), ("hybrid-large", (600, 60))],
    ids=["tall", "wide"],
)
def test_tiles_and_workers_leave_no_trace(
    network: str, size: tuple[int, int], page: Page, upscaler: Upscaler, tmp_path: Path
) -> None:
    smooth = np.random.default_rng(1).integers(0, 256, (30, 25, 3), np.uint8)
    source = tmp_path / "long.png"
    Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC).save(source)
    enlarged = pixels_of(page.enlarge(source, 3, network=network), tmp_path / "saved.png")
    expected = load(network, scale=3).enlarge(np.asarray(Image.open(source)))
    np.testing.assert_array_equal(enlarged, expected)


def test_tables_are_those_of_the_engine(page: Page) -> None:
    model = "import('./model.js')"
    for factor in range(1, 9):
        made = page.tab.evaluate(f"{model}.then((m) => [...m.phases({factor})])")
        np.testing.assert_array_equal(np.float32(made), bicubic.phases(factor).ravel())
    merging = page.tab.evaluate(f"{model}.then((m) => [...m.MERGING])")
    np.testing.assert_array_equal(np.float32(merging), MERGING)


@pytest.mark.parametrize("name", ["hybrid", *OTHERS])
def test_models_are_read(name: str, page: Page) -> None:
    script = """async (name) => {
      const { readModel } = await import("./model.js");
      const packed = (await fetch(`${name}-x2.model.gz`)).body;
      const bytes = packed.pipeThrough(new DecompressionStream("gzip"));
      return readModel(await new Response(bytes).arrayBuffer()).halo;
    }"""
    program: Program = load_model(find_model(name, 2)).program
    assert page.tab.evaluate(script, name) == program.halo


ENGINES = """async ({ engine, network, height, width, channels, samples }) => {
  const { Engine } = await import("./engine.js");
  const { readModel } = await import("./model.js");
  const read = async (name) => {
    const packed = (await fetch(name)).body.pipeThrough(new DecompressionStream("gzip"));
    return new Response(packed).arrayBuffer();
  };
  const module = await WebAssembly.compile(await read(`${engine}.wasm.gz`));
  const model = readModel(await read(`${network}-x2.model.gz`));
  const made = new Engine(module, model);
  return [...made.enlarge(new Uint8Array(samples), height, width, channels)];
}"""


@pytest.mark.parametrize("network", ["edsr-small", "hybrid"])
@pytest.mark.parametrize("engine", ["engine", "engine-relaxed", "engine-fast"])
def test_engines(engine: str, network: str, page: Page) -> None:
    """Two are exact; the fast one, which is named as such, is one level off at most."""
    coarse = np.random.default_rng(2).integers(0, 256, (9, 12, 3), np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((50, 40), Image.Resampling.BICUBIC))
    given = {"engine": engine, "network": network, "height": 40, "width": 50, "channels": 3}
    made = page.tab.evaluate(ENGINES, {**given, "samples": pixels.ravel().tolist()})
    expected = load(network, scale=2).enlarge(pixels).ravel().astype(int)
    assert np.abs(np.array(made) - expected).max() <= (engine == "engine-fast")


def test_a_large_tile(page: Page) -> None:
    """All values of the network together would take more than WebAssembly can address."""
    ramp = (np.add.outer(np.arange(512), np.arange(512)) // 4).astype(np.uint8)
    given = {"engine": "engine-relaxed", "network": "edsr", "height": 512, "width": 512}
    made = page.tab.evaluate(ENGINES, {**given, "channels": 1, "samples": ramp.ravel().tolist()})
    np.testing.assert_array_equal(made, load("edsr", scale=2).enlarge(ramp).ravel())


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
def test_profile_and_orientation_are_kept(
    format: str, page: Page, upscaler: Upscaler, tmp_path: Path
) -> None:
    pixels, profile = make_photo(tmp_path / "photo.jpg")
    saved = Image.open(io.BytesIO(page.enlarge(tmp_path / "photo.jpg", 2, format)))
    assert saved.size == (80, 128)
    assert saved.info["icc_profile"] == profile
    assert saved.getexif().get(0x0112, 1) == 1
    assert saved.getexif()[0x010E] == "a picture"
    if format != "webp":
        assert [round(density) for density in saved.info["dpi"]] == [300, 300]
    off = np.abs(np.asarray(saved.convert("RGB"), int) - upscaler.enlarge(pixels))
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
    enlarged = pixels_of(content, tmp_path / "saved.png")
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


def test_several_become_one_zip(page: Page, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_png("RGB", tmp_path / folder / "same.png")
    page.choose(tmp_path / "a" / "same.png", tmp_path / "b" / "same.png")
    page.tab.wait_for_selector("#together:not([hidden])")
    name, content = page.save("#zip")
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert name == "bnnup.zip"
    assert archive.testzip() is None
    assert archive.namelist() == ["same_x2.png", "same_x2 (2).png"]
    assert Image.open(io.BytesIO(archive.read("same_x2.png"))).size == (122, 94)


def test_a_dropped_and_a_pasted_file_are_taken(page: Page, tmp_path: Path) -> None:
    content = make_png("L", tmp_path / "p.png").read_bytes()
    script = """({ bytes, type, field }) => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array(bytes)], `${type}.png`, { type: "image/png" }));
      const Kind = type === "drop" ? DragEvent : ClipboardEvent;
      dispatchEvent(new Kind(type, { [field]: files, cancelable: true }));
    }"""
    for number, (kind, field) in enumerate((("drop", "dataTransfer"), ("paste", "clipboardData"))):
        page.tab.evaluate(script, {"bytes": list(content), "type": kind, "field": field})
        page.tab.wait_for_selector(f"#list li:nth-child({number + 1})")
    page.wait()


def test_cancel_works_at_once_and_again_is_possible(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2000), "teal").save(tmp_path / "large.png")
    page.set("network", "hybrid-large")
    page.choose(tmp_path / "large.png")
    page.tab.wait_for_selector("#list li:has-text('enlarging')")
    page.tab.keyboard.press("Escape")
    page.tab.wait_for_selector("#list li:has-text('cancelled')", timeout=5000)
    page.choose(make_png("RGB", tmp_path / "small.png"))
    page.tab.click("#list li:nth-child(2) .pick")
    page.wait()


@pytest.mark.parametrize("length", [0, 20, 400])
def test_a_broken_file_gets_a_clear_message(length: int, page: Page, tmp_path: Path) -> None:
    whole = make_png("RGB", tmp_path / "whole.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:length])
    page.choose(tmp_path / "broken.png", tmp_path / "whole.png")
    page.tab.wait_for_selector("#trouble:not([hidden])")
    assert page.tab.inner_text("#trouble").startswith("broken.png: the ")
    page.tab.click("#list li:nth-child(2) .pick")
    page.wait()


def test_no_picture_at_all(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.choose(tmp_path / "notes.png")
    page.tab.wait_for_selector("#trouble:not([hidden])")
    assert "not a picture" in page.tab.inner_text("#trouble")


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


def test_offline(browser: Any, address: str, tmp_path: Path, upscaler: Upscaler) -> None:
    context = browser.new_context(accept_downloads=True)
    page = Page(context, address)
    page.tab.evaluate("navigator.serviceWorker.ready.then(() => true)")
    kept = """async () => {
      for (const name of await caches.keys()) {
        const keys = await (await caches.open(name)).keys();
        if (keys.some(({ url }) => url.endsWith(".wasm.gz"))) return true;
      }
      return false;
    }"""
    while not page.tab.evaluate(kept):
        page.tab.wait_for_timeout(50)
    context.set_offline(True)
    page.tab.reload()
    source = make_png("RGB", tmp_path / "small.png")
    enlarged = pixels_of(page.enlarge(source), tmp_path / "saved.png")
    context.close()
    np.testing.assert_array_equal(enlarged, upscaler.enlarge(read_picture(source).pixels))


@pytest.mark.parametrize("width", [320, 400, 760, 1200])
def test_everything_to_choose_is_in_sight(width: int, page: Page, tmp_path: Path) -> None:
    page.tab.set_viewport_size({"width": width, "height": 800})
    page.choose(make_png("RGB", tmp_path / "small.png"))
    page.wait()
    boxes = [
        label.bounding_box() for label in page.tab.query_selector_all("#settings .choice label")
    ]
    assert len(boxes) == 12
    sides = [(box["x"], box["x"] + box["width"]) for box in boxes]
    assert all(0 <= left < right <= width for left, right in sides)
    cut = "(e) => [...e.querySelectorAll('.choice')].some((c) => c.scrollWidth > c.clientWidth)"
    assert not page.tab.eval_on_selector("aside", cut)


def test_page_is_light(site: Path) -> None:
    """All that two networks at ×2 and ×4 need, as it lies there."""
    engine = site / "engine.wasm.gz"
    assert gzip.decompress(engine.read_bytes()).startswith(b"\0asm")
    models = [site / f"{n}-x{s}.model.gz" for n in ("hybrid", "hybrid-large") for s in (2, 4)]
    shell = [p for p in site.iterdir() if p.suffix in (".html", ".css", ".js", ".svg")]
    assert sum(path.stat().st_size for path in [engine, *models, *shell]) <= 700_000
