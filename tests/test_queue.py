"""The queue: trains what is unfinished, and bundles what it has trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training import TINY, trained, write_pictures

from bnnup.model.file import load_model
from bnnup.model.zoo import Network
from bnnup.train.initial import CHECKPOINT
from bnnup.train.loop import LATENT
from bnnup.train.queue import bundle, run_queue


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_the_queue_trains_bundles_and_goes_on_where_it_was_stopped(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    network = Network("tiny", "edsr", 1, 8, 1e-3, "for this test")
    runs, weights = tmp_path / "runs", tmp_path / "weights"

    def run() -> list[str]:
        lines.clear()
        base = replace(TINY, steps=6)
        options: dict[str, Any] = {
            "validate_every": 2,
            "networks": (network,),
            "report": lines.append,
        }
        run_queue([pictures], runs, weights, base=base, **options)
        return lines

    assert sum("bundled" in line for line in run()) == 3
    for scale in (2, 3, 4):
        model = load_model(weights / f"tiny-x{scale}.safetensors")
        assert model.program.scale == scale
        assert model.about["licence"] == "MIT"
    with monkeypatch.context() as patched:
        patched.delattr("bnnup.train.queue.Trainer")  # which reads all pictures
        assert not any("bundled" in line for line in run()), "nothing is better than itself"
    (runs / "tiny-x3-6" / CHECKPOINT).unlink()
    (weights / "tiny-x3.safetensors").unlink()
    assert [line for line in run() if "bundled" in line] == ["tiny-x3: bundled"]


@pytest.mark.parametrize("killed_in", ["save_model", "shutil.copyfile"])
def test_a_killed_bundle_is_made_whole_by_the_next_try(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    run, target = tmp_path / "run", tmp_path / "weights" / "tiny-x2.safetensors"
    latent = target.parent / "latent" / target.name
    trained(TINY, pictures, run)

    def die(_: Any, path: Path) -> None:
        if killed_in == "shutil.copyfile":
            path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(f"bnnup.train.queue.{killed_in}", die)
        bundle(run, target, None)
    assert not target.exists()
    assert latent.exists() == (killed_in == "save_model"), "whole or not at all"
    assert bundle(run, target, None)
    assert latent.read_bytes() == (run / LATENT).read_bytes()
    assert load_model(target).about["licence"] == "MIT"
    assert not bundle(run, target, None)
