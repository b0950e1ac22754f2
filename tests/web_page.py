"""The page, built, served and open in a real browser, for the tests that drive it."""

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bnnup.model.find import find_model

ROOT = Path(__file__).parents[1]
NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

NEEDED = [
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


@pytest.fixture(scope="session")
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


@contextmanager
def serve(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """Where a folder is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the page is served."""
    with serve(site) as address:
        yield address


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
