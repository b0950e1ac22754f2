"""What a run begins with: another run, a checkpoint, latent weights or a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnnup.errors import TrainingError, WeightsError
from bnnup.model.file import load_model
from bnnup.model.find import find_model
from bnnup.model.zoo import bundled_folder, entries_named
from bnnup.nn import Hybrid
from bnnup.train.latent import read_latent, restore

CHECKPOINT = "checkpoint.pt"  # in a run's folder
# Of a run's settings, what it shares with one that starts from it.
NAMES, SIZES = ("architecture", "trained_for"), ("blocks", "channels")


def find_initial(name: str, scale: int) -> Path:
    """What a run may start from: a path, or a known model, by its latent weights if there are."""
    if Path(name).exists():
        return Path(name)
    for entry in entries_named(name):
        latent = bundled_folder() / "latent" / entry.file
        if entry.scale == scale and latent.exists():
            return latent
    return find_model(name, scale)


def describe_initial(name: str, scale: int) -> dict[str, Any]:
    """Architecture, blocks, channels and ``trained_for`` of what a run starts from.

    What that does not say is missing: latent weights say nothing.
    """
    path = Path(name) if Path(name).exists() else find_model(name, scale)
    if path.suffix != ".safetensors":
        settings = read_checkpoint(_checkpoint(path))["settings"]
        return {key: settings[key] for key in (*NAMES, *SIZES) if key in settings}
    try:
        model = load_model(path)
    except WeightsError:
        return {}
    settings = model.about.get("training")
    if not isinstance(settings, dict):
        return {}
    # Whoever wrote the file may claim anything: no network is larger than its program.
    widest = max(value.channels for value in model.program.values.values())
    most = {"blocks": len(model.program.operations), "channels": widest}
    return {
        key: value
        for key, value in settings.items()
        if (key in NAMES and isinstance(value, str))
        or (key in most and type(value) is int and 0 < value <= most[key])
    }


def start_from(network: nn.Module, initial: Path, luma: Callable[[], Tensor]) -> None:
    """Takes over a run, a checkpoint, latent weights or a model file.

    Of the first three every tensor that fits is taken: a ×2 body for ×3 and ×4, fewer pairs
    for a deeper ``Hybrid``. A model file must be of the same network; ``luma`` gives
    patches that its statistics are measured on. Raises TrainingError where less than half
    of the network fits.
    """
    path = _checkpoint(initial)
    if path.suffix == ".safetensors":
        try:
            model = load_model(path)
        except WeightsError:
            theirs = read_latent(path)
        else:
            restore(network, model, luma())
            return
    else:
        theirs = read_checkpoint(path)["network"]
    if isinstance(network, Hybrid):
        theirs = network.deepen(theirs)
    mine = network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in mine and v.shape == mine[k].shape}
    if 2 * len(fitting) < len(mine):
        raise TrainingError(
            f"{path} is of another network, with {len(fitting)} of the {len(mine)} tensors of this "
            "one; choose its architecture, blocks and channels"
        )
    network.load_state_dict(fitting, strict=False)


def _checkpoint(path: Path) -> Path:
    return path / CHECKPOINT if path.is_dir() else path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's state; TrainingError when the file is none."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load promises nothing about what junk raises
        raise TrainingError(
            f"{path} is not a readable checkpoint; name another run folder"
        ) from error
    if not isinstance(state, dict) or not {"settings", "network"} <= state.keys():
        raise TrainingError(f"{path} is not a checkpoint of bnnup train; name another file")
    return state
