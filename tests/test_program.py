"""Programs: what is refused, how far a network looks, what it costs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnnup.errors import WeightsError
from bnnup.model import cost
from bnnup.model.file import Model
from bnnup.model.operations import (
    Add,
    Bicubic,
    BinaryConvolution,
    ChannelAttention,
    Concatenate,
    Convolution,
    Operation,
    PixelShuffle,
    QuantizedConvolution,
)
from bnnup.model.program import MAX_OPERATIONS, Program

# One of each operation, so that every rule has something to break.
SOUND = Program(
    2,
    (
        Convolution("head", "luma", 8, 3),
        BinaryConvolution("body", "head", 8, 3, "identity", "rprelu"),
        Add("sum", "body", "head"),
        Concatenate("both", ("sum", "body")),
        ChannelAttention("gate", "both", 4, 5),
        QuantizedConvolution("rounded", "gate", 12, 3),
        Convolution("tail", "rounded", 4, 1),
        PixelShuffle("shuffle", "tail", 2),
        Bicubic("base", "luma", 2),
        Add("result", "shuffle", "base"),
    ),
)
HEAD, BODY, SUM, BOTH, GATE, ROUNDED, TAIL, SHUFFLE, BASE, RESULT = range(10)
Document = dict[str, Any]


def document() -> Document:
    sound: Document = json.loads(SOUND.to_json())
    return sound


def with_field(index: int, **fields: object) -> Document:
    changed = document()
    changed["operations"][index] |= fields
    return changed


def without_field(index: int, name: str) -> Document:
    changed = document()
    del changed["operations"][index][name]
    return changed


def test_json_round_trip() -> None:
    assert Program.from_json(SOUND.to_json()) == SOUND


def test_values_follow_from_the_operations() -> None:
    assert {name: (v.channels, v.factor) for name, v in SOUND.values.items()} == {
        "luma": (1, 1),
        "head": (8, 1),
        "body": (8, 1),
        "sum": (8, 1),
        "both": (16, 1),
        "gate": (16, 1),
        "rounded": (12, 1),
        "tail": (4, 1),
        "shuffle": (1, 2),
        "base": (1, 2),
        "result": (1, 2),
    }


def test_tensors_follow_from_the_operations() -> None:
    tensors = {name: (spec.dtype, spec.shape) for name, spec in SOUND.tensors().items()}
    assert tensors == {
        "head.weight": ("float32", (8, 1, 3, 3)),
        "head.bias": ("float32", (8,)),
        "body.weight": ("uint8", (8, 3, 3, 1)),
        "body.scale": ("float32", (8,)),
        "body.shift": ("float32", (8,)),
        "body.slope": ("float32", (8,)),
        "body.offset": ("float32", (8,)),
        "gate.down": ("float32", (4, 16)),
        "gate.down_bias": ("float32", (4,)),
        "gate.up": ("float32", (16, 4)),
        "gate.up_bias": ("float32", (16,)),
        "rounded.weight": ("int16", (12, 16, 3, 3)),
        "rounded.levels": ("float32", (16,)),
        "rounded.scale": ("float32", (12,)),
        "rounded.bias": ("float32", (12,)),
        "tail.weight": ("float32", (4, 12, 1, 1)),
        "tail.bias": ("float32", (4,)),
    }


MALFORMED: dict[str, Document] = {
    "unknown-operation": with_field(HEAD, op="exec"),
    "op-missing": without_field(HEAD, "op"),
    "op-not-text": with_field(HEAD, op=["convolution"]),
    "extra-field": with_field(HEAD, dilation=1),
    "missing-field": without_field(HEAD, "kernel"),
    "extra-key": document() | {"name": "x"},
    "scale-missing": {"operations": document()["operations"]},
    "scale-bool": document() | {"scale": True},
    "scale-float": document() | {"scale": 2.0},
    "scale-nan": document() | {"scale": float("nan")},
    "scale-zero": document() | {"scale": 0},
    "scale-huge": document() | {"scale": 10**4000},
    "scale-not-the-result's": document() | {"scale": 3},
    "operations-empty": document() | {"operations": []},
    "operations-object": document() | {"operations": {}},
    "operation-not-an-object": document() | {"operations": ["convolution"]},
    "channels-bool": with_field(HEAD, channels=True),
    "channels-float": with_field(HEAD, channels=8.0),
    "channels-text": with_field(HEAD, channels="8"),
    "channels-null": with_field(HEAD, channels=None),
    "channels-zero": with_field(HEAD, channels=0),
    "channels-negative": with_field(HEAD, channels=-8),
    "channels-huge": with_field(HEAD, channels=10**4000),
    "channels-infinite": with_field(HEAD, channels=float("inf")),
    "kernel-even": with_field(HEAD, kernel=2),
    "kernel-large": with_field(HEAD, kernel=7),
    "kernel-of-integers": with_field(ROUNDED, kernel=4),
    "name-empty": with_field(RESULT, name=""),
    "name-long": with_field(RESULT, name="n" * 129),
    "name-number": with_field(RESULT, name=1),
    "name-list": with_field(RESULT, name=["result"]),
    "name-lone-surrogate": with_field(RESULT, name="\ud800"),
    "name-two-lines": with_field(RESULT, name="a\nb"),
    "name-used-twice": with_field(RESULT, name="head"),
    "name-of-the-input": with_field(RESULT, name="luma"),
    "reads-itself": with_field(BODY, input="body"),
    "reads-later-value": with_field(BODY, input="sum"),
    "reads-nothing-known": with_field(BODY, input="nowhere"),
    "part-later": with_field(BOTH, parts=["sum", "gate"]),
    "parts-empty": with_field(BOTH, parts=[]),
    "parts-text": with_field(BOTH, parts="sum"),
    "parts-number": with_field(BOTH, parts=["sum", 1]),
    "parts-nested": with_field(BOTH, parts=[["sum"]]),
    "parts-of-two-sizes": document()
    | {
        "operations": [
            *document()["operations"][:RESULT],
            {"op": "concatenate", "name": "x", "parts": ["base", "luma"]},
        ]
    },
    "parts-make-too-many-channels": with_field(BOTH, parts=["sum"] * 4096),
    "skip-unknown": with_field(BODY, skip="dense"),
    "activation-unknown": with_field(BODY, activation="gelu"),
    "squeeze-zero": with_field(GATE, squeeze=0),
    "window-even": with_field(GATE, window=4),
    "window-large": with_field(GATE, window=65),
    "window-negative": with_field(GATE, window=-3),
    "shuffle-does-not-divide": with_field(TAIL, channels=6),
    "factor-large": with_field(BASE, factor=9),
    "factor-zero": with_field(BASE, factor=0),
    "sum-of-two-sizes": with_field(RESULT, right="luma"),
    "ends-with-many-channels": document() | {"operations": document()["operations"][: BODY + 1]},
    "ends-small": document() | {"operations": [document()["operations"][HEAD] | {"channels": 1}]},
}


@pytest.mark.parametrize("broken", MALFORMED.values(), ids=MALFORMED)
def test_malformed_program_is_refused_in_one_line(broken: Document) -> None:
    with pytest.raises(WeightsError) as caught:
        Program.from_json(json.dumps(broken))
    assert 0 < len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


NOT_JSON = {
    "empty": "",
    "text": "program",
    "cut": SOUND.to_json()[:-2],
    "null": "null",
    "list": "[]",
    "digits": "1" * 100_000,
    "deep": "[" * 100_000,
    "deep-and-closed": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("text", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_program_at_all_is_refused(text: str) -> None:
    with pytest.raises(WeightsError):
        Program.from_json(text)


@pytest.mark.parametrize("key", ["scale", "name", "channels"])
def test_nesting_that_the_parser_can_just_follow_is_refused(key: str) -> None:
    """At depths right below the interpreter's limit, so much as quoting it may exceed that."""
    changed = document() | {key: "here"} if key == "scale" else with_field(HEAD, **{key: "here"})
    text = json.dumps(changed)
    for depth in range(500, 1000):
        with pytest.raises(WeightsError):
            Program.from_json(text.replace('"here"', "[" * depth + "]" * depth))


def test_number_of_operations_is_limited() -> None:
    chain = [PixelShuffle("a0", "luma", 1)]
    chain += [PixelShuffle(f"a{i}", f"a{i - 1}", 1) for i in range(1, MAX_OPERATIONS)]
    longest = Program(1, tuple(chain))
    assert Program.from_json(longest.to_json()) == longest
    longer = json.loads(longest.to_json())
    longer["operations"].append({"op": "bicubic", "name": "x", "input": "a0", "factor": 1})
    with pytest.raises(WeightsError, match="4096"):
        Program.from_json(json.dumps(longer))


@pytest.mark.parametrize(
    ("skip", "before", "after", "fits"),
    [
        ("none", 8, 5, True),
        ("identity", 8, 8, True),
        ("identity", 8, 16, False),
        ("identity", 8, 4, False),
        ("average", 24, 8, True),
        ("average", 24, 16, False),
        ("average", 8, 16, False),
    ],
)
def test_skip_fits_channels(skip: str, before: int, after: int, fits: bool) -> None:
    def build() -> Program:
        return Program(
            1,
            (
                Convolution("head", "luma", before, 1),
                BinaryConvolution("body", "head", after, 3, skip, "none"),
                Convolution("tail", "body", 1, 1),
            ),
        )

    if fits:
        assert build().values["body"].channels == after
    else:
        with pytest.raises(WeightsError, match="skip"):
            build()


@pytest.mark.parametrize(
    "operation",
    [
        Convolution("x", "luma", 0, 3),
        Convolution("x", "luma", True, 3),
        BinaryConvolution("x", "luma", 0, 3, "average", "none"),
        ChannelAttention("x", "luma", 0, 3),
        ChannelAttention("x", "luma", 1, -1),
        Concatenate("x", ()),
        Bicubic("", "luma", 1),
    ],
    ids=repr,
)
def test_programs_made_in_python_are_checked_alike(operation: Operation) -> None:
    with pytest.raises(WeightsError):
        Program(1, (operation,))


# How far a network looks


def reach(network: Program, seed: int = 0) -> tuple[int, int]:
    """Furthest input pixel, up or left and down or right, that a change of one pixel reaches."""
    backend = pytest.importorskip("bnnup.backends.torch")
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.uniform(0.1, 1, spec.shape).astype(np.float32)
        if spec.dtype == "float32"
        else np.full(spec.shape, spec.dtype == "int16", spec.dtype)
        for name, spec in network.tensors().items()
    }
    run = backend.TorchBackend(Model(network, tensors)).run
    centre = network.halo + 3
    plane = rng.uniform(0.2, 0.4, (2 * centre + 1,) * 2).astype(np.float32)
    before = run(plane)
    plane[centre, centre] = -9  # far enough to turn every sign around it
    rows, columns = np.nonzero(run(plane) != before)
    offsets = np.concatenate([rows, columns]) // network.scale - centre
    return -int(offsets.min()), int(offsets.max())


def convolutions(*kernels: int) -> Program:
    names = ["luma", *(f"c{i}" for i in range(len(kernels)))]
    return Program(
        1,
        tuple(
            Convolution(name, source, 1, kernel)
            for name, source, kernel in zip(names[1:], names, kernels, strict=False)
        ),
    )


@pytest.mark.parametrize("kernels", [(1,), (3,), (5,), (3, 3), (5, 1, 3), (3,) * 6], ids=str)
def test_halo_of_plain_convolutions_is_tight(kernels: tuple[int, ...]) -> None:
    network = convolutions(*kernels)
    expected = sum(kernel // 2 for kernel in kernels)
    assert (network.halo, reach(network)) == (expected, (expected, expected))


MIXED = {
    "every-operation": SOUND,
    "bicubic": Program(3, (Bicubic("base", "luma", 3),)),
    "attention": Program(
        1,
        (
            Convolution("c", "luma", 4, 1),
            ChannelAttention("g", "c", 2, 7),
            Convolution("t", "g", 1, 1),
        ),
    ),
    "convolution-after-shuffle": Program(
        2,
        (
            Convolution("a", "luma", 4, 3),
            PixelShuffle("b", "a", 2),
            Convolution("c", "b", 1, 3),
            Convolution("d", "c", 1, 5),
        ),
    ),
    "shuffle-in-two-steps": Program(
        4,
        (
            Convolution("a", "luma", 4, 3),
            PixelShuffle("b", "a", 2),
            Convolution("c", "b", 4, 3),
            PixelShuffle("d", "c", 2),
            Convolution("e", "d", 1, 3),
        ),
    ),
    "bicubic-of-enlarged": Program(4, (Bicubic("a", "luma", 2), Bicubic("b", "a", 2))),
}


@pytest.mark.parametrize("network", MIXED.values(), ids=MIXED)
def test_nothing_beyond_the_halo_is_looked_at(network: Program) -> None:
    up, down = reach(network)
    assert 0 < max(up, down) <= network.halo


# What a network costs


def edsr(blocks: int, channels: int, scale: int) -> Program:
    names = ["head", *(f"body{i}" for i in range(2 * blocks))]
    body = (
        BinaryConvolution(name, source, channels, 3, "identity", "rprelu")
        for name, source in zip(names[1:], names, strict=False)
    )
    return Program(
        scale,
        (
            Convolution("head", "luma", channels, 3),
            *body,
            Convolution("tail", names[-1], scale**2, 3),
            PixelShuffle("shuffle", "tail", scale),
            Bicubic("base", "luma", scale),
            Add("result", "base", "shuffle"),
        ),
    )


def test_cost_of_edsr_is_the_sum_by_hand() -> None:
    counted = cost.count(edsr(16, 64, 4), 180, 320)
    pixels = 320 * 180
    assert counted.binary_macs == 1_179_648 * pixels  # 32 layers of 64 · 64 · 9
    assert counted.full_macs == (576 + 9216) * pixels  # head 64 · 9, tail 64 · 16 · 9
    assert counted.ops == (1_179_648 // 64 + 576 + 9216) * pixels
    assert counted.binary_parameters == 1_179_648
    # Head and tail with bias; scale, shift, slope and offset of every binary layer.
    assert counted.full_parameters == (576 + 64) + (9216 + 16) + 32 * 4 * 64
    assert counted.fp32_bytes == 4 * (counted.binary_parameters + counted.full_parameters)


def test_halo_of_edsr() -> None:
    """34 layers of 3×3; bicubic looks less far."""
    assert edsr(16, 64, 4).halo == 34


def test_work_after_enlarging_counts_per_enlarged_pixel() -> None:
    network = Program(2, (Bicubic("a", "luma", 2), Convolution("b", "a", 1, 3)))
    assert cost.count(network, 5, 7).full_macs == 9 * (2 * 5) * (2 * 7)


def test_a_changed_copy_is_checked_again() -> None:
    with pytest.raises(WeightsError):
        replace(SOUND, scale=3)
