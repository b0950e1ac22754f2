"""Full-precision convolutions in integers, which processors multiply twice as fast, and back.

Weights get a scale for each output channel and inputs a range for each input channel, as
in Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference"
(2018). Sums are exact, so that every kernel and every tile gives the same bits.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bnnup.backends.torch import TorchBackend
from bnnup.model.file import Model
from bnnup.model.operations import Convolution, Operation, QuantizedConvolution
from bnnup.model.program import Program

LEAST = 16  # channels, read and made: fewer leave the engine's vectors idle
ROOM = 1.25  # times the largest input that was seen; beyond, inputs are clamped
# A step of weights, of the finest that the engine has room for: files pack smaller, and no
# picture shows it.
STEP = 2
SIDE = 96  # pixels of each part of the picture of extremes

Tensors = dict[str, NDArray[Any]]


def quantize(model: Model) -> Model:
    """The model with integers in every convolution of ``LEAST`` channels or more."""
    peaks = _peaks(model)
    if not peaks:
        return model
    operations: list[Operation] = []
    tensors = dict(model.tensors)
    for operation in model.program.operations:
        if operation.name in peaks:
            assert isinstance(operation, Convolution)
            fields = dataclasses.asdict(operation)
            operation = QuantizedConvolution(**fields)
            weight = tensors[f"{operation.name}.weight"]
            parts = _round(weight, peaks[operation.name])
            tensors |= {f"{operation.name}.{part}": array for part, array in parts.items()}
        operations.append(operation)
    return Model(Program(model.program.scale, tuple(operations)), tensors, model.about)


def dequantize(model: Model) -> Model:
    """The model with full-precision convolutions in place of all quantized ones."""
    operations: list[Operation] = []
    tensors = dict(model.tensors)
    for operation in model.program.operations:
        if isinstance(operation, QuantizedConvolution):
            operation = Convolution(**dataclasses.asdict(operation))
            weight, levels, scale = (
                tensors.pop(f"{operation.name}.{part}").astype(np.float64)
                for part in ("weight", "levels", "scale")
            )
            weight *= scale[:, None, None, None] * levels[:, None, None]
            tensors[f"{operation.name}.weight"] = weight.astype(np.float32)
        operations.append(operation)
    return Model(Program(model.program.scale, tuple(operations)), tensors, model.about)


def _round(weight: NDArray[np.float32], peaks: NDArray[np.float32]) -> Tensors:
    """``weight`` (O, I, k, k) of inputs up to ``peaks`` (I,) in integers, and their scales."""
    levels = np.float32(QuantizedConvolution.LARGEST_INPUT / ROOM) / np.maximum(peaks, 1e-6)
    exact = weight.astype(np.float64) / levels.astype(np.float64)[:, None, None]
    magnitudes = np.abs(exact)
    # Rounding adds up to a half to each.
    room = QuantizedConvolution.LARGEST_SUM - magnitudes[0].size / 2
    finest = np.maximum(
        magnitudes.sum((1, 2, 3)) / room,
        magnitudes.max((1, 2, 3)) / QuantizedConvolution.LARGEST_WEIGHT,
    )
    scale = np.maximum(STEP * finest, np.finfo(np.float32).tiny)
    return {
        "weight": np.rint(exact / scale[:, None, None, None]).astype(np.int16),
        "levels": levels.astype(np.float32),
        "scale": scale.astype(np.float32),
    }


def _peaks(model: Model) -> dict[str, NDArray[np.float32]]:
    """By name of each convolution that integers speed up, the largest magnitudes it reads."""
    peaks: dict[str, NDArray[np.float32]] = {}

    def watch(operation: Operation, inputs: list[Tensor]) -> None:
        if not isinstance(operation, Convolution):
            return
        if min(operation.channels, inputs[0].shape[1]) >= LEAST:
            peaks[operation.name] = inputs[0].abs().amax((0, 2, 3)).float().cpu().numpy()

    TorchBackend(model).run(extremes(), watch)
    return peaks


def extremes() -> NDArray[np.float32]:
    """(2·SIDE, 4·SIDE) luma: what drives features further than most pictures do.

    Noise of several grains, black and white and grey, stripes and squares of 1 to 8
    pixels, edges in all directions, lone dots and lines.
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    shape = (SIDE, SIDE)

    def grains(size: int) -> NDArray[Any]:
        small = random.random((SIDE // size, SIDE // size))
        return np.kron(small, np.ones((size, size)))

    stripes = (np.where(y < SIDE // 2, x, y) // (1 + x // 24 % 4 * 2)) % 2
    squares = (x // (1 + y // 24) + y // (1 + y // 24)) % 2
    angles = np.floor(np.arctan2(y - SIDE / 2 + 0.5, x - SIDE / 2 + 0.5) * 8 / np.pi) % 2
    lone = ((x % 8 == 0) & (y < SIDE // 2)) | ((x % 8 == 0) & (y % 8 == 0))
    parts = [
        random.random(shape),
        np.rint(random.random(shape)),
        np.rint(grains(3)),
        grains(6),
        stripes,
        squares,
        angles,
        np.where(x < SIDE // 2, lone, 1 - lone),
    ]
    rows = [np.hstack(parts[:4]), np.hstack(parts[4:])]
    return np.vstack(rows).astype(np.float32)
