"""Training on a handful of tiny pictures: data, schedule, resuming, starting from a body."""

import contextlib
import csv
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from skimage import metrics as oracle
from training import TINY, trained, write_pictures
from typer.testing import CliRunner

from bnnup.backends.torch import TorchBackend
from bnnup.cli import app
from bnnup.errors import TrainingError
from bnnup.measure import metrics
from bnnup.model.file import load_model
from bnnup.train.data import WHITE, read_pair
from bnnup.train.degrade import CASES
from bnnup.train.initial import CHECKPOINT, read_checkpoint
from bnnup.train.loop import LOG, MODEL, Trainer
from bnnup.train.pictures import hold_out, list_pictures
from bnnup.train.settings import LOSSES, OPTIMIZERS, VARIANTS, TrainingSettings
from bnnup.train.step import Objective, choose_precision
from bnnup.train.validation import Enlarge


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_schedule_warms_up_and_falls_to_zero() -> None:
    settings = TrainingSettings(steps=1000, learning_rate=0.1, warm_up=0.1)
    rates = [settings.rate(settings.progress(step, 0)) for step in (0, 50, 100, 550, 1000)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-12)


def test_schedule_by_minutes_ignores_steps() -> None:
    settings = TrainingSettings(steps=1, minutes=2)
    assert settings.progress(500, 60) == 0.5


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_what_they_are_called(loss: str) -> None:
    low, high = np.random.default_rng(0).random((2, 3, 1, 4, 5))
    peaks = [
        oracle.peak_signal_noise_ratio(high[i], low[i], data_range=1)  # type: ignore[no-untyped-call]
        for i in range(len(low))
    ]
    expected = {
        "l1": np.abs(low - high).mean(),
        "mse": np.square(low - high).mean(),
        "psnr": -np.mean(peaks),
    }
    objective = Objective(torch.nn.Identity(), loss)
    measured = float(objective(torch.tensor(low), torch.tensor(high)))
    assert measured == pytest.approx(expected[loss], rel=1e-4)


def test_flat_patches_do_not_outweigh_the_others() -> None:
    """The gradient of a PSNR itself grows without bound as the error vanishes."""
    errors = torch.tensor([1e-6, 0.03]).view(2, 1, 1, 1).expand(2, 1, 8, 8).contiguous()
    image = errors.requires_grad_()
    Objective(torch.nn.Identity(), "psnr")(image, torch.zeros_like(image)).backward()
    assert image.grad is not None
    flat, other = image.grad[:, 0, 0, 0].tolist()
    assert 0 < flat < other


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_run_continues_exactly(pictures: Path, tmp_path: Path, optimizer: str) -> None:
    """Stopped after every single step, across the change to binary weights."""
    settings = replace(TINY, optimizer=optimizer)
    whole = trained(settings, pictures, tmp_path / "whole")
    for _ in range(TINY.steps):
        stopped = trained(settings, pictures, tmp_path / "stopped", stop_after=0)
    assert stopped.step == whole.step == TINY.steps
    ours, theirs = whole.network.state_dict(), stopped.network.state_dict()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    a, b = (read_checkpoint(tmp_path / run / CHECKPOINT) for run in ("whole", "stopped"))
    assert a["best"] == b["best"]


def test_an_interrupted_run_saves_and_goes_on(pictures: Path, tmp_path: Path) -> None:
    """A terminated process leaves a checkpoint from which the same command continues."""
    code = f"""
import os, signal
from pathlib import Path
from bnnup.train.degrade import CASES
from bnnup.train.latent import read_latent, save_latent
from bnnup.train.loop import Trainer
from bnnup.train.settings import VARIANTS, TrainingSettings, size_of
trainer = Trainer({TINY!r}, [Path({str(pictures)!r})], Path({str(tmp_path)!r}))
advance = trainer._advance
def terminated_in_step_3():
    if trainer.step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return advance()
trainer._advance = terminated_in_step_3
trainer.train(validate_every=100)
"""
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert "KeyboardInterrupt" in result.stderr
    assert Trainer(TINY, [pictures], tmp_path).step == 3


def test_a_run_leaves_a_log_and_a_model_that_scores_as_validated(
    pictures: Path, tmp_path: Path
) -> None:
    trainer = trained(TINY, pictures, tmp_path)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    assert [row["weights"] for row in rows] == ["binary"] * 3
    model = load_model(tmp_path / MODEL)
    ((high, low),) = trainer.validation["clean"]
    result = TorchBackend(model).run((low / np.float32(WHITE)).astype(np.float32)).clip(0, 1)
    luma = [np.rint(16 + 219 * plane)[2:-2, 2:-2] for plane in (result, high / WHITE)]
    best = max(float(row["psnr"]) for row in rows)
    assert metrics.psnr(*luma) == pytest.approx(best, abs=0.01)


def test_a_run_that_diverges_goes_back_and_on_at_half_the_rate(
    pictures: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    trainer = Trainer(TINY, [pictures], tmp_path, report=said.append)
    advance = trainer._advance
    spoilt: list[bool] = []

    def spoil_once() -> torch.Tensor:
        if trainer.step == 5 and not spoilt:
            spoilt.append(True)
            with torch.no_grad():
                trainer.network.tail.convolution.bias += 1000
        return advance()

    trainer._advance = spoil_once  # type: ignore[method-assign]
    trainer.train(validate_every=4)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["4", "8", "8", "12"]
    first, second = (float(row["rate"]) for row in rows[1:3])
    assert second == pytest.approx(first / 2, rel=1e-3)
    assert "diverged; back to step 4, at half the rate" in said
    assert float(rows[-1]["psnr"]) > float(rows[1]["psnr"]) + 10
    resumed = Trainer(TINY, [pictures], tmp_path)
    assert (resumed.step, resumed.returns) == (12, 1)


def test_a_run_that_diverges_at_every_rate_names_the_remedy(pictures: Path, tmp_path: Path) -> None:
    trained(TINY, pictures, tmp_path / "good")
    settings = replace(TINY, learning_rate=1e9)
    run = tmp_path / "run"
    trainer = Trainer(settings, [pictures], run, initial=tmp_path / "good")
    with pytest.raises(
        TrainingError, match=r"keeps the last good checkpoint.*a lower learning rate"
    ):
        trainer.train(validate_every=4)
    assert read_checkpoint(run / CHECKPOINT)["step"] == 0
    assert not (run / MODEL).exists()


def test_a_run_folder_is_not_reused_with_other_settings(pictures: Path, tmp_path: Path) -> None:
    trained(TINY, pictures, tmp_path, stop_after=0)
    with pytest.raises(TrainingError, match=r"learning_rate = 0\.0015, not 0\.5"):
        Trainer(replace(TINY, learning_rate=0.5), [pictures], tmp_path)


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "no")])
def test_steps_are_computed_in_bf16_only_where_that_is_no_emulation(
    native: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    assert choose_precision("auto") == chosen
    assert choose_precision("bf16") == "bf16"


def test_unusable_inputs_are_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        list_pictures(tmp_path, scale=2)
    with pytest.raises(TrainingError, match="two at least"):
        hold_out([pictures / "0.png"], 1)
    with pytest.raises(TrainingError, match="known: edsr"):
        Trainer(replace(TINY, architecture="vgg"), [pictures], tmp_path / "run")
    with pytest.raises(TrainingError, match="auto, bf16 or no"):
        TrainingSettings(precision="fp8")
    with pytest.raises(TrainingError, match="adam or soap"):
        TrainingSettings(optimizer="sgd")
    with pytest.raises(TrainingError, match="l1, mse or psnr"):
        TrainingSettings(loss="l2")
    with pytest.raises(TrainingError, match="held_out must be above 0"):
        TrainingSettings(held_out=0)
    for name, value in (("seed", -1), ("seed", 2**64), ("learning_rate", nan), ("minutes", nan)):
        with pytest.raises(TrainingError, match=rf"^{name} .* not {value}$"):
            TrainingSettings(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="warm_up"):
        TrainingSettings(warm_up=1.0)
    (tmp_path / CHECKPOINT).write_bytes(b"junk")
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        Trainer(TINY, [pictures], tmp_path)
    (tmp_path / "broken.png").write_bytes(b"junk")
    with pytest.raises(TrainingError, match="cannot read"):
        read_pair(tmp_path / "broken.png", 2)


def test_the_command_trains_and_the_same_command_resumes(pictures: Path, tmp_path: Path) -> None:
    options = "--blocks 1 --channels 8 --steps 6 --batch 2 --patch 8 --held-out 1"
    command = ["train", str(pictures), "-o", str(tmp_path / "run"), *options.split()]
    stopped = CliRunner().invoke(app, [*command, "--stop-after", "0"])
    assert stopped.exit_code == 0
    resumed = CliRunner().invoke(app, command)
    assert resumed.exit_code == 0
    assert "resumed at step 1" in resumed.output
    assert "finished after 6 steps" in resumed.output
    assert load_model(tmp_path / "run" / MODEL).program.scale == 2


@pytest.mark.parametrize("kind", ["real", "film"])
def test_a_run_for_damaged_pictures(pictures: Path, tmp_path: Path, kind: str) -> None:
    """Damaged variants are made once, and every kind of damage is validated."""
    settings = replace(TINY, trained_for=kind)
    run = tmp_path / "runs" / kind
    trainer = trained(settings, pictures, run)
    (kept,) = (tmp_path / "runs" / "pools").iterdir()
    made = kept.stat().st_mtime_ns
    assert trainer.pool.low.shape[0] == VARIANTS[kind]
    with (run / LOG).open() as file:
        (*_, row) = csv.DictReader(file)
    scores = [float(row[case]) for case in CASES[kind]]
    assert float(row["psnr"]) == pytest.approx(np.mean(scores), abs=1e-3)
    model = load_model(run / MODEL)
    assert model.about["trained_for"] == kind
    assert model.for_damaged
    again = Trainer(settings, [pictures], run)
    assert kept.stat().st_mtime_ns == made
    assert torch.equal(again.pool.low, trainer.pool.low)


def test_a_step_that_cannot_be_compiled_runs_as_it_is(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And trains to the same weights."""

    def broken(*objective: object, **options: object) -> Callable[..., object]:
        def run(*tensors: object) -> object:
            raise RuntimeError("no such kernel\nand a long story")

        return run

    def trained(name: str, compile_step: bool) -> tuple[dict[str, torch.Tensor], list[str]]:
        said: list[str] = []
        run = tmp_path / name
        trainer = Trainer(TINY, [pictures], run, compile_step=compile_step, report=said.append)
        trainer.train(validate_every=100)
        return trainer.network.state_dict(), said

    plain, _ = trained("plain", compile_step=False)
    monkeypatch.setattr(torch, "compile", broken)
    fallen, said = trained("fallen", compile_step=True)
    assert said[0] == "not compiled, but as it is: no such kernel"
    for name, tensor in plain.items():
        torch.testing.assert_close(fallen[name], tensor, rtol=0, atol=0)


def test_a_run_is_not_resumed_on_other_pictures(pictures: Path, tmp_path: Path) -> None:
    """Older runs, which do not tell what they were trained on, are resumed."""
    others = write_pictures(tmp_path / "others")
    (others / "0.png").unlink()
    run = tmp_path / "run"
    trained(TINY, pictures, run, stop_after=0)
    with pytest.raises(TrainingError, match=r"on other pictures.*or another run folder"):
        Trainer(TINY, [others], run)
    assert Trainer(TINY, [pictures], run).step == 1
    state = read_checkpoint(run / CHECKPOINT)
    del state["pictures"]
    torch.save(state, run / CHECKPOINT)
    assert Trainer(TINY, [others], run).step == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(TINY, pictures, tmp_path, stop_after=0)
    before = {path.name for path in tmp_path.iterdir()}

    def fill_the_disk(state: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        trained(TINY, pictures, tmp_path, stop_after=0)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert Trainer(TINY, [pictures], tmp_path).step == 1


def test_a_run_that_is_interrupted_in_its_last_validation_says_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a queue would go on with the next run."""
    trainer = Trainer(TINY, [pictures], tmp_path)
    score = trainer._score

    def interrupted(run: Enlarge) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return score(run)

    monkeypatch.setattr(trainer, "_score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(validate_every=100)
    assert read_checkpoint(tmp_path / CHECKPOINT)["step"] == TINY.steps


def test_where_there_is_no_mkldnn_steps_are_computed_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Apple's processors."""

    def missing() -> bool:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no such attribute")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", missing)
    assert choose_precision("auto") == "no"


def test_a_device_needs_no_float64(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apple's GPUs have none. The meta device stands for them, which draws no numbers at all."""

    @contextlib.contextmanager
    def no_autocast(*args: object, **options: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(Accelerator, "device", torch.device("meta"))
    monkeypatch.setattr(torch, "autocast", no_autocast)
    trainer = Trainer(TINY, [pictures], tmp_path)
    assert trainer._advance().device.type == "meta"
