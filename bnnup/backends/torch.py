"""Runs programs with torch: on a GPU, or where the engine is missing.

Binary sums are exact integers in float32 whatever their order, and those of quantized
convolutions in float64. Full-precision convolutions are summed in float64 and rounded
once, so that the order of a sum, which depends on the tile, does not reach the result.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bnnup.model import operations, packing
from bnnup.model.file import Model
from bnnup.model.program import INPUT
from bnnup.pixels.bicubic import phases
from bnnup.system.stages import go_on


def find_device() -> str:
    """A GPU with CUDA or ROCm, or else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class TorchBackend:
    """A network ready to run on one device."""

    def __init__(
        self,
        model: Model,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)  # of the process: torch knows no other
        self.program = model.program
        self.device, self.dtype = torch.device(device), dtype
        self.name, self.threads = f"torch, {device}", torch.get_num_threads()
        self.parts = [self._load_parts(model, o) for o in model.program.operations]

    def _load_parts(self, model: Model, operation: operations.Operation) -> dict[str, Tensor]:
        inputs = model.program.inputs(operation)
        parts = {}
        for part in operation.tensors(inputs):
            array = model.tensors[f"{operation.name}.{part}"]
            if array.dtype == np.uint8:
                array = packing.unpack_weight(array, inputs[0].channels)
            parts[part] = self._load(array)
        return parts

    def _load(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)

    @torch.inference_mode()
    def run(
        self,
        luma: NDArray[np.float32],
        watch: Callable[[operations.Operation, list[Tensor]], None] | None = None,
    ) -> NDArray[np.float32]:
        """(H, W) luma, black 0 and white 1, to (scale·H, scale·W), not clipped.

        ``watch`` is called with each operation and its inputs, (1, C, H, W).
        """
        values = {INPUT: self._load(luma)[None, None]}
        releases = self.program.releases()
        for operation, parts, dead in zip(
            self.program.operations, self.parts, releases, strict=True
        ):
            go_on()
            inputs = [values[name] for name in operation.inputs()]
            if watch is not None:
                watch(operation, inputs)
            values[operation.name] = RUN[type(operation)](operation, parts, *inputs)
            for name in dead:
                del values[name]
        result: NDArray[np.float32] = values[self.program.result][0, 0].float().cpu().numpy()
        return result

    def memory(self, height: int, width: int) -> int:
        """Bytes that ``run`` takes for (height, width), beside luma and result; estimated.

        At each operation: what is alive, and twice its inputs and output for padding
        and float64.
        """
        most, alive = 0, {INPUT: 1}
        releases = self.program.releases()
        for operation, dead in zip(self.program.operations, releases, strict=True):
            involved = [*self.program.inputs(operation), self.program.values[operation.name]]
            sizes = [value.channels * value.factor**2 for value in involved]
            alive[operation.name] = sizes[-1]
            most = max(most, sum(alive.values()) + 2 * sum(sizes))
            for name in dead:
                del alive[name]
        return most * height * width * self.dtype.itemsize


def replicate_pad(x: Tensor, border: int) -> Tensor:
    """(N, C, H, W) with its edge pixels copied ``border`` times outwards.

    Spelled as concatenations because these keep channels-last memory in both
    directions and fuse with their neighbours when compiled.
    """
    for dim in (2, 3) if border else ():
        last = x.shape[dim] - 1
        edges = [x.narrow(dim, 0, 1)] * border, [x.narrow(dim, last, 1)] * border
        x = torch.cat([*edges[0], x, *edges[1]], dim)
    return x


def bicubic_kernels(factor: int) -> Tensor:
    """(factor², 1, 5, 5): bicubic weights of each place within an enlarged pixel."""
    weights = torch.from_numpy(phases(factor))
    return torch.einsum("ai,bj->abij", weights, weights).reshape(factor**2, 1, 5, 5)


def skip(x: Tensor, channels: int, kind: str) -> Tensor:
    """The input of a binary convolution, led to ``channels`` channels.

    What each kind does stands with ``operations.BinaryConvolution``.
    """
    if kind == "average":
        return x.reshape(x.shape[0], -1, channels, *x.shape[2:]).mean(1)
    return x


def convolution(operation: operations.Convolution, parts: dict[str, Tensor], x: Tensor) -> Tensor:
    padded = replicate_pad(x, operation.kernel // 2).double()
    y = functional.conv2d(padded, parts["weight"].double(), parts["bias"].double())
    return y.to(x.dtype)


def quantized_convolution(
    operation: operations.QuantizedConvolution, parts: dict[str, Tensor], x: Tensor
) -> Tensor:
    levels = (x * _per_channel(parts["levels"])).round()  # halves to even
    levels = levels.clamp(-operation.LARGEST_INPUT, operation.LARGEST_INPUT)
    padded = replicate_pad(levels, operation.kernel // 2).double()
    sums = functional.conv2d(padded, parts["weight"].double())
    scale, bias = (_per_channel(parts[name]).double() for name in ("scale", "bias"))
    return (sums.to(x.dtype).double() * scale + bias).to(x.dtype)


def binary_convolution(
    operation: operations.BinaryConvolution, parts: dict[str, Tensor], x: Tensor
) -> Tensor:
    signs = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
    sums = functional.conv2d(replicate_pad(signs, operation.kernel // 2), parts["weight"])
    y = sums * _per_channel(parts["scale"]) + _per_channel(parts["shift"])
    if operation.skip != "none":
        y = y + skip(x, operation.channels, operation.skip)
    if operation.activation == "none":
        return y
    bent = torch.where(y >= 0, y, y * _per_channel(parts["slope"]))
    return bent + _per_channel(parts["offset"])


def add(operation: operations.Add, parts: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    return a + b


def concatenate(operation: operations.Concatenate, parts: dict[str, Tensor], *x: Tensor) -> Tensor:
    return torch.cat(x, 1)


def pixel_shuffle(
    operation: operations.PixelShuffle, parts: dict[str, Tensor], x: Tensor
) -> Tensor:
    return functional.pixel_shuffle(x, operation.factor)


def bicubic(operation: operations.Bicubic, parts: dict[str, Tensor], x: Tensor) -> Tensor:
    kernels = bicubic_kernels(operation.factor).to(x.device).double()
    planes = replicate_pad(x, 2).double().flatten(0, 1).unsqueeze(1)
    places = functional.conv2d(planes, kernels)
    enlarged = functional.pixel_shuffle(places, operation.factor)
    return enlarged.reshape(*x.shape[:2], *enlarged.shape[2:]).to(x.dtype)


def channel_attention(
    operation: operations.ChannelAttention, parts: dict[str, Tensor], x: Tensor
) -> Tensor:
    padded = replicate_pad(x, operation.window // 2).double()
    mean = functional.avg_pool2d(padded, operation.window, stride=1)
    weights = {name: tensor.double() for name, tensor in parts.items()}
    squeezed = _pointwise(mean, weights["down"], weights["down_bias"]).clamp(min=0)
    gate = _pointwise(squeezed, weights["up"], weights["up_bias"]).sigmoid()
    return (x * gate).to(x.dtype)


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv2d(x, weight[:, :, None, None], bias)


def _per_channel(vector: Tensor) -> Tensor:
    return vector[:, None, None]


RUN: dict[type[operations.Operation], Callable[..., Tensor]] = {
    operations.Convolution: convolution,
    operations.QuantizedConvolution: quantized_convolution,
    operations.BinaryConvolution: binary_convolution,
    operations.Add: add,
    operations.Concatenate: concatenate,
    operations.PixelShuffle: pixel_shuffle,
    operations.Bicubic: bicubic,
    operations.ChannelAttention: channel_attention,
}
