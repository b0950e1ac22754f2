"""A Hub on loopback: what the real client asks of the real one, and faults on demand.

It answers the requests that huggingface_hub makes for model repositories: their
listing, files (metadata first, then a redirect to another host, in ranges), creating
a repository, and a commit whose large files go through LFS.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_letmein"
REPOSITORY = "someone/sharp"
Files = dict[str, bytes]


@dataclass
class Repository:
    commits: dict[str, Files] = field(default_factory=dict)  # the newest is the last
    private: bool = False
    gated: bool = False

    def commit(self, files: Files) -> str:
        """A new revision with these files; its 40 digits."""
        description = "".join(f"{name}{_sha256(data)}" for name, data in sorted(files.items()))
        commit = hashlib.sha1(f"{len(self.commits)}{description}".encode()).hexdigest()
        self.commits[commit] = files
        return commit

    def resolve(self, revision: str) -> str | None:
        newest = list(self.commits)[-1] if self.commits else None
        return newest if revision == "main" else revision if revision in self.commits else None


@dataclass
class Fault:
    """What goes wrong on paths that match ``where``: a status, "cut", "wrong" or "slow"."""

    kind: int | str
    where: str
    times: int
    at: int = 0  # bytes before the cut


class Hub:
    """The server's state: tests fill it, break it, and read what was asked of it."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}  # by SHA-256
        self.requests: list[str] = []  # "GET /path", with the range if one was asked for
        self.faults: list[Fault] = []
        self.stopped = Event()

    def add(self, name: str, files: Files, private: bool = False, gated: bool = False) -> str:
        new = Repository(private=private, gated=gated)
        repository = self.repositories.setdefault(name, new)
        return repository.commit(files)

    def misbehave(self, kind: int | str, where: str = "", times: int = 1000, at: int = 0) -> None:
        self.faults.append(Fault(kind, where, times, at))

    def fault(self, path: str, *kinds: str) -> Fault | None:
        """The fault that is due on a path, used up by one; ``kinds`` or, without any, a status."""
        for fault in self.faults:
            wanted = fault.kind in kinds if kinds else isinstance(fault.kind, int)
            if wanted and fault.times and re.search(fault.where, path):
                fault.times -= 1
                return fault
        return None

    def blob(self, digest: str) -> bytes:
        everything = (c for r in self.repositories.values() for c in r.commits.values())
        stored = {_sha256(data): data for files in everything for data in files.values()}
        return (stored | self.uploads)[digest]


class Handler(BaseHTTPRequestHandler):
    server: ThreadingHTTPServer
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        if path == "/api/agent-harnesses":  # for the client's user agent; about no model
            self.send(404, {})
            return
        asked = f"{self.command} {path} {self.headers.get('Range', '')}"
        self.hub.requests.append(asked.strip())
        if self.hub.fault(path, "slow"):
            self.hub.stopped.wait(20)
        if fault := self.hub.fault(path):
            assert isinstance(fault.kind, int)
            self.send(fault.kind, {"error": "as ordered"})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.send_listing(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.send_file(*match.groups())
        elif match := re.fullmatch(r"/storage/(\w+)", path):
            self.store(match[1], body) if self.command == "PUT" else self.send_blob(match[1])
        else:
            self.change(path, body)

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

    # Reading

    def send_listing(self, name: str, revision: str) -> None:
        if (repository := self._allowed(name)) is None:
            return
        if (commit := repository.resolve(revision)) is None:
            self.fail(404, "RevisionNotFound")
            return
        files = repository.commits[commit]
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": _sha256(data), "size": len(data), "pointerSize": 130},
            }
            for name, data in files.items()
        ]
        gated = "auto" if repository.gated else False
        self.send(200, {"id": name, "sha": commit, "gated": gated, "siblings": siblings})

    def send_file(self, name: str, revision: str, file: str) -> None:
        if (repository := self._allowed(name)) is None:
            return
        if repository.gated and not self._known():
            self.fail(401, "GatedRepo")
        elif (commit := repository.resolve(revision)) is None:
            self.fail(404, "RevisionNotFound")
        elif (data := repository.commits[commit].get(file)) is None:
            self.fail(404, "EntryNotFound", {"X-Repo-Commit": commit})
        else:
            port = self.server.server_address[1]
            headers = {
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{_sha256(data)}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"http://localhost:{port}/storage/{_sha256(data)}",  # another host
            }
            self.send(302, None, headers)

    def send_blob(self, digest: str) -> None:
        data = self.hub.blob(digest)
        if self.hub.fault(self.path, "wrong"):
            data = data[:-9] + bytes(9)
        start = 0
        headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if match := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        part = data[start:]
        self.start(206 if start else 200, len(part), headers)
        if self.command == "HEAD":
            return
        if fault := self.hub.fault(self.path, "cut"):
            self.wfile.write(part[: fault.at])
            self.close_connection = True
        else:
            self.wfile.write(part)

    # Writing

    def change(self, path: str, body: bytes) -> None:
        if path == "/api/validate-yaml":
            self.send(200, {"errors": [], "warnings": []})
        elif not self._known():
            self.send(401, {"error": "Invalid credentials"}, {"X-Error-Message": INVALID})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            asked = json.loads(body)["files"]
            self.send(200, {"files": [_mode(file["path"]) for file in asked]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.send(200, {"objects": [self._action(o) for o in json.loads(body)["objects"]]})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            self.commit(match[1], [json.loads(line) for line in body.splitlines()])
        else:
            self.send(404, {"error": f"this Hub does not speak {self.command} {path}"})

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            self.send(409, {"error": "You already created it", "url": self._url(name)})
            return
        private = asked.get("private", False) or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private=private)
        self.hub.repositories[name].commit({".gitattributes": b""})
        self.send(200, {"url": self._url(name), "name": name})

    def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repository = self.hub.repositories[name]
        files = dict(list(repository.commits.values())[-1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blob(value["oid"])
        commit = repository.commit(files)
        url = f"{self._url(name)}/commit/{commit}"
        self.send(200, {"success": True, "commitOid": commit, "commitUrl": url})

    def store(self, digest: str, body: bytes) -> None:
        assert _sha256(body) == digest
        self.hub.uploads[digest] = body
        self.send(200, {})

    # Parts

    def send(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.start(status, len(data), headers or {})
        if self.command != "HEAD":
            self.wfile.write(data)

    def start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(length)}).items():
            self.send_header(name, value)
        self.end_headers()

    def fail(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self.send(status, {"error": code}, {"X-Error-Code": code, **(headers or {})})

    def _allowed(self, name: str) -> Repository | None:
        """The repository, or None when the refusal has been sent: the Hub hides private ones."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._known()):
            self.fail(404 if self._known() else 401, "RepoNotFound")
            return None
        return repository

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def _action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": self._url(f"storage/{wanted['oid']}")}
        return {"oid": wanted["oid"], "size": wanted["size"], "actions": {"upload": upload}}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


INVALID = "Invalid credentials in Authorization header"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mode(path: str) -> dict[str, Any]:
    """How the Hub wants to be given a file."""
    large = path.endswith((".safetensors", ".png"))
    return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that leave early are part of the tests."""


@contextmanager
def serve() -> Iterator[tuple[Hub, str]]:
    """A running Hub and its address."""
    hub = Hub()
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
        hub.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub, the client pointed to it with an empty cache, and no patience between tries.

    The variables are for new processes; the constants are what the client read from
    them when it was imported.
    """
    from huggingface_hub import constants

    with serve() as (running, address):
        home = tmp_path / "home"
        for name, value in {
            "HF_ENDPOINT": address,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("BNNUP_HUB_REPO", raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield running


@pytest.fixture
def published(server: Hub, model_files: Path) -> Hub:
    """The tiny networks at someone/sharp."""
    files = {path.name: path.read_bytes() for path in sorted(model_files.iterdir())}
    server.add(REPOSITORY, {"README.md": b"# sharp", **files})
    return server
