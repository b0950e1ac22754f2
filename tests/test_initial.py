"""What a run begins with: its network, its size, and what that already computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training import TINY, trained, write_pictures
from typer.testing import CliRunner

from bnnup.backends.torch import TorchBackend
from bnnup.cli import app
from bnnup.errors import TrainingError
from bnnup.model.file import load_model, save_model
from bnnup.model.find import find_model
from bnnup.nn import Hybrid
from bnnup.train.initial import describe_initial, start_from
from bnnup.train.latent import read_latent, save_latent
from bnnup.train.loop import MODEL, Trainer
from bnnup.train.settings import complete, size_of


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_x3_starts_from_the_x2_body(pictures: Path, tmp_path: Path) -> None:
    body = trained(TINY, pictures, tmp_path / "x2").network.state_dict()
    settings = replace(TINY, scale=3)
    network = Trainer(settings, [pictures], tmp_path / "x3", initial=tmp_path / "x2").network
    for name, tensor in network.state_dict().items():
        if not name.startswith("tail"):
            assert torch.equal(tensor, body[name]), name
    assert network.tail.convolution.weight.shape[0] == 9


@pytest.mark.parametrize("architecture", ["edsr", "hybrid"])
def test_starting_from_a_model_file_computes_the_same(
    architecture: str, pictures: Path, tmp_path: Path
) -> None:
    """From signs alone: up to the rounding of what batch norm folds away."""
    settings = replace(TINY, architecture=architecture)
    trained(settings, pictures, tmp_path / "first")
    model = load_model(tmp_path / "first" / MODEL)
    start = tmp_path / "first" / MODEL
    trainer = Trainer(settings, [pictures], tmp_path / "second", initial=start)
    network = trainer.network.eval()
    luma = np.random.default_rng(0).random((20, 24), np.float32)
    ours = network(torch.from_numpy(luma)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(ours, TorchBackend(model).run(luma), atol=1e-4)
    with pytest.raises(TrainingError, match="another architecture, size or scale"):
        Trainer(replace(settings, channels=16), [pictures], tmp_path / "third", initial=start)


def test_a_deeper_network_begins_as_the_shallower_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shallow, deep = Hybrid(2, blocks=3, channels=8), Hybrid(2, blocks=5, channels=8)
    for parameter in shallow.parameters():
        nn.init.normal_(parameter, std=0.3)
    kept = tmp_path / "latent.safetensors"
    save_latent(shallow, kept)
    shallow.load_state_dict(read_latent(kept), strict=False)  # in half precision
    start_from(deep, kept, lambda: torch.empty(0))
    luma = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    with torch.no_grad():
        expected = shallow.double().eval()(luma)
        result = deep.double().eval()(luma)
        base = shallow.bicubic(luma)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)
    assert (expected - base).abs().max() > 0.1, "the network adds something to bicubic"


def test_latent_weights_keep_every_sign(pictures: Path, tmp_path: Path) -> None:
    trainer = trained(TINY, pictures, tmp_path)
    weight = trainer.network.body[0].weight
    with torch.no_grad():
        weight[0, 0, 0] = -1e-12  # less than float16 can hold
    save_latent(trainer.network, tmp_path / "latent.safetensors")
    read = read_latent(tmp_path / "latent.safetensors")
    for name, tensor in trainer.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(read[name], tensor, rtol=1e-3, atol=1e-4)
    assert torch.equal(read["body.0.weight"] >= 0, weight >= 0)


def test_the_architecture_gives_the_size() -> None:
    assert size_of("rcan") == {"blocks": 5, "channels": 64}  # the paper's
    assert size_of("rcan-hybrid") == {"blocks": 3, "channels": 16}
    assert size_of("rcan", channels=32) == {"blocks": 5, "channels": 32}


def test_what_is_left_open_is_as_in_what_the_run_starts_from() -> None:
    hybrid = {"architecture": "hybrid", "blocks": 3, "channels": 24, "trained_for": "real"}
    assert complete(hybrid) == hybrid
    assert complete(hybrid, blocks=5, trained_for="film") == {
        **hybrid,
        "blocks": 5,
        "trained_for": "film",
    }
    size = {"blocks": 16, "channels": 64}
    assert complete({}) == {"architecture": "edsr", **size}
    other = {"architecture": "edsr", **size, "trained_for": "real"}
    assert complete(hybrid, architecture="edsr") == other


def test_fine_tuning_takes_the_size_of_a_known_network(pictures: Path, tmp_path: Path) -> None:
    command = ["train", str(pictures), "-o", str(tmp_path / "run"), "--from", "hybrid"]
    command += ["-s", "3", "--steps", "1", "--batch", "1", "--patch", "8"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    tuned, bundled = load_model(tmp_path / "run" / MODEL), load_model(find_model("hybrid", 3))
    assert tuned.program == bundled.program
    settings = tuned.about["training"]
    assert (settings["real_weights"], settings["learning_rate"]) == (0, 6e-4)
    luma = np.random.default_rng(0).random((20, 24), np.float32)
    ours, theirs = (TorchBackend(model).run(luma) for model in (tuned, bundled))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_a_run_is_described_by_its_settings(pictures: Path, tmp_path: Path) -> None:
    trained(replace(TINY, architecture="hybrid"), pictures, tmp_path)
    expected = {"architecture": "hybrid", "blocks": 1, "channels": 8, "trained_for": "clean"}
    for name in ("", "checkpoint.pt", MODEL):
        assert describe_initial(str(tmp_path / name), 2) == expected
    assert describe_initial(str(tmp_path / "latent.safetensors"), 2) == {}


@pytest.mark.parametrize(
    "training",
    [
        {"architecture": 7, "blocks": 10**9, "channels": True},
        {"blocks": "16", "steps": 3},
        "x",
        None,
    ],
)
def test_a_file_may_claim_anything(training: object, tmp_path: Path) -> None:
    model = load_model(find_model("hybrid", 2))
    path = tmp_path / "model.safetensors"
    save_model(replace(model, about={"training": training}), path)
    assert describe_initial(str(path), 2) == {}


def test_other_checkpoints_are_refused(pictures: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "theirs.pt")
    command = ["train", str(pictures), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, "--from", str(tmp_path / "theirs.pt")])
    assert isinstance(result.exception, TrainingError)
    assert "theirs.pt is not a checkpoint of bnnup train" in str(result.exception)


def test_latent_weights_of_another_size_are_refused(pictures: Path, tmp_path: Path) -> None:
    save_latent(Hybrid(2, blocks=2, channels=8), tmp_path / "latent.safetensors")
    wide = replace(TINY, channels=16)
    for settings in (wide, replace(wide, architecture="hybrid")):
        with pytest.raises(TrainingError, match=r"is of another network.*choose its archi"):
            Trainer(settings, [pictures], tmp_path / "run", initial=tmp_path / "latent.safetensors")
        assert not (tmp_path / "run").exists()
