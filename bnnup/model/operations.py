"""The operations of a program: what each reads and makes, which tensors it needs, what it costs.

Every operation makes one value, called by its ``name``, of values that stand before it. The
tensors of an operation are called ``<name>.<part>``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from bnnup.errors import WeightsError

# Limits for files from strangers: far above any network in the literature.
MAX_SCALE = 8
MAX_WINDOW = 63
KERNELS = (1, 3, 5)

ACTIVATIONS: dict[str, tuple[str, ...]] = {"none": (), "rprelu": ("slope", "offset")}
SKIPS = ("none", "identity", "average")


@dataclass(frozen=True)
class TensorSpec:
    """What a stored tensor must be: numpy dtype name and shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """What is known of an intermediate picture before anything runs.

    ``factor`` is its size in units of the input's; ``radius`` says how many input
    pixels away (each way) it looks.
    """

    channels: int
    factor: int
    radius: Fraction


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds for each pixel: those of signs, and those of full-precision numbers."""

    binary: int = 0
    full: int = 0


@dataclass(frozen=True)
class Operation:
    """One step of a program. ``name`` names both the operation and its value."""

    op: ClassVar[str]
    name: str

    def inputs(self) -> tuple[str, ...]:
        """Names of the values that the operation reads."""
        raise NotImplementedError

    def infer(self, inputs: Sequence[Value]) -> Value:
        """The operation's value; WeightsError when the inputs do not fit."""
        raise NotImplementedError

    def tensors(self, inputs: Sequence[Value]) -> dict[str, TensorSpec]:
        """Tensors that the operation needs, by part name."""
        return {}

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        """Multiply-adds for each pixel of what the operation reads."""
        raise NotImplementedError

    def fail(self, reason: str) -> WeightsError:
        """An error that names this operation."""
        return WeightsError(f"operation {self.name!r} ({self.op}): {reason}")


@dataclass(frozen=True)
class Unary(Operation):
    """An operation with one input."""

    input: str

    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Convolution(Unary):
    """Full-precision convolution with bias, replicate padding, stride 1."""

    op: ClassVar[str] = "convolution"
    channels: int
    kernel: int

    def infer(self, inputs: Sequence[Value]) -> Value:
        return _infer_convolution(self, self.channels, self.kernel, inputs)

    def tensors(self, inputs: Sequence[Value]) -> dict[str, TensorSpec]:
        shape = (self.channels, inputs[0].channels, self.kernel, self.kernel)
        return {
            "weight": TensorSpec("float32", shape),
            "bias": TensorSpec("float32", (self.channels,)),
        }

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds(full=self.channels * inputs[0].channels * self.kernel**2)


@dataclass(frozen=True)
class QuantizedConvolution(Unary):
    """Convolution of 16-bit integers with bias, replicate padding, stride 1.

    ``scale · (q(x) * weight) + bias`` with ``q(x) = clamp(round(levels · x), ±LARGEST_INPUT)``,
    halves rounded to even. ``levels``, for each input channel, says how many integers there
    are to 1. Sums over the kernel are exact: 32 bits hold four times as much, because the
    magnitudes of an output channel's weights add up to ``LARGEST_SUM`` at most. Inputs and
    weights are so small that 16 bits hold what fast algorithms add up first, four inputs or
    nine weights (Winograd's, Lavin and Gray, CVPR 2016).
    """

    op: ClassVar[str] = "quantized_convolution"
    channels: int
    kernel: int

    LARGEST_INPUT: ClassVar[int] = 2**13 - 1
    LARGEST_WEIGHT: ClassVar[int] = (2**15 - 1) // 9
    LARGEST_SUM: ClassVar[int] = 2**16

    def infer(self, inputs: Sequence[Value]) -> Value:
        return _infer_convolution(self, self.channels, self.kernel, inputs)

    def tensors(self, inputs: Sequence[Value]) -> dict[str, TensorSpec]:
        shape = (self.channels, inputs[0].channels, self.kernel, self.kernel)
        return {
            "weight": TensorSpec("int16", shape),
            "levels": TensorSpec("float32", (inputs[0].channels,)),
            "scale": TensorSpec("float32", (self.channels,)),
            "bias": TensorSpec("float32", (self.channels,)),
        }

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds(full=self.channels * inputs[0].channels * self.kernel**2)


@dataclass(frozen=True)
class BinaryConvolution(Unary):
    """Convolution of signs, then scale, shift, skip and activation.

    ``activation(scale · (sign(x) * sign(w)) + shift + skip(x))``, the sum over the
    kernel being an exact integer, padding replicated. ``skip`` says what of ``x`` joins
    output channel c:

    * ``identity``: channel c,
    * ``average``: the mean of channels c, c + C_out, … (C_in a multiple of C_out),
    * ``none``: nothing.

    The ``activation`` is ``none``, or ``rprelu``: ``(x if x >= 0 else slope · x) + offset``
    per channel, whose shift before the bend is part of ``shift`` already.

    Weights are packed along input channels, eight to a byte, as ``packing`` says.
    """

    op: ClassVar[str] = "binary_convolution"
    channels: int
    kernel: int
    skip: str
    activation: str

    def infer(self, inputs: Sequence[Value]) -> Value:
        (x,) = inputs
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise self.fail(f"unknown activation {self.activation!r}; known: {known}")
        fits = {
            "none": True,
            "identity": x.channels == self.channels,
            "average": x.channels % self.channels == 0,
        }
        if self.skip not in fits:
            raise self.fail(f"unknown skip {self.skip!r}; known: {', '.join(SKIPS)}")
        if not fits[self.skip]:
            raise self.fail(
                f"skip {self.skip!r} cannot lead {x.channels} to {self.channels} channels"
            )
        return _infer_convolution(self, self.channels, self.kernel, inputs)

    def tensors(self, inputs: Sequence[Value]) -> dict[str, TensorSpec]:
        packed = (self.channels, self.kernel, self.kernel, (inputs[0].channels + 7) // 8)
        vectors = ("scale", "shift", *ACTIVATIONS[self.activation])
        return {"weight": TensorSpec("uint8", packed)} | {
            part: TensorSpec("float32", (self.channels,)) for part in vectors
        }

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds(binary=self.channels * inputs[0].channels * self.kernel**2)


@dataclass(frozen=True)
class Add(Operation):
    """Sum of two values of one shape."""

    op: ClassVar[str] = "add"
    left: str
    right: str

    def inputs(self) -> tuple[str, ...]:
        return (self.left, self.right)

    def infer(self, inputs: Sequence[Value]) -> Value:
        a, b = inputs
        if (a.channels, a.factor) != (b.channels, b.factor):
            raise self.fail(f"shapes differ: {a.channels}×{a.factor} and {b.channels}×{b.factor}")
        return Value(a.channels, a.factor, max(a.radius, b.radius))

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds()


@dataclass(frozen=True)
class Concatenate(Operation):
    """Values of one size, stacked along channels."""

    op: ClassVar[str] = "concatenate"
    parts: tuple[str, ...]

    def inputs(self) -> tuple[str, ...]:
        return self.parts

    def infer(self, inputs: Sequence[Value]) -> Value:
        if not inputs:
            raise self.fail("nothing to concatenate")
        if len({x.factor for x in inputs}) != 1:
            raise self.fail("sizes differ")
        channels = sum(x.channels for x in inputs)
        return Value(channels, inputs[0].factor, max(x.radius for x in inputs))

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds()


@dataclass(frozen=True)
class PixelShuffle(Unary):
    """(C·f², H, W) to (C, f·H, f·W), channel order as in Shi et al., CVPR 2016."""

    op: ClassVar[str] = "pixel_shuffle"
    factor: int

    def infer(self, inputs: Sequence[Value]) -> Value:
        (x,) = inputs
        _check_factor(self, self.factor)
        if x.channels % self.factor**2:
            raise self.fail(f"{x.channels} channels cannot be shuffled by {self.factor}")
        return Value(x.channels // self.factor**2, x.factor * self.factor, x.radius)

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds()


@dataclass(frozen=True)
class Bicubic(Unary):
    """Bicubic enlargement, a = −0.5, borders replicated: ``bnnup.pixels.bicubic.enlarge``."""

    op: ClassVar[str] = "bicubic"
    factor: int

    def infer(self, inputs: Sequence[Value]) -> Value:
        (x,) = inputs
        _check_factor(self, self.factor)
        return Value(x.channels, x.factor * self.factor, x.radius + Fraction(2, x.factor))

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds()


@dataclass(frozen=True)
class ChannelAttention(Unary):
    """Channels weighed by what surrounds a pixel (after RCAN, Zhang et al., ECCV 2018).

    ``x · sigmoid(up · relu(down · mean(x) + down_bias) + up_bias)``, all in full
    precision. RCAN averages over the whole picture; here ``mean`` covers the
    ``window``×``window`` pixels around each one (borders replicated), so that a
    tile gives what the whole picture gives. Window 1 is pixel attention.
    """

    op: ClassVar[str] = "channel_attention"
    squeeze: int
    window: int

    def infer(self, inputs: Sequence[Value]) -> Value:
        (x,) = inputs
        if self.window % 2 == 0 or self.window > MAX_WINDOW:
            raise self.fail(f"window must be odd and at most {MAX_WINDOW}, not {self.window}")
        return Value(x.channels, x.factor, x.radius + Fraction(self.window // 2, x.factor))

    def tensors(self, inputs: Sequence[Value]) -> dict[str, TensorSpec]:
        channels = inputs[0].channels
        return {
            "down": TensorSpec("float32", (self.squeeze, channels)),
            "down_bias": TensorSpec("float32", (self.squeeze,)),
            "up": TensorSpec("float32", (channels, self.squeeze)),
            "up_bias": TensorSpec("float32", (channels,)),
        }

    def multiply_adds(self, inputs: Sequence[Value]) -> MultiplyAdds:
        return MultiplyAdds(full=2 * self.squeeze * inputs[0].channels)


OPERATIONS: dict[str, type[Operation]] = {
    kind.op: kind
    for kind in (
        Convolution,
        QuantizedConvolution,
        BinaryConvolution,
        Add,
        Concatenate,
        PixelShuffle,
        Bicubic,
        ChannelAttention,
    )
}


def _infer_convolution(
    operation: Operation, channels: int, kernel: int, inputs: Sequence[Value]
) -> Value:
    if kernel not in KERNELS:
        raise operation.fail(f"kernel must be one of {KERNELS}, not {kernel}")
    (x,) = inputs
    return Value(channels, x.factor, x.radius + Fraction(kernel // 2, x.factor))


def _check_factor(operation: Operation, factor: int) -> None:
    if not 1 <= factor <= MAX_SCALE:
        raise operation.fail(f"factor must be 1 to {MAX_SCALE}, not {factor}")
