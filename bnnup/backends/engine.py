"""The compiled engine: runs programs on packed bits, on any CPU, without torch.

The same picture comes out bit for bit whatever the kernel, the number of threads or
the tile. Importing this module fails where the package was installed without a
compiler; everything else works without it.
"""

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnup.model import operations
from bnnup.model.file import Model
from bnnup.model.program import INPUT
from bnnup.pixels import bicubic, chroma, color
from bnnup.pixels.color import Sample
from bnnup.system.stages import go_on

try:  # by name, because type checkers read the sources, where it is not built
    _native: Any = importlib.import_module("bnnup._native")
except ImportError as error:
    error.add_note(
        "bnnup was installed without its engine: install a C++ compiler, then bnnup again with "
        "pip's --force-reinstall and --no-deps"
    )
    raise

EMPTY = np.empty(0, np.float32)
MAX_THREADS = 256


def kernels() -> list[str]:
    """Kernels that this machine runs, the fastest first."""
    return list(_native.kernels())


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Engine:
    """A network ready to run. One engine may run in several Python threads at once.

    ``kernel`` is one of ``kernels()``: by default what BNNUP_KERNEL names, or else the
    fastest; an unknown one is a ValueError that lists them. ``threads`` are by default
    as many as the process has cores.
    """

    def __init__(self, model: Model, threads: int | None = None, kernel: str | None = None) -> None:
        self.program = model.program
        self.threads = threads or min(usable_cores(), MAX_THREADS)
        network = _native.Network(model.program.scale, _wanted(kernel))
        self.kernel: str = network.kernel
        self.name = f"engine, {self.kernel}"
        _describe(network, model)
        self._runner = _native.Runner(network)

    def run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) luma, black 0 and white 1, to (scale·H, scale·W), not clipped."""
        luma = np.ascontiguousarray(luma, np.float32)
        height, width = luma.shape
        scale = self.program.scale
        result = np.empty((scale * height, scale * width), np.float32)
        self._runner.run(luma, result, self.threads, go_on)
        return result

    def memory(self, height: int, width: int) -> int:
        """Bytes that ``run`` takes for (height, width), beside luma and result.

        The engine keeps those of its largest run until it is dropped.
        """
        return int(self._runner.memory(height, width, self.threads))


def enlarge(
    plane: NDArray[np.float32],
    factor: int,
    shift: tuple[float, float] = (0.0, 0.0),
    kernel: str | None = None,
) -> NDArray[np.float32]:
    """``bicubic.enlarge``, bit for bit, in a fraction of the time; ``kernel`` as for Engine."""
    plane = np.ascontiguousarray(plane, np.float32)
    height, width = plane.shape
    result = np.empty((factor * height, factor * width), np.float32)
    down, across = (bicubic.phases(factor, offset) for offset in shift)
    _native.enlarge(plane, down, across, result, go_on, _wanted(kernel))
    return result


Planes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def follow(
    small: Planes,
    luma: NDArray[np.float32],
    *,
    damaged: bool,
    white: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    threads: int = 1,
    kernel: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``chroma.follow`` of Cb and Cr, bit for bit, in one pass.

    ``small`` is (H, W) Y', Cb and Cr, ``luma`` what became of Y'; ``kernel`` as for Engine.
    """
    result = np.empty(luma.shape, np.float32), np.empty(luma.shape, np.float32)
    lead = _lead(small, luma, damaged, white, shift)
    _native.follow(lead, *result, threads, go_on, _wanted(kernel))
    return result


def merge(
    small: Planes,
    luma: NDArray[np.float32],
    result: NDArray[Sample],
    *,
    damaged: bool,
    threads: int = 1,
    kernel: str | None = None,
) -> None:
    """``color.merge`` of ``luma`` with the chroma that follows it, bit for bit, in one pass.

    What ``chroma.follow`` makes of (H, W) Y', Cb and Cr, ``small``, is merged with ``luma``
    into the first three samples of ``result``, (factor·H, factor·W, 3 or 4), quantized.
    ``kernel`` as for Engine.
    """
    lead = _lead(small, luma, damaged, 1.0, (0.0, 0.0))
    _native.merge(lead, color.MERGING, result, threads, go_on, _wanted(kernel))


def _lead(
    small: Planes,
    luma: NDArray[np.float32],
    damaged: bool,
    white: float,
    shift: tuple[float, float],
) -> Any:
    planes = (np.ascontiguousarray(plane, np.float32) for plane in (*small, luma))
    down, across = (bicubic.phases(len(luma) // len(small[0]), offset) for offset in shift)
    floors = tuple(chroma.floors(white).tolist())
    return _native.Lead(*planes, down, across, chroma.window(damaged), floors, damaged)


def _wanted(kernel: str | None) -> str:
    return os.environ.get("BNNUP_KERNEL", "") if kernel is None else kernel


def _describe(network: Any, model: Model) -> None:
    """Tells the engine each operation in turn; values go by number from here on."""
    numbers = {INPUT: 0}
    for operation in model.program.operations:
        inputs = [numbers[name] for name in operation.inputs()]
        numbers[operation.name] = _append(network, model, operation, inputs)


def _append(network: Any, model: Model, operation: operations.Operation, inputs: list[int]) -> int:
    def tensor(part: str) -> NDArray[Any]:
        array = model.tensors.get(f"{operation.name}.{part}", EMPTY)
        return np.ascontiguousarray(array).ravel()

    number: int
    match operation:
        case operations.Convolution():
            number = network.convolution(
                *inputs, operation.channels, operation.kernel, tensor("weight"), tensor("bias")
            )
        case operations.QuantizedConvolution():
            parts = (tensor(p) for p in ("weight", "levels", "scale", "bias"))
            number = network.quantized_convolution(
                *inputs, operation.channels, operation.kernel, *parts
            )
        case operations.BinaryConvolution():
            parts = (tensor(p) for p in ("weight", "scale", "shift", "slope", "offset"))
            number = network.binary_convolution(
                *inputs,
                operation.channels,
                operation.kernel,
                operation.skip,
                operation.activation,
                *parts,
            )
        case operations.Add():
            number = network.add(*inputs)
        case operations.Concatenate():
            number = network.concatenate(inputs)
        case operations.PixelShuffle():
            number = network.pixel_shuffle(*inputs, operation.factor)
        case operations.Bicubic():
            phases = bicubic.phases(operation.factor).ravel()
            number = network.bicubic(*inputs, operation.factor, phases)
        case operations.ChannelAttention():
            parts = (tensor(p) for p in ("down", "down_bias", "up", "up_bias"))
            number = network.channel_attention(*inputs, operation.squeeze, operation.window, *parts)
        case _:
            raise TypeError(f"the engine has nothing for {operation.op}")
    return number
