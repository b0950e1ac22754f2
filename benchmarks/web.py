"""The page's engine in Chromium beside the native one, and UpscalerJS, in one run.

    python -m benchmarks.web [--repeats N] [--size WxH] [--scales 2,4] [--peer FOLDER]

Needs ``pip install ziglang playwright`` and Chromium. FOLDER holds ``node_modules`` with
``npm install upscaler @upscalerjs/esrgan-slim @tensorflow/tfjs @tensorflow/tfjs-backend-wasm``.
Seconds, the least of several repeats, taken in turn: on the clock, and of all processors
together, which other programs disturb less. A whole picture goes from 8-bit RGB to 8-bit RGB,
without reading and writing files; only the first result takes all that the page does, from
dropping a file on it until the result can be saved.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bnnup.backends.engine import Engine, kernels
from bnnup.model.file import load_model
from bnnup.model.find import find_model
from bnnup.upscale.upscaler import Upscaler

ROOT = Path(__file__).parents[1]
ENGINES = {"exact": "engine-relaxed", "exact, without fused instruction": "engine"}
ENGINES["fast, without fused instruction"] = "engine-fast"

# One tile, whole, on the page's own thread: what one core takes.
ONE = """async ({ engine, network, scale, side }) => {
  const { Engine } = await import("./engine.js");
  const { readModel } = await import("./model.js");
  const read = async (name) => {
    const packed = (await fetch(name)).body.pipeThrough(new DecompressionStream("gzip"));
    return new Response(packed).arrayBuffer();
  };
  window.made ??= {};
  const key = `${engine}${network}${scale}`;
  window.made[key] ??= new Engine(
    await WebAssembly.compile(await read(`${engine}.wasm.gz`)),
    readModel(await read(`${network}-x${scale}.model.gz`)),
  );
  const began = performance.now();
  window.made[key].enlarge(window.picture.samples, side.height, side.width, 3);
  return (performance.now() - began) / 1000;
}"""
ALL = """async ({ network, scale }) => {
  const { Crew } = await import("./crew.js");
  window.crew ??= new Crew();
  await window.crew.warm(network, scale);
  const began = performance.now();
  await window.crew.enlarge(window.picture, network, scale);
  return (performance.now() - began) / 1000;
}"""
PICTURE = """async (name) => {
  const { readPicture } = await import("./picture.js");
  const blob = await (await fetch(name)).blob();
  window.picture = await readPicture(blob);
}"""
FIRST = """async () => {
  const blob = await (await fetch("picture.png")).blob();
  const dropped = new DataTransfer();
  dropped.items.add(new File([blob], "picture.png", { type: "image/png" }));
  const save = document.querySelector("#save");
  const done = new Promise((resolve) => {
    new MutationObserver(() => save.disabled || resolve()).observe(save, { attributes: true });
  });
  const began = performance.now();
  dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
  await done;
  return (performance.now() - began) / 1000;
}"""
PEER = """async ({ scale }) => {
  if (!window.upscalers) {
    tf.wasm.setWasmPaths("node_modules/@tensorflow/tfjs-backend-wasm/dist/");
    await tf.setBackend("wasm");
    window.upscalers = {};
  }
  const model = { 2: window.ESRGANSlim2x, 4: window.ESRGANSlim4x }[scale];
  const path = `node_modules/@upscalerjs/esrgan-slim/models/x${scale}/model.json`;
  window.upscalers[scale] ??= new Upscaler({ model: { ...model, path } });
  const image = document.querySelector("img");
  const began = performance.now();
  const result = await window.upscalers[scale].upscale(image, { output: "tensor" });
  await result.data();
  const seconds = (performance.now() - began) / 1000;
  result.dispose();
  return seconds;
}"""
SCRIPTS = (
    "@tensorflow/tfjs/dist/tf.min.js",
    "@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
    "@upscalerjs/esrgan-slim/dist/umd/2x/index.min.js",
    "@upscalerjs/esrgan-slim/dist/umd/4x/index.min.js",
    "upscaler/dist/browser/umd/upscaler.min.js",
)

Timed = Callable[[], float]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def natively(model: str, scale: int, kernel: str, picture: np.ndarray) -> Timed:
    network = load_model(find_model(model, scale))
    upscaler = Upscaler(network, backend=Engine(network, threads=1, kernel=kernel))

    def timed() -> float:
        began = time.perf_counter()
        upscaler.enlarge(picture)
        return time.perf_counter() - began

    return timed


def first_result(tab: Page) -> float:
    """From the drop on a page that has just been opened and is ready."""
    tab.reload(wait_until="networkidle")
    tab.wait_for_timeout(2000)
    return float(tab.evaluate(FIRST))


def cpu_seconds() -> dict[int, float]:
    """What this process and those of the browser have used of all processors, by process."""
    own = psutil.Process()
    times = {each.pid: each.cpu_times() for each in (own, *own.children(recursive=True))}
    return {pid: time.user + time.system for pid, time in times.items()}


def contestants(
    tab: Page, peer: Page | None, scale: int, picture: np.ndarray, few: bool
) -> dict[str, Timed]:
    made: dict[str, Timed] = {}
    side = {"height": picture.shape[0], "width": picture.shape[1]}
    for model in ("hybrid", "hybrid-large"):
        given = {"network": model, "scale": scale, "side": side}
        for kernel in kernels():
            if kernel != "amx" and not (few and kernel == "portable"):
                made[f"{model} ×{scale}, native {kernel}"] = natively(model, scale, kernel, picture)
        for name, engine in ENGINES.items():
            if not few or engine == "engine-relaxed":
                made[f"{model} ×{scale}, browser, one worker, {name}"] = partial(
                    tab.evaluate, ONE, {**given, "engine": engine}
                )
        made[f"{model} ×{scale}, browser, all cores"] = partial(tab.evaluate, ALL, given)
    if peer is not None:
        made[f"UpscalerJS ESRGAN-slim ×{scale}, WebAssembly"] = partial(
            peer.evaluate, PEER, {"scale": scale}
        )
    return made


def make_picture(path: Path, width: int, height: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return np.asarray(Image.open(path))


def write_peer(folder: Path) -> None:
    scripts = "".join(f'<script src="node_modules/{name}"></script>' for name in SCRIPTS)
    (folder / "peer.html").write_text(f'<img src="picture.png">{scripts}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--scales", default="2,4")
    parser.add_argument("--few", action="store_true", help="without the slow ones")
    parser.add_argument("--peer", type=Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "web"))
    from build import build_page  # type: ignore[attr-defined]

    width, height = map(int, arguments.size.split("x"))
    with TemporaryDirectory() as made, served(Path(made)) as address, sync_playwright() as started:
        folder = Path(made)
        build_page(folder)
        picture = make_picture(folder / "picture.png", width, height)
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(service_workers="block")
        tab = context.new_page()
        tab.goto(address)
        tab.evaluate(PICTURE, "picture.png")
        peer = None
        if arguments.peer:
            (folder / "node_modules").symlink_to(arguments.peer.resolve() / "node_modules")
            write_peer(folder)
            peer = context.new_page()
            peer.goto(f"{address}peer.html")
        new = context.new_page()
        new.goto(address)
        run(
            {"the page's first result, hybrid ×2": partial(first_result, new)},
            arguments.repeats,
        )
        new.close()
        for scale in map(int, arguments.scales.split(",")):
            run(contestants(tab, peer, scale, picture, arguments.few), arguments.repeats)
        browser.close()


def run(contestants: dict[str, Timed], repeats: int) -> None:
    least = {name: (float("inf"), float("inf")) for name in contestants}
    for _ in range(repeats):
        for name, timed in contestants.items():
            before = cpu_seconds()
            clock = timed()
            # Of those that are still there: a reloaded page may have ended an older one.
            after = cpu_seconds()
            processors = sum(after[pid] - before.get(pid, 0.0) for pid in after)
            least[name] = min(least[name][0], clock), min(least[name][1], processors)
    for name, (clock, processors) in least.items():
        print(f"{name:70} {clock:8.3f} s {processors:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
