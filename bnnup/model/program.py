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
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from bnnup.errors import WeightsError
from bnnup.model.operations import MAX_SCALE, OPERATIONS, Operation, TensorSpec, Value

INPUT = "luma"

# Limits for files from strangers: far above any network in the literature, far
# below what could exhaust memory before the tensors themselves are compared.
MAX_OPERATIONS = 4096
MAX_CHANNELS = 4096  # of one value, per input pixel: at ×2, a quarter of it
MAX_NAME = 128


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
