"""The torch-free description of a trained network: an ordered list of operations.

A program takes one value, ``luma`` of shape (1, H, W), and every operation adds
one value, called by the operation's ``name``; the last one is the result, of
shape (1, scale·H, scale·W). Operations read values that stand before them, so a
program has no cycles by construction. The tensors of an operation are called
``<name>.<part>``; their dtypes and shapes follow from the program alone.

Engine, cost report and validation read programs and nothing else; none of them
knows which backbone a program came from.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, ClassVar

from bnnup.errors import WeightsError

INPUT = "luma"

# Limits for files from strangers: far above any network in the literature, far
# below what could exhaust memory before the tensors themselves are compared.
MAX_OPERATIONS = 4096
MAX_CHANNELS = 4096  # of one value, per input pixel: at ×2, a quarter of it
MAX_SCALE = 8
MAX_NAME = 128
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


@dataclass(frozen=True)
class Program:
    """A checked network description. Making an unsound one raises WeightsError."""

    scale: int
    operations: tuple[Operation, ...]
    values: Mapping[str, Value] = dataclasses.field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Values from a file are not quoted before they are known to be short and flat.
        if not _is_int(self.scale) or not 1 <= self.scale <= MAX_SCALE:
            raise WeightsError(f"scale must be a whole number from 1 to {MAX_SCALE}")
        if not 1 <= len(self.operations) <= MAX_OPERATIONS:
            raise WeightsError(f"a program has 1 to {MAX_OPERATIONS} operations")
        values = {INPUT: Value(1, 1, Fraction(0))}
        for operation in self.operations:
            values[operation.name] = self._infer(operation, values)
        object.__setattr__(self, "values", values)
        result = values[self.result]
        if (result.channels, result.factor) != (1, self.scale):
            raise WeightsError(
                f"the program ends with {result.channels} channels at ×{result.factor}, "
                f"not one channel at ×{self.scale}"
            )

    @staticmethod
    def _infer(operation: Operation, values: Mapping[str, Value]) -> Value:
        for entry in dataclasses.fields(operation):
            if not _is_sound(entry.type, getattr(operation, entry.name)):
                raise WeightsError(f"{operation.op}: field {entry.name!r} is malformed")
        if operation.name in values:
            raise operation.fail("the name is used twice")
        for name in operation.inputs():
            if name not in values:
                raise operation.fail(f"reads {name!r}, which no earlier operation makes")
        value = operation.infer([values[name] for name in operation.inputs()])
        if value.channels * value.factor**2 > MAX_CHANNELS:
            raise operation.fail(f"makes more than {MAX_CHANNELS} samples of each input pixel")
        if value.factor > MAX_SCALE:
            raise operation.fail(f"enlarges by more than {MAX_SCALE}")
        return value

    @property
    def result(self) -> str:
        """Name of the last operation, whose value is the enlarged luma."""
        return self.operations[-1].name

    @property
    def halo(self) -> int:
        """Input pixels around a tile, each way, that its result depends on."""
        return ceil(self.values[self.result].radius)

    def inputs(self, operation: Operation) -> list[Value]:
        """What an operation of this program reads."""
        return [self.values[name] for name in operation.inputs()]

    def releases(self) -> list[tuple[str, ...]]:
        """For each operation, the values that nothing reads after it."""
        last = {name: i for i, o in enumerate(self.operations) for name in (o.name, *o.inputs())}
        del last[self.result]
        dead: list[list[str]] = [[] for _ in self.operations]
        for name, i in last.items():
            dead[i].append(name)
        return [tuple(names) for names in dead]

    def tensors(self) -> dict[str, TensorSpec]:
        """Every tensor that the program needs, by full name."""
        return {
            f"{operation.name}.{part}": spec
            for operation in self.operations
            for part, spec in operation.tensors(self.inputs(operation)).items()
        }

    def to_json(self) -> str:
        """The program as it stands in a file."""
        operations = [{"op": o.op, **dataclasses.asdict(o)} for o in self.operations]
        return json.dumps({"scale": self.scale, "operations": operations}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Program":
        """Reads untrusted text; WeightsError says what is wrong with it."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the program is not JSON: {error}") from error
        if not isinstance(document, dict) or set(document) != {"scale", "operations"}:
            raise WeightsError("a program is an object with 'scale' and 'operations'")
        entries = document["operations"]
        if not isinstance(entries, list) or len(entries) > MAX_OPERATIONS:
            raise WeightsError(f"'operations' is a list of at most {MAX_OPERATIONS}")
        return cls(document["scale"], tuple(_read_operation(entry) for entry in entries))


def _read_operation(entry: Any) -> Operation:
    if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
        raise WeightsError("every operation is an object with a string 'op'")
    kind = OPERATIONS.get(entry["op"])
    if kind is None:
        raise WeightsError(
            f"unknown operation {entry['op'][:MAX_NAME]!r}; this version knows "
            f"{', '.join(OPERATIONS)}: a newer bnnup may be needed"
        )
    fields = [field.name for field in dataclasses.fields(kind)]
    if set(entry) != {"op", *fields}:
        raise WeightsError(f"a {kind.op} has exactly the fields {', '.join(fields)}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry.items()
        if name != "op"
    }
    return kind(**values)


def _is_sound(annotation: object, value: Any) -> bool:
    """Whether a field has its annotated type and is within the limits."""
    if annotation is int:
        return _is_int(value) and 1 <= value <= MAX_CHANNELS
    if annotation is str:
        return _is_name(value)
    return isinstance(value, tuple) and len(value) <= MAX_CHANNELS and all(map(_is_name, value))


def _is_name(value: object) -> bool:
    """Printable, so that every message, tensor name and encoding can hold it."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME and value.isprintable()


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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
