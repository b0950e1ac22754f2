"""Model files: a program and its tensors in one ``.safetensors``.

Metadata (all strings): ``format`` = bnnup, ``format_version``, ``program`` and
``about``, the latter two JSON. A file from a stranger is bad input: whatever is
wrong with it ends as one WeightsError.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from bnnup.errors import WeightsError
from bnnup.model.operations import BinaryConvolution, QuantizedConvolution, TensorSpec
from bnnup.model.program import Program
from bnnup.system.files import replacing

FORMAT_VERSION = 1
MAX_FILE = 256 << 20  # bytes; the largest published binary network is below 1 % of it
MAX_HEADER = 4 << 20  # bytes; a program of 4096 operations fits
MAX_LEVELS = 32  # objects within objects in ``about``; deeper ones exhaust recursion


@dataclass(frozen=True)
class Model:
    """A trained network: what it computes, with what, and where it comes from.

    ``tensors`` are exactly those that the program asks for, contiguous and finite.
    ``about`` is free JSON: architecture, training, scores, licence.
    """

    program: Program
    tensors: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def for_damaged(self) -> bool:
        """Whether it was trained for damaged pictures, whose chroma has lost more than luma."""
        return self.about.get("trained_for") in ("real", "film")

    @cached_property
    def file_bytes(self) -> int:
        """Size of the model as a file."""
        return len(serialize(self))

    def __post_init__(self) -> None:
        expected = self.program.tensors()
        if missing := sorted(expected.keys() - self.tensors.keys()):
            raise WeightsError(f"tensor {missing[0]!r} is missing")
        if extra := sorted(self.tensors.keys() - expected.keys()):
            raise WeightsError(f"tensor {extra[0]!r} belongs to no operation")
        for name, spec in expected.items():
            _check_tensor(name, self.tensors[name], spec)
        for operation in self.program.operations:
            if isinstance(operation, BinaryConvolution):
                (value,) = self.program.inputs(operation)
                _check_tail_bits(operation.name, self.tensors, value.channels)
            elif isinstance(operation, QuantizedConvolution):
                _check_integers(operation.name, self.tensors)


def _check_tensor(name: str, tensor: NDArray[Any], spec: TensorSpec) -> None:
    if str(tensor.dtype) != spec.dtype or tensor.shape != spec.shape:
        raise WeightsError(
            f"tensor {name!r} is {tensor.dtype} {tensor.shape}, not {spec.dtype} {spec.shape}"
        )
    if spec.dtype == "float32" and not np.isfinite(tensor).all():
        raise WeightsError(f"tensor {name!r} holds values that are not finite")


def _check_tail_bits(name: str, tensors: Mapping[str, NDArray[Any]], channels: int) -> None:
    """Bits past the last channel must be 0: popcounts include them (``packing``)."""
    if channels % 8 and (tensors[f"{name}.weight"][..., -1] >> channels % 8).any():
        raise WeightsError(f"tensor {name + '.weight'!r} has bits past its {channels} channels")


def _check_integers(name: str, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Weights and their sums must stay within what exact arithmetic has room for."""
    largest, most = QuantizedConvolution.LARGEST_WEIGHT, QuantizedConvolution.LARGEST_SUM
    magnitudes = np.abs(tensors[f"{name}.weight"].astype(np.int64))
    if (magnitudes > largest).any() or (magnitudes.sum((1, 2, 3)) > most).any():
        raise WeightsError(
            f"tensor {name + '.weight'!r} exceeds {largest}, or {most} for an output channel"
        )


def serialize(model: Model) -> bytes:
    """The model as the bytes of its file."""
    metadata = {
        "format": "bnnup",
        "format_version": str(FORMAT_VERSION),
        "program": model.program.to_json(),
        "about": json.dumps(model.about, ensure_ascii=False, allow_nan=False),
    }
    return save({name: np.ascontiguousarray(t) for name, t in model.tensors.items()}, metadata)


def save_model(model: Model, path: Path) -> None:
    """Writes a model file, whole or not at all."""
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(serialize(model))
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror}") from error


def load_model(path: Path) -> Model:
    """Reads and checks a model file; any fault is a WeightsError that names the file."""
    try:
        return _read(path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read(path: Path) -> Model:
    try:
        size = path.stat().st_size
        if not path.is_file():  # opening a pipe would wait for somebody to write to it
            raise WeightsError("not a file")
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}") from error
    if size > MAX_FILE or header > MAX_HEADER:
        raise WeightsError("too large for a model file, or not one at all")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            program = _read_program(metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except WeightsError:
        raise
    except Exception as error:  # whatever numpy raises for a dtype or shape that it lacks
        raise WeightsError(f"not a sound .safetensors file: {error}") from error
    return Model(program, tensors, _read_about(metadata))


def _read_program(metadata: Mapping[str, str]) -> Program:
    if metadata.get("format") != "bnnup":
        raise WeightsError("a .safetensors file, but not a bnnup model")
    if (version := metadata.get("format_version", "")) != str(FORMAT_VERSION):
        raise WeightsError(
            f"format version {version[:20]!r} is not known; this bnnup reads {FORMAT_VERSION}: "
            "upgrade with 'pip install -U bnnup'"
        )
    return Program.from_json(metadata.get("program", ""))


def _read_about(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        about = json.loads(metadata.get("about", "{}"))
        if not isinstance(about, dict) or not _is_flat(about, MAX_LEVELS):
            raise WeightsError(f"'about' is not an object of at most {MAX_LEVELS} levels")
        # Python reads numbers and text that cannot be written again: NaN, lone surrogates.
        json.dumps(about, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"'about' is not JSON: {error}") from error
    return about


def _is_flat(value: Any, levels: int) -> bool:
    """Whether a JSON value nests at most ``levels`` deep."""
    if not isinstance(value, dict | list):
        return True
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(child, levels - 1) for child in children)
