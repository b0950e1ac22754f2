"""``bnnup web``: the page's files, copied and served."""

import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET, create_connection, socket
from threading import Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from conftest import Run

import bnnup
from bnnup.web import page, serve  # noqa: F401  # page, before the package's path is another

FILES = {"index.html": "<h1>bnnup</h1>", "app.js": "1", "engine.wasm.gz": "\x1f\x8b"}
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\n")
# The program, with another folder in the installed page's place.
SCRIPT = "import bnnup, bnnup.web.page, bnnup.web.serve, bnnup.cli, sys; "
SCRIPT += "bnnup.__path__ = [sys.argv.pop(1)]; bnnup.cli.main()"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that has the page."""
    files = tmp_path / "package" / "web" / "files"
    files.mkdir(parents=True)
    for name, content in FILES.items():
        (files / name).write_text(content, encoding="latin-1")
    monkeypatch.setattr(bnnup, "__path__", [str(tmp_path / "none"), str(tmp_path / "package")])
    return tmp_path / "package"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="latin-1") for path in folder.iterdir()}


def test_files_are_written(run: Run, package: Path, tmp_path: Path) -> None:
    done = run("web", "--output", tmp_path / "new" / "site")
    assert (done.code, done.out) == (0, f"{tmp_path / 'new' / 'site'}\n")
    assert contents(tmp_path / "new" / "site") == FILES


def test_nothing_is_overwritten_unasked(run: Run, package: Path, tmp_path: Path) -> None:
    mine = tmp_path / "index.html"
    mine.write_text("mine")
    done = run("web", "-o", tmp_path)
    assert done.code == 1
    assert "is not empty" in done.err and "--force" in done.err
    assert mine.read_text() == "mine"
    assert not (tmp_path / "app.js").exists()
    assert run("web", "-o", tmp_path, "--force").code == 0
    assert mine.read_text() == FILES["index.html"]


def test_an_installation_without_the_page_says_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bnnup, "__path__", [str(tmp_path)])
    for options in [], ["--output", tmp_path / "site"]:
        done = run("web", *options)
        assert (done.code, done.out) == (1, "")
        assert "BNNUP_WEB=1 pip install ." in done.err
    assert not (tmp_path / "site").exists()


def test_a_taken_port(run: Run, package: Path) -> None:
    with socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run("web", "--no-browser", "--port", other.getsockname()[1])
    assert (done.code, done.out) == (1, "")
    assert "--port" in done.err


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a new process serves an installation's page, until Ctrl-C."""
    command = [sys.executable, "-P", "-c", SCRIPT, str(folder)]
    command += ["web", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
        if os.name != "nt":  # where Ctrl-C is no signal, but a console's event
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
            assert process.returncode == 130
            assert "Traceback" not in told
    finally:
        process.kill()
        process.communicate()


def test_page_is_served(package: Path) -> None:
    with served(package) as line:
        assert ADDRESS.fullmatch(line)
        types = {}
        for name, content in FILES.items():
            with urlopen(line.strip() + name) as answer:
                assert answer.read() == content.encode("latin-1")
                assert "Content-Encoding" not in answer.headers
                types[name] = answer.headers.get_content_type()
        assert types == {
            "index.html": "text/html",
            "app.js": "text/javascript",  # or browsers refuse modules
            "engine.wasm.gz": "application/octet-stream",
        }
        with pytest.raises(HTTPError) as caught:
            urlopen(line.strip() + "../../secret")
        caught.value.close()
        assert caught.value.code == 404


def test_a_tab_closed_while_it_loads_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large").write_bytes(bytes(30_000_000))  # more than sockets take in
    handler = partial(serve.Handler, directory=str(tmp_path))
    with serve.Server((serve.LOOPBACK, 0), handler) as server:
        server.daemon_threads = False  # so that closing the server waits for its answers
        thread = Thread(target=server.serve_forever)
        thread.start()
        with create_connection((serve.LOOPBACK, server.server_port)) as client:
            client.sendall(b"GET /large HTTP/1.0\r\n\r\n")
            assert client.recv(100)
            client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # gone at once
        server.shutdown()
        thread.join()
    assert capsys.readouterr().err == ""
