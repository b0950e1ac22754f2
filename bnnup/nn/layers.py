"""The layers that binary super-resolution networks are made of.

Every layer is one operation of a program: ``operation`` names it and ``constants``
gives its tensors, with everything that training needs apart folded together.
Feature maps are float32 (N, C, H, W).
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bnnup.backends.torch import bicubic_kernels, replicate_pad, skip
from bnnup.model import operations, packing

Constants = dict[str, NDArray[Any]]

BRANCH = 0.1  # gain of what joins the flow, before training: deep networks begin as their head


class Layer(nn.Module):
    """A module that is one operation of a program."""

    def operation(self, name: str, source: str) -> operations.Operation:
        """This layer as an operation called ``name``."""
        raise NotImplementedError

    def constants(self) -> Constants:
        """Tensors of the operation, by part name."""
        return {}


class SignActivation(torch.autograd.Function):
    """sign(x) with sign(0) = +1.

    Backward: Bi-Real Net's piecewise-quadratic slope, 2 − 2|x| for |x| < 1 and 0
    elsewhere (Liu et al., ECCV 2018, eq. 6).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = (2 - 2 * x.abs()).clamp(min=0)
        return gradient * slope


class SignWeight(torch.autograd.Function):
    """sign(w) · mean|w| per output channel, sign(0) = +1. Backward: identity.

    The mean (XNOR-Net, Rastegari et al., ECCV 2016) keeps the size of real weights,
    so that a network may begin with them and turn binary later.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return torch.where(weight >= 0, 1.0, -1.0) * mean_magnitude(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


sign_activation: Callable[[Tensor], Tensor] = SignActivation.apply
sign_weight: Callable[[Tensor], Tensor] = SignWeight.apply


def mean_magnitude(weight: Tensor) -> Tensor:
    """Mean of |w| per output channel: (O, I, k, k) to (O, 1, 1, 1)."""
    return weight.abs().mean((1, 2, 3), keepdim=True)


class Convolution(Layer):
    """Full-precision k×k convolution with replicate padding.

    ``gain`` multiplies the output, before any training and without being trained:
    a head with gain 10 and a tail with gain 1/10 let the features between them
    use ten times the range, which the binary gradient likes.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.border = kernel // 2
        self.gain = gain
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel)

    def zero(self) -> Self:
        """Sets all weights to zero: such a tail leaves bicubic as it is."""
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        return self

    def pass_on(self, rest: float = 0.5) -> Self:
        """Begins as the identity and a ``rest`` of what it would have been.

        So a skip leads over it from the first step, and costs nothing to run.
        """
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        with torch.no_grad():
            weight.copy_(nn.init.dirac_(torch.empty_like(weight)) + rest * weight)
            bias.zero_()
        return self

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolution(replicate_pad(x, self.border))
        return y * self.gain

    def operation(self, name: str, source: str) -> operations.Operation:
        convolution = self.convolution
        return operations.Convolution(
            name, source, convolution.out_channels, convolution.kernel_size[0]
        )

    def constants(self) -> Constants:
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        return {"weight": _numpy(weight * self.gain), "bias": _numpy(bias * self.gain)}


class BinaryConvolution(Layer):
    """k×k convolution of signs, batch norm, skip, activation: E2FIF's building block.

    ``activation(norm(sign(x) * sign(w)) + skip(x))``. The skip runs in full
    precision over every single convolution; ``skip`` names its variant where
    channels change (``operations.BinaryConvolution``). The activation is RPReLU
    (ReActNet, Liu et al., ECCV 2020): PReLU with a learned shift on both sides.

    While ``real_weights`` is set the weights are used as they are, and only the
    activations are binary.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        skip: str = "identity",
        activation: str = "rprelu",
    ) -> None:
        super().__init__()
        self.border = kernel // 2
        self.skip = skip
        self.real_weights = False
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.constant_(self.norm.weight, BRANCH)
        self.activation = RPReLU(out_channels) if activation == "rprelu" else None

    def pass_on(self) -> Self:
        """Begins as its skip alone; what it adds grows from nothing."""
        nn.init.zeros_(self.norm.weight)
        if self.activation is not None:
            nn.init.ones_(self.activation.slope)
        return self

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.sums(x))
        if self.skip != "none":
            y = y + skip(x, y.shape[1], self.skip)
        if self.activation is not None:
            y = self.activation(y)
        return y

    def sums(self, x: Tensor) -> Tensor:
        """The convolution alone, before batch norm."""
        weight = self.weight if self.real_weights else sign_weight(self.weight)
        signs = replicate_pad(sign_activation(x), self.border)
        return functional.conv2d(signs, weight)

    def operation(self, name: str, source: str) -> operations.Operation:
        out_channels, _, kernel, _ = self.weight.shape
        activation = "none" if self.activation is None else "rprelu"
        return operations.BinaryConvolution(
            name, source, out_channels, kernel, self.skip, activation
        )

    def constants(self) -> Constants:
        """Folds mean|w|, batch norm and the activation's first shift into scale and shift.

        norm(s·m) = (s·m − µ)·g + β with m = mean|w| and g = γ/√(σ² + ε); so
        scale = m·g and shift = β − µ·g. RPReLU's first shift comes after the skip
        and before the bend, and adds to the same shift.
        """
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        scale = mean_magnitude(self.weight.double()).flatten() * gain
        shift = norm.bias.double() - norm.running_mean.double() * gain
        parts = {"weight": packing.pack_weight(_numpy(self.weight)), "scale": _numpy(scale)}
        if self.activation is None:
            return parts | {"shift": _numpy(shift)}
        shift = shift - self.activation.shift.double().flatten()
        return parts | {
            "shift": _numpy(shift),
            "slope": _numpy(self.activation.slope.flatten()),
            "offset": _numpy(self.activation.offset.flatten()),
        }


class RPReLU(nn.Module):
    """y = prelu(x − shift) + offset, all three per channel (ReActNet, ECCV 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))
        self.slope = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.shift
        return torch.where(x >= 0, x, x * self.slope) + self.offset


class ChannelAttention(Layer):
    """x · sigmoid(up(relu(down(mean(x))))): RCAN's attention with a local mean, full precision.

    ``window`` is the side of the square around each pixel that the mean covers. Zhang
    et al., ECCV 2018, average over the whole picture instead, which no tile knows.
    """

    def __init__(self, channels: int, squeeze: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.down = nn.Conv2d(channels, squeeze, 1)
        self.up = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x
        if self.window > 1:
            mean = functional.avg_pool2d(replicate_pad(x, self.window // 2), self.window, stride=1)
        gate: Tensor = self.up(self.down(mean).relu()).sigmoid()
        return x * gate

    def operation(self, name: str, source: str) -> operations.Operation:
        return operations.ChannelAttention(name, source, self.down.out_channels, self.window)

    def constants(self) -> Constants:
        down, up = self.down, self.up
        assert down.bias is not None and up.bias is not None
        return {
            "down": _numpy(down.weight[:, :, 0, 0]),
            "down_bias": _numpy(down.bias),
            "up": _numpy(up.weight[:, :, 0, 0]),
            "up_bias": _numpy(up.bias),
        }


class PixelShuffle(Layer):
    """(N, C·f², H, W) to (N, C, f·H, f·W)."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(x, self.factor)

    def operation(self, name: str, source: str) -> operations.Operation:
        return operations.PixelShuffle(name, source, self.factor)


class Bicubic(Layer):
    """Bicubic enlargement of a one-channel picture, the same as ``bicubic.enlarge``."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("kernels", bicubic_kernels(factor), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # Bicubic is the base that everything is added to: never in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            kernels = self.get_buffer("kernels").to(x.dtype)
            places = functional.conv2d(replicate_pad(x, 2), kernels)
            return functional.pixel_shuffle(places, self.factor)

    def operation(self, name: str, source: str) -> operations.Operation:
        return operations.Bicubic(name, source, self.factor)


def _numpy(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().float().contiguous().cpu().numpy()
    return array
