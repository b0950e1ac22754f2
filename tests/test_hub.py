"""Models from the Hub: fetched, checked and cached by the unchanged client, and what goes wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from hub_server import REPOSITORY, TOKEN, Hub
from PIL import Image

import bnnup
from bnnup.errors import BnnupError, HubError, ModelNotFoundError
from bnnup.model import find, zoo
from bnnup.model.file import Model, serialize
from bnnup.model.operations import Convolution, PixelShuffle
from bnnup.model.program import Program

hub = pytest.importorskip("bnnup.model.hub")


def enlarge(run: Run, folder: Path, model: object, scale: int = 2) -> bytes:
    """The pixels of photo.jpg, enlarged through the command line."""
    target = folder / "large.png"
    done = run("upscale", folder / "photo.jpg", "-s", scale, "-m", model, "-o", target, "--force")
    assert done.code == 0, done.err
    with Image.open(target) as image:
        return np.asarray(image).tobytes()


# Names


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a/b", ("a/b", None, "main")),
        ("a/b@v1.0", ("a/b", None, "v1.0")),
        ("a/b@refs/pr/1", ("a/b", None, "refs/pr/1")),
        ("a/b/c/d-x2.safetensors", ("a/b", "c/d-x2.safetensors", "main")),
        ("a/b/d.safetensors@0123abc", ("a/b", "d.safetensors", "0123abc")),
    ],
)
def test_place_is_read(text: str, place: tuple[str, str | None, str]) -> None:
    read = hub.Place.parse(text)
    assert (read.repository, read.file, read.revision) == place
    assert str(read) == text


@pytest.mark.parametrize(
    "text", ["a", "a/", "/b", "a/b/c", "a/b@", "a/../b.safetensors", "a/b@../x", "ä/b", "a b/c"]
)
def test_place_is_refused(text: str) -> None:
    with pytest.raises(ModelNotFoundError, match="not a model on the Hub"):
        hub.Place.parse(text)


def test_path_comes_before_a_name(
    folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in "edsr", "someone/sharp":
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(tiny.read_bytes())
        assert find.find_model(name, 2) == Path(name)


def test_name_may_include_the_scale() -> None:
    assert find.find_model("edsr-x2", 2) == find.find_model("edsr", 2)
    with pytest.raises(ModelNotFoundError, match="edsr-x2 enlarges ×2, not ×3"):
        find.find_model("edsr-x2", 3)


@pytest.mark.parametrize("name", ["a.safetensors", "./a/b/c.safetensors", "~/a/b", "a\\b"])
def test_missing_path_is_not_asked_for(server: Hub, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        find.find_model(name, 2)
    assert server.requests == []


def test_file_missing_in_a_folder_that_exists_is_a_path(
    server: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("runs/edsr").mkdir(parents=True)
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        find.find_model("runs/edsr/model.safetensors", 2)
    assert server.requests == []


def test_bundled_model_needs_no_client() -> None:
    script = (
        "import sys, socket, bnnup\n"
        "socket.socket = None\n"
        "bnnup.load('edsr', scale=2)\n"
        "print('huggingface_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


# Fetching


def test_second_use_asks_nothing(run: Run, folder: Path, tiny: Path, published: Hub) -> None:
    expected = enlarge(run, folder, tiny)
    assert enlarge(run, folder, REPOSITORY) == expected
    assert [r.split()[0] for r in published.requests] == ["GET", "HEAD", "GET"]
    published.requests.clear()
    assert enlarge(run, folder, REPOSITORY) == expected
    assert enlarge(run, folder, f"{REPOSITORY}/tiny-x2.safetensors") == expected
    assert published.requests == []


def test_scale_chooses_the_file(run: Run, folder: Path, model_files: Path, published: Hub) -> None:
    expected = enlarge(run, folder, model_files / "tiny-x3.safetensors", 3)
    enlarge(run, folder, REPOSITORY)
    assert enlarge(run, folder, REPOSITORY, 3) == expected


def test_environment_is_all_that_a_new_process_needs(
    folder: Path, published: Hub, tmp_path: Path
) -> None:
    """Twice, the second time with the Hub gone."""
    bnnup = [sys.executable, "-m", "bnnup", "upscale", "-m", REPOSITORY]
    for extra in {}, {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}:
        environment = {**os.environ, **extra}
        command: list[str | Path] = [
            *bnnup,
            folder / "photo.jpg",
            "-o",
            folder / f"{len(extra)}.png",
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert len(published.requests) == 3


def test_revision_is_kept(
    run: Run, folder: Path, model_files: Path, server: Hub, models: dict[int, Model]
) -> None:
    """A commit names the same file for ever; a branch stays where it was when cached."""
    tensors = {name: t * 0 for name, t in models[2].tensors.items()}
    blank = serialize(Model(models[2].program, tensors))
    old = server.add(REPOSITORY, {"model.safetensors": blank})
    before = enlarge(run, folder, REPOSITORY)
    sharp = (model_files / "tiny-x2.safetensors").read_bytes()
    new = server.add(REPOSITORY, {"model.safetensors": sharp})
    assert enlarge(run, folder, REPOSITORY) == before
    after = enlarge(run, folder, f"{REPOSITORY}@{new}")
    assert after != before
    assert enlarge(run, folder, f"{REPOSITORY}@{old}") == before
    hub.fetch(hub.Place(REPOSITORY), 2, update=True)
    assert enlarge(run, folder, REPOSITORY) == after


def test_known_model_that_is_not_bundled(
    run: Run, folder: Path, tiny: Path, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "bundled_folder", lambda: folder)
    server.add(REPOSITORY, {"rcan-x2.safetensors": tiny.read_bytes()})
    done = run("upscale", folder / "photo.jpg", "-m", "rcan")
    assert done.code == 1
    assert "--hub-repo" in done.err
    monkeypatch.setenv(find.REPOSITORY, REPOSITORY)
    expected = enlarge(run, folder, tiny)
    assert enlarge(run, folder, "rcan") == enlarge(run, folder, "rcan-x2") == expected


def test_hub_repo_is_an_option(
    run: Run, folder: Path, tiny: Path, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "bundled_folder", lambda: folder)
    monkeypatch.setenv(find.REPOSITORY, "some/other")
    server.add(REPOSITORY, {"rcan-x2.safetensors": tiny.read_bytes()})
    picture = folder / "photo.jpg"
    assert run("--hub-repo", REPOSITORY, "upscale", picture, "-m", "rcan").code == 0


def test_private_repository(
    published: Hub, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.repositories[REPOSITORY].private = True
    with pytest.raises(HubError, match=r"or it is private: .*hf auth login"):
        find.find_model(REPOSITORY, 2)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    enlarge(run, folder, REPOSITORY)


def test_download_goes_on_after_a_cut(server: Hub) -> None:
    """The client reads 10 MiB at a time, so the file must be larger; its rest is asked for."""
    operations = (
        Convolution("head", "luma", 640, 3),
        Convolution("body", "head", 640, 3),
        Convolution("tail", "body", 4, 3),
        PixelShuffle("result", "tail", 2),
    )
    program = Program(2, operations)
    tensors = {n: np.zeros(s.shape, s.dtype) for n, s in program.tensors().items()}
    content = serialize(Model(program, tensors))
    server.add(REPOSITORY, {"large-x2.safetensors": content})
    server.misbehave("cut", "storage", times=1, at=12 << 20)
    assert find.find_model(REPOSITORY, 2).read_bytes() == content
    assert server.requests[-1].endswith(f"bytes={10 << 20}-")


# What goes wrong


def cached_files() -> list[Path]:
    """All content in the cache, whole or not."""
    return list(hub.cache_folder().glob("models--*/blobs/*"))


@pytest.fixture
def linkless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot make links, as on most computers with Windows."""
    monkeypatch.setattr(
        "huggingface_hub.file_download.are_symlinks_supported", lambda cache_dir=None: False
    )


@pytest.mark.parametrize("cache", ["links", "no links"])
def test_wrong_bytes_are_found_and_removed(
    cache: str, published: Hub, request: pytest.FixtureRequest
) -> None:
    if cache == "no links":
        request.getfixturevalue("linkless")
    published.misbehave("wrong", "storage", times=1)
    with pytest.raises(HubError, match="SHA-256"):
        find.find_model(REPOSITORY, 2)
    assert cached_files() == []
    assert find.find_model(REPOSITORY, 2).is_file()


def test_cached_file_is_checked_again(published: Hub) -> None:
    path = find.find_model(REPOSITORY, 2)
    if not path.is_symlink():
        pytest.skip("the cache has no links here, and with them no checksums")
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    with pytest.raises(HubError, match="run the same command"):
        find.find_model(REPOSITORY, 2)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"no model", b"{}" * 99], ids=len)
def test_file_that_is_no_model_is_removed(server: Hub, content: bytes) -> None:
    server.add(REPOSITORY, {"some-x2.safetensors": content})
    with pytest.raises(HubError, match="is not a model that bnnup can use"):
        find.find_model(REPOSITORY, 2)
    assert cached_files() == []


def test_what_two_revisions_share_stays_for_the_other(
    server: Hub, model_files: Path, run: Run
) -> None:
    content = {
        f"some-x{scale}.safetensors": (model_files / f"tiny-x{scale}.safetensors").read_bytes()
        for scale in (2, 4)
    }
    old = server.add(REPOSITORY, content)
    new = server.add(REPOSITORY, content | {"README.md": b"new"})
    for revision in old, new:
        for file in content:
            hub.fetch(hub.Place(REPOSITORY, file, revision), None)
    done = run("models", "remove", f"{REPOSITORY}/some-x2.safetensors@{old}")
    assert done.code == 0, done.err
    left = {(cached.place.file, cached.commit) for cached in hub.list_cached()}
    assert left == {(file, commit) for file in content for commit in (old, new)} - {
        ("some-x2.safetensors", old)
    }


def test_enormous_file_is_not_fetched(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MAX_FILE", 1000)
    with pytest.raises(HubError, match="too large"):
        find.find_model(REPOSITORY, 2)
    assert not any("resolve" in request for request in published.requests)


def test_folder_of_pictures_asks_once(run: Run, folder: Path, published: Hub) -> None:
    (folder / "in").mkdir()
    (folder / "photo.jpg").rename(folder / "in" / "photo.jpg")
    command = ("upscale", folder / "in", "-o", folder / "out", "-m", REPOSITORY)
    assert "1 done" in run(*command).err
    assert len(published.requests) == 3
    assert "1 skipped" in run(*command).err
    assert len(published.requests) == 3


@pytest.mark.filterwarnings("ignore:.* uses symlinks by default")
def test_cached_file_of_another_library_stays(server: Hub) -> None:
    from huggingface_hub import HfApi

    server.add(REPOSITORY, {"model.safetensors": b"another library's"})
    path = Path(HfApi().hf_hub_download(REPOSITORY, "model.safetensors"))
    for name in REPOSITORY, f"{REPOSITORY}/model.safetensors":
        with pytest.raises(BnnupError, match=r"too large for a model|is not a model"):
            bnnup.load(name, scale=2)
        assert path.read_bytes() == b"another library's"


def test_offline(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    find.find_model(REPOSITORY, 2)
    published.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find.find_model(REPOSITORY, 2).is_file()
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        find.find_model(REPOSITORY, 3)
    assert published.requests == []


def test_several_models_in_a_repository(published: Hub, tiny: Path) -> None:
    files = {"a-x2.safetensors": tiny.read_bytes(), "b-x2.safetensors": tiny.read_bytes()}
    published.add(REPOSITORY, files)
    with pytest.raises(ModelNotFoundError, match=r"name one of a-x2.safetensors, b-x2"):
        find.find_model(REPOSITORY, 2)
    assert find.find_model(f"{REPOSITORY}/b-x2.safetensors", 2).is_file()
    with pytest.raises(ModelNotFoundError, match=r"no model for ×3; it has a-x2.safetensors, b"):
        find.find_model(REPOSITORY, 3)


def test_wrong_scale(run: Run, folder: Path, published: Hub) -> None:
    model = f"{REPOSITORY}/tiny-x2.safetensors"
    done = run("upscale", folder / "photo.jpg", "-s", 3, "-m", model)
    assert done.code == 1
    assert "enlarges ×2, not ×3" in done.err


FAULTS: dict[str, tuple[int | str, str, str]] = {
    "forbidden": (403, "", "does not allow"),
    "too-many": (429, "", "too many requests"),
    "fault-of-the-hub": (500, "", "internal error"),
    "fault-later": (503, "resolve", "internal error"),
    "storage-fault": (500, "storage", "internal error"),
    "cut-for-ever": ("cut", "storage", "cannot reach|incomplete"),
}


@pytest.mark.parametrize(("kind", "where", "reason"), FAULTS.values(), ids=FAULTS)
def test_fault_is_one_line(
    run: Run, folder: Path, published: Hub, kind: int | str, where: str, reason: str
) -> None:
    published.misbehave(kind, where)
    with pytest.raises(HubError, match=reason):
        find.find_model(REPOSITORY, 2)
    done = run("upscale", folder / "photo.jpg", "-m", REPOSITORY)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1, done.err
    assert cached_files() == []


def test_slow_hub(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.1)
    published.misbehave("slow")
    with pytest.raises(HubError, match=r"in time .*HF_HUB_DOWNLOAD_TIMEOUT"):
        find.find_model(REPOSITORY, 2)


def test_no_hub(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"cannot reach http://127.0.0.1:9"):
        find.find_model(REPOSITORY, 2)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_are_none(tmp_path: Path, content: str | None) -> None:
    """In a process of its own: the client reads them once."""
    file = tmp_path / "certificates.pem"
    if content is not None:
        file.write_text(content)
    environment = {**os.environ, "SSL_CERT_FILE": str(file), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "bnnup", "models", "download", "owner/repo/model.safetensors"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert f"SSL_CERT_FILE names no file of certificates, {file}" in " ".join(done.stderr.split())
    assert done.stderr.count("error") == 1, done.stderr


def test_disk_full(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(HubError, match=r"no space left .*HF_HOME"):
        find.find_model(REPOSITORY, 2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/body", "no repository no/body"),
        (f"{REPOSITORY}@v9", "no revision v9"),
        (f"{REPOSITORY}/none.safetensors", "no file none.safetensors"),
        ("rcan/", "not a model on the Hub"),
    ],
)
def test_not_there(published: Hub, name: str, reason: str) -> None:
    with pytest.raises(BnnupError, match=reason):
        find.find_model(name, 2)


def test_gated_repository(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    published.repositories[REPOSITORY].gated = True
    with pytest.raises(HubError, match="is gated: ask for access"):
        find.find_model(REPOSITORY, 2)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert find.find_model(REPOSITORY, 2).is_file()
