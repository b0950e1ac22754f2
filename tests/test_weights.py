"""Model files: what is written comes back, and nothing else gets in."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnup.errors import WeightsError
from bnnup.model.file import Model, load_model, save_model, serialize
from bnnup.model.operations import Add, Bicubic, BinaryConvolution, Convolution, PixelShuffle
from bnnup.model.program import Program

PROGRAM = Program(
    2,
    (
        Convolution("head", "luma", 5, 3),
        BinaryConvolution("body", "head", 5, 3, "identity", "rprelu"),
        Convolution("tail", "body", 4, 1),
        PixelShuffle("shuffle", "tail", 2),
        Bicubic("base", "luma", 2),
        Add("result", "shuffle", "base"),
    ),
)
Header = dict[str, Any]


def random_tensors(program: Program) -> dict[str, np.ndarray]:
    """Normal floats; packed weights of 5 channels keep to their 5 bits."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=spec.shape).astype(np.float32)
        if spec.dtype == "float32"
        else rng.integers(0, 1 << 5, spec.shape, dtype=np.uint8)
        for name, spec in program.tensors().items()
    }


MODEL = Model(PROGRAM, random_tensors(PROGRAM), {"licence": "MIT", "scores": {"Set5": 37.5}})
SOUND = serialize(MODEL)


def split(file: bytes) -> tuple[Header, bytes]:
    """Header and tensor bytes, by the format's own description: length, JSON, data."""
    (length,) = struct.unpack("<Q", file[:8])
    header: Header = json.loads(file[8 : 8 + length])
    return header, file[8 + length :]


def join(header: Header, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_metadata(**changes: str | None) -> bytes:
    header, data = split(SOUND)
    metadata = header["__metadata__"] | changes
    header["__metadata__"] = {k: v for k, v in metadata.items() if v is not None}
    return join(header, data)


def with_entry(name: str, **changes: object) -> bytes:
    header, data = split(SOUND)
    header[name] |= changes
    return join(header, data)


def with_tensors(**changes: np.ndarray | None) -> bytes:
    """The sound file with tensors replaced, added or (None) left out; __ stands for a dot."""
    from safetensors.numpy import save

    renamed = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    tensors = {k: v for k, v in {**MODEL.tensors, **renamed}.items() if v is not None}
    return save(tensors, split(SOUND)[0]["__metadata__"])


def load_bytes(content: bytes, folder: Path) -> Model:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return load_model(path)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "größer-x2.safetensors"
    save_model(MODEL, path)
    loaded = load_model(path)
    assert loaded.program == MODEL.program
    assert loaded.about == MODEL.about
    assert loaded.tensors.keys() == MODEL.tensors.keys()
    for name, tensor in MODEL.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].flags.c_contiguous
    assert loaded.file_bytes == path.stat().st_size
    assert os.listdir(tmp_path) == [path.name]


def test_packed_weights_take_one_bit_each() -> None:
    """What one-bit networks are for: 64 × 64 × 9 signs in 4608 bytes."""
    network = Program(
        1,
        (
            Convolution("head", "luma", 64, 1),
            BinaryConvolution("body", "head", 64, 3, "identity", "none"),
            Convolution("tail", "body", 1, 1),
        ),
    )
    tensors = {k: np.zeros(s.shape, s.dtype) for k, s in network.tensors().items()}
    assert tensors["body.weight"].nbytes == 64 * 64 * 9 // 8


def test_non_contiguous_tensors_are_written_in_order(tmp_path: Path) -> None:
    turned = {name: np.asfortranarray(tensor) for name, tensor in MODEL.tensors.items()}
    save_model(Model(PROGRAM, turned), tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    for name, tensor in MODEL.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)


def changed(name: str, index: tuple[int, ...], value: float) -> np.ndarray:
    tensor = MODEL.tensors[name].copy()
    tensor[index] = value
    return tensor


HEAD = MODEL.tensors["head.weight"]
NESTED = '{"a":' * 900 + "1" + "}" * 900
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "one-byte": b"\0",
    "text": b"not a model at all, but long enough to hold a header length\n",
    "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "header-of-10-gb": struct.pack("<Q", 10 << 30) + SOUND[8:],
    "header-past-all": struct.pack("<Q", 2**64 - 1) + SOUND[8:],
    "header-too-long": struct.pack("<Q", len(SOUND)) + SOUND[8:],
    "header-deep": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "header-not-utf-8": struct.pack("<Q", 3) + b"{\xff}",
    "bytes-after-the-end": SOUND + b"\0" * 8,
    "no-metadata": with_metadata(**dict.fromkeys(split(SOUND)[0]["__metadata__"])),
    "other-format": with_metadata(format="pt"),
    "version-0": with_metadata(format_version="0"),
    "version-2": with_metadata(format_version="2"),
    "version-missing": with_metadata(format_version=None),
    "version-long": with_metadata(format_version="1" * 10_000),
    "program-missing": with_metadata(program=None),
    "program-not-json": with_metadata(program="EDSR"),
    "program-of-another": with_metadata(
        program=Program(2, (Bicubic("result", "luma", 2),)).to_json()
    ),
    "about-not-json": with_metadata(about="MIT"),
    "about-list": with_metadata(about="[]"),
    "about-nan": with_metadata(about='{"score":NaN}'),
    "about-infinite": with_metadata(about='{"score":1e999}'),
    "about-lone-surrogate": with_metadata(about='{"author":"\\ud800"}'),
    "about-deep": with_metadata(about=NESTED),
    "about-digits": with_metadata(about='{"score":' + "9" * 10_000 + "}"),
    "tensor-missing": with_tensors(head__weight=None),
    "tensor-extra": with_tensors(head__weights=HEAD),
    "tensor-without-operation": with_tensors(hull__weight=HEAD),
    "float64": with_tensors(head__weight=HEAD.astype(np.float64)),
    "float16": with_tensors(head__weight=HEAD.astype(np.float16)),
    "int8-weight": with_tensors(body__weight=MODEL.tensors["body.weight"].astype(np.int8)),
    "unpacked-weight": with_tensors(body__weight=np.ones((5, 5, 3, 3), np.float32)),
    "flat": with_tensors(head__weight=HEAD.ravel()),
    "transposed": with_tensors(head__weight=np.ascontiguousarray(HEAD.T)),
    "without-size": with_tensors(head__weight=HEAD[:0]),
    "nan": with_tensors(head__weight=changed("head.weight", (0, 0, 0, 0), np.nan)),
    "infinite": with_tensors(body__scale=changed("body.scale", (4,), -np.inf)),
    "bit-past-the-channels": with_tensors(
        body__weight=changed("body.weight", (4, 2, 2, 0), 1 << 5)
    ),
    # dtypes and shapes that the format allows and numpy does not have
    "bfloat16": with_entry("head.weight", dtype="BF16", shape=[5, 1, 3, 6]),
    "float8": with_entry("head.weight", dtype="F8_E4M3", shape=[5, 1, 3, 12]),
    "unknown-dtype": with_entry("head.weight", dtype="F7"),
    "negative-shape": with_entry("head.weight", shape=[-5, -1, 3, 3]),
    "shape-of-2-to-the-64": with_entry("head.weight", shape=[2**63, 2]),
    "offsets-past-the-end": with_entry("head.weight", data_offsets=[0, 1 << 40]),
    "offsets-swapped": with_entry("head.weight", data_offsets=[180, 0]),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_bytes(content, tmp_path)
    message = str(caught.value)
    assert "model.safetensors" in message
    assert len(message) < 1000
    assert "\n" not in message


def test_truncated_anywhere(tmp_path: Path) -> None:
    for length in [*range(0, 64), *range(64, len(SOUND), 37), len(SOUND) - 1]:
        with pytest.raises(WeightsError):
            load_bytes(SOUND[:length], tmp_path)


def test_zero_dimensions_beyond_numpy(tmp_path: Path) -> None:
    """No bytes at all, yet larger than any array: the format allows it."""
    header, data = split(SOUND)
    header["ghost"] = {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}
    with pytest.raises(WeightsError):
        load_bytes(join(header, data), tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        load_model(tmp_path / "absent.safetensors")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a file"):
        load_model(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(WeightsError, match="not a file"):
        load_model(tmp_path / "pipe.safetensors")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything"
)
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(MODEL, path)
    path.chmod(0)
    with pytest.raises(WeightsError, match="denied"):
        load_model(path)


def test_sparse_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(SOUND)
    os.truncate(path, 1 << 30)
    with pytest.raises(WeightsError, match="too large"):
        load_model(path)


@pytest.mark.parametrize("parent", ["absent", "file"])
def test_failed_save_is_one_clear_error_and_leaves_nothing(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot write"):
        save_model(MODEL, tmp_path / parent / "model.safetensors")
    assert os.listdir(tmp_path) == ["file"]


def test_failed_save_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"precious")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WeightsError, match="No space left"):
        save_model(MODEL, path)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"precious"


def test_names_as_long_as_the_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("m" * 243 + ".safetensors")
    save_model(MODEL, path)
    assert load_model(path).program == PROGRAM


def test_models_made_in_python_are_checked_alike() -> None:
    tensors = {name: tensor for name, tensor in MODEL.tensors.items() if name != "tail.bias"}
    with pytest.raises(WeightsError, match=r"tail\.bias"):
        Model(PROGRAM, tensors)


def test_an_operation_without_tensors_needs_none(tmp_path: Path) -> None:
    model = Model(Program(2, (Bicubic("base", "luma", 2),)), {})
    save_model(model, tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").program == model.program


# Whatever a file is turned into, it loads or is refused; pytest fails on any other exception.


def loads_or_is_refused(content: bytes, folder: Path) -> None:
    try:
        model = load_bytes(content, folder)
    except WeightsError:
        return
    assert model.program.tensors().keys() == model.tensors.keys()
    assert serialize(model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


positions = st.integers(0, len(SOUND) - 1) | st.integers(0, len(SOUND) - len(split(SOUND)[1]))
edits = st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=300, deadline=2000, derandomize=True)
@given(edits, st.integers(0, 8))
def test_mutated_bytes(folder: Path, edits: list[tuple[int, int]], cut: int) -> None:
    mutant = bytearray(SOUND)
    for position, byte in edits:
        mutant[position] = byte
    loads_or_is_refused(bytes(mutant[: len(mutant) - cut]), folder)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 5, 8, 2**31, 2**63, 2**64, 10**400, -1])
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from(["luma", "head", "body", "none", "rprelu", "average", "identity"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a JSON document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    inner = [value[k] for k in keys if isinstance(value[k], dict | list)]
    return [(value, k) for k in keys] + [place for v in inner for place in places(v)]


@settings(max_examples=300, deadline=2000, derandomize=True)
@given(st.data())
def test_mutated_program(folder: Path, data: st.DataObject) -> None:
    document = {"program": json.loads(PROGRAM.to_json())}
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(document)))
        container[key] = data.draw(junk)
    loads_or_is_refused(with_metadata(program=json.dumps(document["program"])), folder)


@settings(max_examples=100, deadline=2000, derandomize=True)
@given(junk)
def test_mutated_about(folder: Path, about: Any) -> None:
    loads_or_is_refused(with_metadata(about=json.dumps(about)), folder)
    loads_or_is_refused(with_metadata(about=json.dumps({"about": about})), folder)


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(
    st.sampled_from(sorted(MODEL.tensors)),
    st.sampled_from(["F32", "U8", "I8", "F64", "BOOL", "BF16", "F8_E5M2", "F4", "C64", "U64"]),
    st.lists(st.sampled_from([0, 1, 2, 3, 5, 9, 2**31, 2**62, 2**64 - 1]), max_size=5),
    st.integers(-200, 200),
)
def test_mutated_tensor_entry(
    folder: Path, name: str, dtype: str, shape: list[int], shift: int
) -> None:
    header, data = split(SOUND)
    offsets = [max(0, offset + shift) for offset in header[name]["data_offsets"]]
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    loads_or_is_refused(join(header, data), folder)
