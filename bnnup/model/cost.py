"""Size and work of a network, counted from its program."""

from dataclasses import dataclass
from math import prod

from bnnup.model.program import Program

SIGNS_PER_WORD = 64  # binary multiply-adds that count as one operation


@dataclass(frozen=True)
class Cost:
    """What a program costs on a picture of a given size.

    ``ops`` is the literature's measure (Bi-Real Net, ECCV 2018): binary
    multiply-adds / 64 + full-precision multiply-adds. The bicubic base, sums and
    activations do not count there.
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
        inputs = program.inputs(operation)
        macs, pixels = operation.multiply_adds(inputs), height * width * inputs[0].factor ** 2
        binary_macs += pixels * macs.binary
        full_macs += pixels * macs.full
        binary_parameters += macs.binary  # each weight is used once a pixel
        full_parameters += sum(
            prod(spec.shape) for spec in operation.tensors(inputs).values() if spec.dtype != "uint8"
        )
    return Cost(binary_parameters, full_parameters, binary_macs, full_macs)
