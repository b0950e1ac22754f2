"""Size and work of a network, counted from its program."""

from dataclasses import dataclass
from math import prod

from bnnup.model.program import (
    BinaryConvolution,
    ChannelAttention,
    Convolution,
    Operation,
    Program,
    Value,
)

SIGNS_PER_WORD = 64  # binary multiply-adds that count as one operation


@dataclass(frozen=True)
class Cost:
    """What a program costs on a picture of a given size.

    ``ops`` is the literature's measure (Bi-Real Net, ECCV 2018): binary
    multiply-adds / 64 + full-precision multiply-adds.
    """

    binary_parameters: int
    full_parameters: int
    binary_macs: int
    full_macs: int

    @property
    def parameters(self) -> int:
        return self.binary_parameters + self.full_parameters

    @property
    def ops(self) -> int:
        return self.binary_macs // SIGNS_PER_WORD + self.full_macs

    @property
    def fp32_bytes(self) -> int:
        """Bytes of the same network with every parameter in float32."""
        return 4 * self.parameters


def count(program: Program, height: int, width: int) -> Cost:
    """Cost of enlarging a one-channel picture of height × width pixels."""
    binary_parameters = full_parameters = binary_macs = full_macs = 0
    for operation in program.operations:
        (first, *_) = program.inputs(operation)
        pixels = height * width * first.factor**2
        for part, spec in operation.tensors([first]).items():
            if isinstance(operation, BinaryConvolution) and part == "weight":
                binary_parameters += operation.channels * operation.kernel**2 * first.channels
            else:
                full_parameters += prod(spec.shape)
        macs = _macs_per_pixel(operation, first)
        if isinstance(operation, BinaryConvolution):
            binary_macs += pixels * macs
        else:
            full_macs += pixels * macs
    return Cost(binary_parameters, full_parameters, binary_macs, full_macs)


def _macs_per_pixel(operation: Operation, value: Value) -> int:
    if isinstance(operation, Convolution | BinaryConvolution):
        return operation.channels * value.channels * operation.kernel**2
    if isinstance(operation, ChannelAttention):
        return 2 * operation.squeeze * value.channels
    return 0
