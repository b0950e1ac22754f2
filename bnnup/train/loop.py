"""The training loop: steps, validation, checkpoints that continue exactly.

Everything random in a step is drawn from a generator seeded with the run's seed and
the step's number, so a checkpoint needs no random state: whatever stops a run, its
last checkpoint continues as if nothing had happened.
"""

import contextlib
import csv
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnup.backends.choose import choose_backend
from bnnup.errors import TrainingError
from bnnup.model.file import Model, save_model
from bnnup.nn import ARCHITECTURES, export, quantize
from bnnup.nn.layers import BinaryConvolution
from bnnup.system.files import replacing
from bnnup.train.data import PatchPool, draw
from bnnup.train.degrade import DAMAGES
from bnnup.train.initial import CHECKPOINT, read_checkpoint, start_from
from bnnup.train.latent import save_latent
from bnnup.train.pictures import fingerprint, hold_out, list_pictures
from bnnup.train.settings import TrainingSettings
from bnnup.train.step import Captured, Objective, choose_optimizer, choose_precision, set_rate
from bnnup.train.validation import LEAST, Enlarge, validate, validation_pairs

LOG, MODEL = "log.csv", "model.safetensors"
LATENT = "latent.safetensors"
CALIBRATION = 32  # patches that batch norm's statistics are measured on, of a model file
PROVEN = 5  # steps after which another way to run them is no remedy
# A run has diverged when validation falls by so much below its best, or below the network
# that it began with.
DIVERGED = 3.0  # dB
RETURNS = 5  # how often a run may go back to its last checkpoint, each time at half the rate


class Trainer:
    """One run in one folder. Making a Trainer resumes what the folder holds.

    Writes ``checkpoint.pt``, ``log.csv`` and, whenever validation improves with
    binary weights, ``model.safetensors`` and ``latent.safetensors``. ``initial`` is a run,
    a checkpoint, latent weights, or a model file. A run that diverges goes back to its
    last checkpoint and on at half the rate. Of several processes the main one decides
    whatever they might see differently, and alone reports and writes.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        pictures: Sequence[Path],
        run: Path,
        *,
        initial: Path | None = None,
        compile_step: bool = False,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.settings, self.run = settings, run
        self.accelerator = Accelerator(mixed_precision=choose_precision(settings.precision))
        self.report = report if self.accelerator.is_main_process else lambda line: None
        self.device = self.accelerator.device
        # Random numbers are float64, which not every other device has.
        self._drawing = self.device if self.device.type == "cuda" else torch.device("cpu")
        torch.manual_seed(settings.seed)
        scale = settings.scale
        least = scale * max(settings.patch, LEAST)
        folders = [
            hold_out(list_pictures(folder, scale=scale, least=least), settings.held_out)
            for folder in pictures
        ]
        training = [path for part, _ in folders for path in part]
        held = [path for _, part in folders for path in part]
        self._pictures = fingerprint(training + held)
        self.pool = PatchPool.load(
            training,
            scale,
            self._drawing,
            trained_for=settings.trained_for,
            seed=settings.seed,
            cache=run.parent / "pools" if settings.trained_for in DAMAGES else None,
        )
        self.validation = validation_pairs(settings, held)
        network = build(settings)
        if initial is not None and not (run / CHECKPOINT).exists():
            start_from(network, initial, self._calibration)
        network = network.to(self.device)
        # torch's stubs lack this overload, which its documentation names.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = choose_optimizer(settings.optimizer, network)
        objective = Objective(self.network, settings.loss)
        self.objective, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self._ways = self._ways_to_step(compile_step=compile_step)
        self._way, self._take_step = next(self._ways)
        self._taken = 0
        self.step, self.seconds, self.best = 0, 0.0, 0.0
        self.returns = 0  # to the last checkpoint, since the run diverged
        self.began = 0.0  # PSNR of the network that the run began with, if it was trained
        run.mkdir(parents=True, exist_ok=True)
        if (run / CHECKPOINT).exists():
            self._resume()
        elif initial is not None:
            self.began = _mean(self._score(self._run_network))

    def train(self, *, validate_every: int, stop_after: float | None = None) -> None:
        """Runs to the end of the schedule, or for ``stop_after`` seconds.

        Validates and saves every ``validate_every`` steps and when it ends; saves, too,
        when interrupted (SIGINT, SIGTERM), and then raises KeyboardInterrupt. Raises
        TrainingError when the run diverges at every rate.
        """
        began = now = time.monotonic()
        losses: list[Tensor] = []
        if self.step == 0:
            self._save()  # where a run that diverges early goes back to
        with _interruptions() as received:
            while not (finished := self.progress >= 1):
                losses.append(self._advance())
                before, now = now, time.monotonic()
                out_of_time = stop_after is not None and now - began >= stop_after
                self.seconds, interrupted, out_of_time = self._agreed(
                    self.seconds + (now - before), bool(received), out_of_time
                )
                if self.step % validate_every == 0 or self.progress >= 1:
                    diverged = self._validate(float(torch.stack(losses).mean()))
                    losses.clear()
                    if diverged:
                        self._go_back()
                    else:
                        self._save()
                elif interrupted or out_of_time:
                    self._save()
                if interrupted:
                    raise KeyboardInterrupt
                if out_of_time:
                    break
        self.accelerator.wait_for_everyone()  # what is written is there for all of them
        if finished:
            self.report(f"finished after {self.step} steps; best validation {self.best:.3f} dB")
        if received:  # during the last validation
            raise KeyboardInterrupt

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return self.settings.progress(self.step, self.seconds)

    def _advance(self) -> Tensor:
        """One optimizer step; returns its loss, still on the device."""
        settings = self.settings
        rank = self.accelerator.process_index
        seed = np.random.SeedSequence((settings.seed, self.step, rank)).generate_state(1)[0]
        random = draw(settings.batch, torch.Generator(self._drawing).manual_seed(int(seed)))
        real, frozen = self._stage()
        use_real_weights(self.network, real)
        set_rate(self.optimizer, self._rate())
        self.network.train()
        if frozen:
            freeze_statistics(self.network)
        while True:
            try:
                loss = self._take_step(random)
            except Exception as error:  # of whatever a compiler can meet
                if self._taken >= PROVEN or (other := next(self._ways, None)) is None:
                    raise
                why = str(error).strip().partition("\n")[0]  # compilers tell long stories
                self.report(f"not {self._way}, but {other[0]}: {why}")
                self._way, self._take_step = other
            else:
                self._taken += 1
                self.step += 1
                return loss

    def _ways_to_step(
        self, *, compile_step: bool
    ) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
        """How a step can be run, what promises to be the fastest first."""
        one_gpu = self.device.type == "cuda" and self.accelerator.num_processes == 1
        if compile_step and one_gpu and self.settings.optimizer == "adam":
            torch.backends.cudnn.benchmark = True  # all steps have one shape

            def stage() -> object:
                return self._stage(), self.returns  # going back brings other tensors

            step = partial(self._plain_step, torch.compile(self.objective))
            yield "compiled, as one CUDA graph", Captured(step, stage)
            torch.compiler.reset()
            step = partial(self._plain_step, self.objective)
            yield "as one CUDA graph", Captured(step, stage)
        if compile_step:
            yield "compiled", partial(self._plain_step, torch.compile(self.objective))
        yield "as it is", partial(self._plain_step, self.objective)

    def _plain_step(self, objective: Callable[[Tensor, Tensor], Tensor], random: Tensor) -> Tensor:
        """From random numbers to changed weights; returns the loss."""
        self.optimizer.zero_grad()
        patches = self.pool.patches(random, self.settings.patch)
        low, high = (part.to(self.device) for part in patches)
        loss = objective(low.contiguous(memory_format=torch.channels_last), high)
        self.accelerator.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def _stage(self) -> tuple[bool, bool]:
        """What changes the computation in the course of a run: real weights, frozen statistics."""
        progress, settings = self.progress, self.settings
        return progress < settings.real_weights, progress >= 1 - settings.frozen_statistics

    def _rate(self) -> float:
        return self.settings.rate(self.progress) * 0.5**self.returns

    def _calibration(self) -> Tensor:
        """Small patches, (N, 1, patch, patch) luma."""
        generator = torch.Generator(self._drawing).manual_seed(self.settings.seed)
        low, _ = self.pool.sample(CALIBRATION, self.settings.patch, generator)
        return low.cpu()

    @torch.no_grad()
    def _run_network(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """What no program can say: weights that are not binary yet. In float32."""
        self.network.eval()
        values = torch.from_numpy(luma).to(self.device)[None, None]
        result: NDArray[np.float32] = self.network(values)[0, 0].cpu().numpy()
        return result

    def _score(self, run: Enlarge) -> dict[str, float]:
        """PSNR in dB on held-out pictures, by what damaged them."""
        scale = self.settings.scale
        return {case: validate(run, pairs, scale) for case, pairs in self.validation.items()}

    def _agreed(self, *values: Any) -> list[Any]:
        """The main process's values, in every process: clocks, signals and scores differ."""
        agreed: list[Any] = broadcast_object_list(list(values))
        return agreed

    def _validate(self, loss: float) -> bool:
        """Whether the run has diverged."""
        diverged: bool = self.accelerator.is_main_process and self._judge(loss)
        diverged, self.best = self._agreed(diverged, self.best)
        return diverged

    def _judge(self, loss: float) -> bool:
        """Reports, and keeps what is the best so far; whether the run has diverged."""
        real, _ = self._stage()
        if not all(tensor.isfinite().all() for tensor in self.network.state_dict().values()):
            model, scores = None, dict.fromkeys(self.validation, np.nan)
        elif real:
            model, scores = None, self._score(self._run_network)
        else:
            model = self.model()
            scores = self._score(choose_backend(model).run)
        psnr = _mean(scores)
        diverged = not psnr >= max(self.best, self.began) - DIVERGED  # NaN has diverged, too
        rate = self._rate()
        stage = "real" if real else "binary"
        self.report(
            f"step {self.step}  {self.seconds / 60:.1f} min  {stage} weights  rate {rate:.2e}  "
            f"loss {loss:.5f}  validation {psnr:.3f} dB"
            + "".join(f"  {case} {score:.2f}" for case, score in scores.items() if len(scores) > 1)
        )
        row = [
            self.step,
            round(self.seconds, 1),
            stage,
            f"{rate:.3e}",
            f"{loss:.6f}",
            f"{psnr:.4f}",
            *(f"{score:.4f}" for score in scores.values()),
        ]
        header = ["step", "seconds", "weights", "rate", "loss", "psnr", *scores]
        _append(self.run / LOG, header, row)
        if model is not None and psnr > self.best and not diverged:
            self.best = psnr
            save_model(dataclasses.replace(model, about=self._about()), self.run / MODEL)
            save_latent(self.network, self.run / LATENT)
        return diverged

    def _go_back(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.returns == RETURNS:
            rate = self.settings.learning_rate * 0.5**self.returns
            raise TrainingError(
                f"training diverges even at a rate of {rate:.2g}; {self.run} keeps the last good "
                "checkpoint; start another run with a lower learning rate"
            )
        self._restore(read_checkpoint(self.run / CHECKPOINT))
        self.returns += 1
        self._save()
        self.report(f"diverged; back to step {self.step}, at half the rate")

    def model(self) -> Model:
        """The network as it is now, and where it comes from."""
        network = build(self.settings)
        network.load_state_dict({k: v.cpu() for k, v in self.network.state_dict().items()})
        program, tensors = export(network.eval(), self.settings.scale)
        return quantize(Model(program, tensors, self._about()))

    def _about(self) -> dict[str, Any]:
        settings = self.settings
        training = dataclasses.asdict(settings) | {
            "trained_steps": self.step,
            "trained_seconds": round(self.seconds),
            "validation_psnr": round(self.best, 3),
        }
        return {
            "architecture": settings.architecture,
            "trained_for": settings.trained_for,
            "training": training,
        }

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()  # others may still read what is replaced
        if not self.accelerator.is_main_process:
            return
        state = {
            "settings": dataclasses.asdict(self.settings),
            "pictures": self._pictures,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "returns": self.returns,
            "began": self.began,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with replacing(self.run / CHECKPOINT, CHECKPOINT) as temporary:
            torch.save(state, temporary)

    def _resume(self) -> None:
        state = read_checkpoint(self.run / CHECKPOINT)
        mine, theirs = dataclasses.asdict(self.settings), _settings_of(state)
        if changed := [name for name in mine if mine[name] != theirs[name]]:
            name = changed[0]
            raise TrainingError(
                f"{self.run} holds a run with {name} = {theirs.get(name)}, not {mine[name]}; "
                "use the same settings to resume it, or another run folder"
            )
        if state.get("pictures", self._pictures) != self._pictures:  # older runs do not tell
            raise TrainingError(
                f"{self.run} holds a run on other pictures; name the same folders, unchanged and "
                "in the same order, to resume it, or another run folder"
            )
        self._restore(state)
        self.report(f"resumed at step {self.step}")

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        # Rate and flags are this run's, which may be on another device than the last.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        # Older runs lack what follows.
        self.returns, self.began = state.get("returns", 0), state.get("began", 0.0)


def is_finished(run: Path, settings: TrainingSettings) -> bool:
    """Whether a folder holds a run of these settings that has come to its end."""
    if not (run / CHECKPOINT).exists():
        return False
    state = read_checkpoint(run / CHECKPOINT)
    same = _settings_of(state) == dataclasses.asdict(settings)
    return same and settings.progress(state["step"], state["seconds"]) >= 1


def _settings_of(state: dict[str, Any]) -> dict[str, Any]:
    """Of a checkpoint; older ones lack what is new."""
    settings: dict[str, Any] = state["settings"]
    return dataclasses.asdict(TrainingSettings()) | settings


def build(settings: TrainingSettings) -> nn.Module:
    """A fresh network of the settings' architecture."""
    if settings.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise TrainingError(f"unknown architecture {settings.architecture!r}; known: {known}")
    architecture = ARCHITECTURES[settings.architecture]
    return architecture(settings.scale, settings.blocks, settings.channels)


def freeze_statistics(network: nn.Module) -> None:
    """Has batch norm use its averages, as it will after training (RepSR, ACM MM 2022)."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def use_real_weights(network: nn.Module, real: bool) -> None:
    """Chooses between real and binary weights in every binary convolution."""
    for layer in network.modules():
        if isinstance(layer, BinaryConvolution) and layer.real_weights != real:
            layer.real_weights = real


def _mean(scores: dict[str, float]) -> float:
    return float(np.mean(list(scores.values())))


def _append(path: Path, header: list[str], row: list[Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(header)
        writer.writerow(row)


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """A list that receives SIGINT and SIGTERM, so that a step is never cut in two."""
    received: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(s, lambda number, _: received.append(number)) for s in signals]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
