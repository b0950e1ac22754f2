"""The page in a real browser: the same pixels as the command line's, and nothing sent anywhere."""

import gzip
import io
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_page import NEEDED, OTHERS, Page, Quiet, serve

from bnnup import load
from bnnup.model.file import load_model
from bnnup.model.find import find_model
from bnnup.model.program import Program
from bnnup.pictures.read import read_picture
from bnnup.pixels import bicubic
from bnnup.pixels.color import MERGING
from bnnup.upscale.upscaler import Upscaler

pytestmark = NEEDED


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return load("hybrid", scale=2)


def pixels_of(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    return read_picture(path).pixels


def write_chunks(
    path: Path, header: bytes, rows: bytes, *others: tuple[bytes, bytes], length: int = 1 << 31
) -> Path:
    """A PNG whose data is in pieces of a length."""
    data = zlib.compress(rows)
    pieces = [(b"IDAT", data[at : at + length]) for at in range(0, len(data), length)]
    chunks = [(b"IHDR", header), *others, *pieces, (b"IEND", b"")]
    content = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content += [struct.pack(">I", len(data)), kind, data, checksum]
    path.write_bytes(b"".join(content))
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


@pytest.mark.parametrize("length", [0, 20, 400])
def test_a_broken_file_gets_a_clear_message(length: int, page: Page, tmp_path: Path) -> None:
    whole = make_png("RGB", tmp_path / "whole.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:length])
    page.choose(tmp_path / "broken.png", tmp_path / "whole.png")
    page.tab.wait_for_selector("#trouble:not([hidden])")
    assert page.tab.inner_text("#trouble").startswith("broken.png: the ")
    page.tab.click("#list li:nth-child(2) .pick")
    page.wait()


def test_a_png_in_very_many_pieces(page: Page, upscaler: Upscaler, tmp_path: Path) -> None:
    """More than a function takes arguments."""
    pixels = np.random.default_rng(6).integers(0, 256, (500, 400), np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 400, 500, 8, 0, 0, 0, 0)
    source = write_chunks(tmp_path / "pieces.png", head, rows, length=1)
    enlarged = pixels_of(page.enlarge(source), tmp_path / "saved.png")
    np.testing.assert_array_equal(enlarged, upscaler.enlarge(pixels))


@pytest.mark.parametrize("kind", [b"pHYs", b"tRNS", b"iCCP", b"iTXt", b"eXIf"])
def test_a_png_with_a_chunk_that_is_cut_short(
    kind: bytes, page: Page, upscaler: Upscaler, tmp_path: Path
) -> None:
    """It tells nothing; the pixels are none the worse."""
    pixels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 30, 20, 8, 0, 0, 0, 0)
    source = write_chunks(tmp_path / "short.png", head, rows, (kind, b"\0"))
    with Image.open(io.BytesIO(page.enlarge(source))) as saved:
        np.testing.assert_array_equal(saved, upscaler.enlarge(pixels))


def test_no_picture_at_all(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.choose(tmp_path / "notes.png")
    page.tab.wait_for_selector("#trouble:not([hidden])")
    assert "not a picture" in page.tab.inner_text("#trouble")


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


class Remembered(Quiet):
    """As many hosts do, it tells browsers to ask again in an hour only."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()


NEWLY_KEPT = """async () => {
  await (await navigator.serviceWorker.ready).update();
  const file = (await caches.has("new")) && (await (await caches.open("new")).match("zip.js"));
  return file ? file.text() : "";
}"""


def test_a_new_version_is_kept_as_it_is(browser: Any, site: Path, tmp_path: Path) -> None:
    """Not what the browser remembers of the old one."""
    folder = tmp_path / "host"
    shutil.copytree(site, folder)
    context = browser.new_context()
    with serve(folder, Remembered) as address:
        page = Page(context, address)
        (folder / "zip.js").write_text("// new")
        worker = (folder / "service-worker.js").read_text()
        (folder / "service-worker.js").write_text(worker.replace("`bnnup-${version}`", '"new"'))
        while not (kept := page.tab.evaluate(NEWLY_KEPT)):
            page.tab.wait_for_timeout(50)
        context.close()
    assert kept == "// new"


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
