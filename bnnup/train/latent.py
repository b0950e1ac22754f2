"""Networks that can be trained on: their latent weights in half precision, and the way
back from a model file, which has only the signs.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bnnup.errors import TrainingError
from bnnup.model import packing
from bnnup.model.file import Model
from bnnup.nn.export import export
from bnnup.nn.layers import BinaryConvolution, Convolution, Layer
from bnnup.nn.quantize import dequantize
from bnnup.system.files import replacing

SPREAD = 0.02  # mean |w| of latent weights that are made of signs
LEAST = torch.finfo(torch.float16).smallest_normal  # a negative weight must not become 0


def save_latent(network: nn.Module, path: Path) -> None:
    """Writes everything that training goes on with, in float16.

    Signs are kept exactly. The statistics of batch norm, whose range is larger than
    float16's, stay in float32. What counts batches is left out.
    """
    tensors = {
        name: _halved(tensor).contiguous().cpu()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary)


def _halved(tensor: Tensor) -> Tensor:
    half = tensor.half()
    if not torch.isfinite(half).all() or half.abs().max() > 1000:
        return tensor.float()
    lost = (half == 0) & (tensor < 0)
    return torch.where(lost, torch.tensor(-LEAST, dtype=half.dtype, device=half.device), half)


def read_latent(path: Path) -> dict[str, Tensor]:
    """What ``save_latent`` wrote, in float32; TrainingError if the file is none."""
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} has no latent weights: {error}") from error


@torch.no_grad()
def restore(network: nn.Module, model: Model, luma: Tensor) -> None:
    """Has a network compute what a model computes, so that training goes on from there.

    A model has signs, and one scale and shift for each channel. The signs get random
    magnitudes; batch norm's statistics are measured on ``luma`` (N, 1, H, W), and its
    gain and bias chosen so that, with these, scale and shift are the model's. Raises
    TrainingError where the network is another one.
    """
    model = dequantize(model)
    program, _ = export(network.eval(), model.program.scale)
    if program != model.program:
        raise TrainingError("the model is of another architecture, size or scale")
    generator = torch.Generator().manual_seed(0)
    hooks = []
    for name, layer in network.named_modules():
        if not isinstance(layer, Layer):
            continue
        parts = _parts(model, name)
        if isinstance(layer, BinaryConvolution):
            take = _taking(layer, parts, generator)
            hooks.append(layer.register_forward_pre_hook(take))
        else:
            _set_plain(layer, parts)
    try:
        network(luma)
    finally:
        for hook in hooks:
            hook.remove()


def _parts(model: Model, name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): torch.from_numpy(np.array(array))
        for key, array in model.tensors.items()
        if key.startswith(prefix) and "." not in key.removeprefix(prefix)
    }


def _set_plain(layer: Layer, parts: dict[str, Tensor]) -> None:
    """Full-precision layers are in the file as they are, but for a fixed gain."""
    if isinstance(layer, Convolution):
        layer.convolution.weight.copy_(parts["weight"] / layer.gain)
        layer.convolution.bias.copy_(parts["bias"] / layer.gain)  # type: ignore[union-attr]
        return
    for name, tensor in parts.items():  # channel attention: 1×1 convolutions by name
        owner = layer.get_submodule(name.removesuffix("_bias"))
        parameter = owner.get_parameter("bias" if name.endswith("_bias") else "weight")
        parameter.copy_(tensor.reshape(parameter.shape))


def _taking(
    layer: BinaryConvolution, parts: dict[str, Tensor], generator: torch.Generator
) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """A hook that sets a layer as soon as it is known what it reads."""
    signs = torch.from_numpy(packing.unpack_weight(parts["weight"].numpy(), layer.weight.shape[1]))

    def take(_: nn.Module, inputs: tuple[Tensor]) -> None:
        magnitude = 2 * SPREAD * torch.rand(layer.weight.shape, generator=generator)
        layer.weight.copy_(signs * magnitude.clamp(min=LEAST))
        sums = layer.sums(inputs[0]).double()
        mean, variance = sums.mean((0, 2, 3)), sums.var((0, 2, 3), unbiased=False)
        norm = layer.norm
        gain = parts["scale"].double() / layer.weight.double().abs().mean((1, 2, 3))
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.bias.copy_(parts["shift"].double() + mean * gain)
        if layer.activation is not None:
            layer.activation.shift.zero_()
            layer.activation.slope.copy_(parts["slope"][:, None, None])
            layer.activation.offset.copy_(parts["offset"][:, None, None])

    return take
