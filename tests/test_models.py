"""``bnnup models``: what it lists, fetches, describes and removes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Run
from hub_server import REPOSITORY, Hub

from bnnup.cli.models import _to_text
from bnnup.model import find, zoo
from bnnup.model.file import Model, load_model, save_model, serialize
from bnnup.model.listing import describe

pytest.importorskip("bnnup.model.hub")
SCORES = {"Set5": {"psnr": 37.17, "ssim": 0.9567, "bicubic_psnr": 33.66}}


@pytest.fixture
def scored(models: dict[int, Model]) -> Model:
    return replace(models[2], about={"architecture": "tiny", "licence": "MIT", "scores": SCORES})


@pytest.fixture
def package(folder: Path, scored: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only edsr-x2 is bundled."""
    save_model(scored, folder / "edsr-x2.safetensors")
    monkeypatch.setattr(zoo, "bundled_folder", lambda: folder)


@pytest.mark.usefixtures("package")
def test_list(run: Run, published: Hub, scored: Model) -> None:
    published.add(REPOSITORY, {"tiny-x2.safetensors": serialize(scored)})
    run("models", "download", REPOSITORY)
    done = run("models")
    assert (done.code, done.err) == (0, "")
    assert done == run("models", "list")
    lines = {
        line.split()[0]: " ".join(line.split()) for line in done.out.splitlines() if line.split()
    }
    assert lines["edsr-x2"].startswith("edsr-x2 ×2 bundled")
    assert "37.17 +3.51 MIT tiny" in lines[f"{REPOSITORY}/tiny-x2.safetensors"]
    assert lines["rcan"].startswith("rcan ×2 ×3 ×4 known RCAN")


def test_list_as_json(run: Run, published: Hub) -> None:
    run("models", "download", REPOSITORY, "-s", 3)
    rows = json.loads(run("models", "--json").out)
    assert rows == json.loads(run("models", "list", "--json").out)
    (cached,) = (row for row in rows if row["where"] == "cached")
    assert cached["name"] == f"{REPOSITORY}/tiny-x3.safetensors"
    assert (cached["scale"], cached["repository"]) == (3, REPOSITORY)
    assert Path(cached["path"]).stat().st_size == cached["bytes"]
    assert {row["name"] for row in rows} >= {"edsr-x2", "edsr-x3", "rcan-x4"}


def test_list_passes_over_files_of_others(run: Run, published: Hub) -> None:
    from safetensors.numpy import save

    from bnnup.model import hub

    foreign = hub.cache_folder() / "models--a--b" / "snapshots" / "0" / "model.safetensors"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(save({}))
    assert "a/b" not in run("models").out


def test_download_fetches_every_scale_and_what_is_newer(
    run: Run, published: Hub, scored: Model
) -> None:
    first = run("models", "download", REPOSITORY).out.split()
    assert [Path(path).name for path in first] == [f"tiny-x{s}.safetensors" for s in (2, 3, 4)]
    published.add(REPOSITORY, {"tiny-x2.safetensors": serialize(scored)})
    assert run("models", "path", REPOSITORY).out.split() == first
    (newer,) = json.loads(run("models", "download", REPOSITORY, "--json").out)
    assert load_model(Path(newer)).about == scored.about
    assert run("models", "path", REPOSITORY).out == f"{newer}\n"


def test_path(run: Run, tiny: Path, published: Hub) -> None:
    assert run("models", "path", tiny).out == f"{tiny}\n"
    assert run("models", "path", "edsr", "-s", 2).out == f"{find.find_model('edsr', 2)}\n"
    assert published.requests == []
    file = f"{REPOSITORY}/tiny-x4.safetensors"
    path = run("models", "path", file).out
    published.requests.clear()
    assert run("models", "path", file).out == path
    assert published.requests == []


def test_info(run: Run, folder: Path, scored: Model) -> None:
    path = folder / "scored.safetensors"
    save_model(scored, path)
    (facts,) = json.loads(run("models", "info", path, "--size", "12x9", "--json").out)
    assert facts["binary_macs"] == 2 * 576 * 12 * 9
    assert facts["ops"] == (1152 // 64 + 360) * 12 * 9
    assert facts["fp32_bytes"] == 4 * facts["parameters"]
    assert facts["bytes"] == path.stat().st_size
    assert facts["operations"]["binary_convolution"] == 2
    assert facts["about"] == scored.about
    text = run("models", "info", path, "--size", "12x9").out
    for part in "×2", "12×9", "2 binary convolution", "MIT", "psnr 37.17":
        assert part in text


def test_info_does_not_pass_on_control_characters(folder: Path, scored: Model) -> None:
    """They could rewrite the screen of whoever looks at a stranger's file."""
    path = folder / "evil.safetensors"
    evil = "\x1b[2J"
    save_model(
        replace(scored, about={"licence": evil, evil: 1, "scores": {evil: {evil: evil}}}), path
    )
    assert "\x1b" not in _to_text(describe(path, 12, 9))


def test_remove(run: Run, published: Hub) -> None:
    from bnnup.model import hub

    run("models", "download", REPOSITORY)
    assert run("models", "remove", REPOSITORY, "-s", 2).code == 0
    names = [Path(path).name for path in run("models", "path", REPOSITORY).out.split()]
    assert names == ["tiny-x3.safetensors", "tiny-x4.safetensors"]
    assert run("models", "remove", f"{REPOSITORY}/tiny-x3.safetensors").code == 0
    assert len(json.loads(run("models", "remove", REPOSITORY, "--json").out)) == 1
    assert list(hub.cache_folder().glob("models--*")) == []


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["remove", "edsr"], "part of the package"),
        (["remove", REPOSITORY], "not in the cache"),
        (["remove", "rcan"], "not in the cache"),
        (["path", "esrgan"], "known: hybrid-large"),
        (["path", "rcan"], "--hub-repo"),
        (["path", "edsr-x2", "-s", "3"], "enlarges ×2"),
        (["info", "none.safetensors"], "no such model file"),
        (["download", "no/body"], "no repository no/body"),
        (["download", "empty/one"], "has no models"),
    ],
    ids=str,
)
def test_mistake_is_one_line(run: Run, published: Hub, arguments: list[str], reason: str) -> None:
    published.add("empty/one", {"README.md": b""})
    done = run("models", *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert reason in done.err


def test_bundled_model_needs_no_client() -> None:
    script = (
        "import sys\nfrom bnnup import cli\n"
        "sys.argv = ['bnnup', 'models', 'info', 'edsr-x2']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    print('huggingface_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("\nFalse\n"), done.stderr
