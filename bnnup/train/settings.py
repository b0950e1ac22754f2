"""What defines a training run, and how it changes in its course."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Any

from bnnup.errors import TrainingError
from bnnup.model.zoo import NETWORKS

PRECISIONS = ("auto", "bf16", "no")
OPTIMIZERS = ("adam", "soap")
LOSSES = ("l1", "mse", "psnr")
# What a network is trained for, and how many variants of each picture it sees: clean
# reductions alone, or damaged ones, too (``degrade``), or what was drawn for its pixels.
VARIANTS = {"clean": 1, "real": 6, "film": 6, "screen": 1}
# Blocks and channels of architectures that no network of the table has: the papers', but for
# RCAN's and RDN's blocks, of which these have a quarter and a half.
SIZES = {"srresnet": (16, 64), "rcan": (5, 64), "rdn": (8, 64)}

# What a run does by default that starts from weights, lest it undo them.
CONTINUED = {"learning_rate": 6e-4, "real_weights": 0.0}


def size_of(
    architecture: str, blocks: int | None = None, channels: int | None = None
) -> dict[str, int]:
    """Blocks and channels, by default the architecture's own: those of its first network."""
    first = next((n for n in NETWORKS if n.architecture == architecture), NETWORKS[0])
    own = SIZES.get(architecture, (first.blocks, first.channels))
    return {"blocks": blocks or own[0], "channels": channels or own[1]}


def complete(began: Mapping[str, Any], **chosen: Any) -> dict[str, Any]:
    """The settings that are chosen; those that are left open, as None, are as in ``began``.

    Blocks and channels count only with the architecture that they belong to: another one has
    its own.
    """
    chosen = {name: value for name, value in chosen.items() if value is not None}
    settings = {"architecture": TrainingSettings.architecture, **began, **chosen}
    same = settings["architecture"] == began.get("architecture")
    size = settings if same else chosen
    own = size_of(settings["architecture"], size.get("blocks"), size.get("channels"))
    return settings | own


@dataclass(frozen=True)
class TrainingSettings:
    """A run is these numbers, the pictures and the code.

    It resumes only with the same numbers and pictures. The length of the schedule is ``steps``,
    or ``minutes`` of training time if given.
    """

    architecture: str = "edsr"
    scale: int = 2
    blocks: int = 16
    channels: int = 64
    steps: int = 300_000
    minutes: float | None = None
    batch: int = 16  # patches, per device
    patch: int = 32  # low-resolution pixels, each way
    loss: str = "l1"  # mean absolute error; "mse", mean square error; "psnr", that of patches
    optimizer: str = "adam"
    learning_rate: float = 1.5e-3  # at its peak
    warm_up: float = 0.03  # share of the run with rising learning rate
    real_weights: float = 0.33  # share of the run before weights turn binary
    held_out: int = 36  # pictures of each folder, but at most an eighth of them
    precision: str = "auto"  # of the step: "bf16", "no" for float32, or what is faster
    seed: int = 0
    trained_for: str = "clean"
    frozen_statistics: float = 0.0  # share of the run, at its end, on batch norm's averages

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4):
            raise TrainingError(f"scale must be 2, 3 or 4, not {self.scale}")
        positive = ("steps", "batch", "patch", "blocks", "channels", "learning_rate", "held_out")
        for name in positive:
            if not getattr(self, name) > 0:  # nor if it is no number
                raise TrainingError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("warm_up", "real_weights", "frozen_statistics"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(
                    f"{name} is a share from 0 to below 1, not {getattr(self, name)}"
                )
        for name, values in (
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
            ("loss", LOSSES),
        ):
            if (value := getattr(self, name)) not in values:
                known = ", ".join(values[:-1]) + f" or {values[-1]}"
                raise TrainingError(f"{name} is {known}, not {value!r}")
        if self.trained_for not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise TrainingError(f"a network is trained for {known}, not {self.trained_for!r}")
        if self.minutes is not None and not self.minutes > 0:
            raise TrainingError(f"minutes must be above 0, not {self.minutes}")
        if not 0 <= self.seed < 2**64:
            raise TrainingError(f"seed is a number from 0 to 2⁶⁴ - 1, not {self.seed}")

    def progress(self, step: int, seconds: float) -> float:
        """Share of the run that is done, 0 to 1."""
        done = step / self.steps if self.minutes is None else seconds / (60 * self.minutes)
        return min(done, 1.0)

    def rate(self, progress: float) -> float:
        """Learning rate: linear warm-up, then half a cosine down to 0."""
        if progress < self.warm_up:
            return self.learning_rate * progress / self.warm_up
        rest = (progress - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (1 + cos(pi * rest)) / 2
