"""Publishing: to a folder, to the Hub, and back through another cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import Run
from hub_server import REPOSITORY, TOKEN, Hub
from numpy.typing import NDArray
from PIL import Image

import bnnup
from bnnup.model.file import Model, load_model, save_model
from bnnup.publish.publish import push_to_hub

pytest.importorskip("bnnup.model.hub")
SCORES = {"psnr": 37.17, "ssim": 0.9567, "bicubic_psnr": 33.66, "bicubic_ssim": 0.9298}
ABOUT = {
    "architecture": "tiny",
    "licence": "MIT",
    "training": {"steps": 8000},
    "scores": {"Set5": SCORES, "Set14": {**SCORES, "psnr": 32.78}},
}


@pytest.fixture
def trained(models: dict[int, Model], tmp_path: Path) -> dict[int, Path]:
    """Files by scale, as training leaves them: each is called model.safetensors."""
    paths = {scale: tmp_path / f"run-{scale}" / "model.safetensors" for scale in models}
    for scale, path in paths.items():
        path.parent.mkdir()
        save_model(replace(models[scale], about=ABOUT), path)
    return paths


def read_card(text: str) -> tuple[dict[str, Any], str]:
    _, metadata, body = text.split("---\n", 2)
    return yaml.safe_load(metadata), body


def test_dry_run_writes_a_folder(
    run: Run, folder: Path, trained: dict[int, Path], server: Hub
) -> None:
    target = folder / "card"
    done = run(
        *("publish", *trained.values(), "--repo", REPOSITORY),
        *("--example", folder / "photo.jpg", "--dry-run", target),
    )
    assert (done.code, done.out, done.err) == (0, f"{target}\n", "")
    files = [f"tiny-x{scale}.safetensors" for scale in (2, 3, 4)]
    assert sorted(p.name for p in target.iterdir()) == ["README.md", "example.png", *files]
    assert (target / files[0]).read_bytes() == trained[2].read_bytes()
    with Image.open(target / "example.png") as image:
        assert image.size == (2 * 4 * 12, 4 * 9)
    assert server.requests == []
    metadata, body = read_card((target / "README.md").read_text(encoding="utf-8"))
    assert metadata["license"] == "mit"
    assert metadata["library_name"] == "bnnup"
    assert metadata["pipeline_tag"] == "image-to-image"
    assert "super-resolution" in metadata["tags"]
    for part in "example.png", f"-m {REPOSITORY}\n", "**37.17** / 0.9567 (33.66", "steps 8000":
        assert part in body


def test_metrics_are_a_model_index(run: Run, folder: Path, trained: dict[int, Path]) -> None:
    """As the Hub's own client reads it: a result for each file, set and metric."""
    from huggingface_hub import ModelCard

    run("publish", *trained.values(), "--repo", REPOSITORY, "--dry-run", folder / "card")
    results = ModelCard.load(folder / "card" / "README.md").data.eval_results
    told = {(r.dataset_config, r.dataset_name, r.metric_type, r.metric_value) for r in results}
    assert len(results) == len(told) == 3 * 2 * 2
    assert ("tiny-x3", "Set5 ×3", "psnr", 37.17) in told


def test_published_model_comes_back_through_another_cache(
    run: Run,
    folder: Path,
    trained: dict[int, Path],
    server: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = run("publish", trained[2], "--repo", REPOSITORY)
    assert done.code == 0, done.err
    assert (done.out, done.err) == (f"{constants.ENDPOINT}/{REPOSITORY}\n", "")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another"))
    pictures: list[NDArray[Any]] = []
    for model in trained[2], REPOSITORY:
        target = folder / f"{len(pictures)}.png"
        done = run("upscale", folder / "photo.jpg", "-m", model, "-o", target)
        assert done.code == 0, done.err
        with Image.open(target) as image:
            pictures.append(np.asarray(image))
    one, other = pictures
    np.testing.assert_array_equal(one, other)


def test_update_keeps_what_is_there(
    run: Run, trained: dict[int, Path], server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server.add(REPOSITORY, {"other.safetensors": b"another library's"})
    for scale in 2, 4:
        done = run("publish", trained[scale], "--repo", REPOSITORY)
        assert done.code == 0, done.err
    files = list(server.repositories[REPOSITORY].commits.values())[-1]
    assert files["other.safetensors"] == b"another library's"
    assert files["tiny-x2.safetensors"] == trained[2].read_bytes()
    _, body = read_card(files["README.md"].decode())
    assert "| `tiny-x2.safetensors` | ×2 |" in body
    assert "| `tiny-x4.safetensors` | ×4 |" in body


def test_a_failing_connection_does_not_cost_the_card_its_models(
    run: Run, trained: dict[int, Path], server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run("publish", trained[2], "--repo", REPOSITORY).code == 0
    card = list(server.repositories[REPOSITORY].commits.values())[-1]["README.md"]
    server.misbehave(403, "tiny-x2.safetensors")
    done = run("publish", trained[4], "--repo", REPOSITORY)
    assert done.code == 1
    assert list(server.repositories[REPOSITORY].commits.values())[-1]["README.md"] == card


def test_private(
    run: Run, trained: dict[int, Path], server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run("publish", trained[2], "--repo", REPOSITORY, "--private").code == 0
    assert server.repositories[REPOSITORY].private


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # between client and httpx
def test_from_python(
    trained: dict[int, Path], server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    upscaler = bnnup.load(str(trained[3]), scale=3)
    assert push_to_hub(upscaler, REPOSITORY).endswith(f"/{REPOSITORY}")
    again = bnnup.Upscaler.from_pretrained(REPOSITORY, scale=3, threads=1)
    assert again.model.about == bnnup.load(REPOSITORY, scale=3).model.about == ABOUT
    plane = np.random.default_rng(0).random((9, 12), np.float32)
    np.testing.assert_array_equal(again(plane), upscaler(plane))


def test_card_of_a_file_that_says_nothing(run: Run, folder: Path, models: dict[int, Model]) -> None:
    path = folder / "x.safetensors"
    save_model(replace(models[2], about={}), path)
    run("publish", path, "--repo", REPOSITORY, "--dry-run", folder / "card")
    assert load_model(folder / "card" / "model-x2.safetensors").about == {}
    metadata, body = read_card((folder / "card" / "README.md").read_text(encoding="utf-8"))
    assert metadata["license"] == "unknown"
    assert "model-index" not in metadata
    assert "nothing is known" in body


@pytest.mark.parametrize(
    ("token", "fault", "arguments", "reason"),
    [
        ("", None, ["FILE"], "hf auth login"),
        ("hf_wrong", None, ["FILE"], "asks for a valid token"),
        (TOKEN, 403, ["FILE"], "does not allow"),
        (TOKEN, 500, ["FILE"], "internal error"),
        (TOKEN, None, ["FILE", "FILE"], "would both be called tiny-x2.safetensors"),
        (TOKEN, None, ["BROKEN"], "broken.safetensors"),
        (TOKEN, None, ["FILE", "--example", "BROKEN"], "broken.safetensors"),
    ],
    ids=str,
)
def test_mistake_is_one_line(
    run: Run,
    folder: Path,
    trained: dict[int, Path],
    server: Hub,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    fault: int | None,
    arguments: list[str],
    reason: str,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    if fault:
        server.misbehave(fault, "api/repos|preupload")
    broken = folder / "broken.safetensors"
    broken.write_bytes(b"no model")
    paths = {"FILE": trained[2], "BROKEN": broken}
    done = run("publish", *(paths.get(a, a) for a in arguments), "--repo", REPOSITORY)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1, done.err
    assert reason in done.err
    assert server.repositories == {}


@pytest.mark.parametrize("name", ["sharp", "a/b/c.safetensors", "a/b@v1", "a/b c"])
def test_repository_must_be_one(run: Run, trained: dict[int, Path], name: str) -> None:
    done = run("publish", trained[2], "--repo", name)
    assert done.code == 1
    assert "owner/" in done.err
