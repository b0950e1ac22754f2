"""Every kernel of this machine against the meaning of its operations, in whole numbers.

The networks here compute integers small enough for float32 to hold exactly, so that
the engine must equal torch to the last bit.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnup.model import packing
from bnnup.model.file import Model
from bnnup.model.operations import (
    ACTIVATIONS,
    BinaryConvolution,
    Convolution,
    Operation,
    QuantizedConvolution,
)
from bnnup.model.program import INPUT, MAX_CHANNELS, Program
from bnnup.pixels import bicubic, chroma, color

engine = pytest.importorskip("bnnup.backends.engine", exc_type=ImportError)
torch_backend = pytest.importorskip("bnnup.backends.torch")

KERNELS = engine.kernels()
# Around a byte, a vector of 16 channels, a word, two words; and 31 = 16 + 8 + 4 + 2 + 1.
CHANNELS = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 576, 31 * 64]
# Around the pixels that kernels do at a time, and the 64 of a block.
WIDTHS = [1, 2, 3, 4, 5, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129]


def test_there_are_kernels_and_portable_is_one_of_them() -> None:
    assert KERNELS
    assert KERNELS[-1] == "portable"


def between_ends(before: int, body: Operation, head: int = 1) -> Program:
    """Luma to channels, by a kernel of so many pixels; the body; its channels to one."""
    return Program(
        1,
        (
            Convolution("head", INPUT, before, head),
            body,
            Convolution("tail", "body", 1, 1),
        ),
    )


def binary_model(
    before: int,
    after: int,
    kernel: int,
    skip: str = "none",
    activation: str = "none",
    seed: int = 0,
) -> Model:
    """Luma to integers of both signs, through one binary convolution, to an integer."""
    random = np.random.default_rng(before + after)
    body = BinaryConvolution("body", "head", after, kernel, skip, activation)
    network = between_ends(before, body, head=3)
    return Model(
        network,
        {
            name: random.integers(0, 256, spec.shape, np.uint8)
            if spec.dtype == "uint8"
            else random.integers(-3, 4, spec.shape).astype(np.float32)
            for name, spec in network.tensors().items()
        }
        | {
            "body.weight": packing.pack_weight(
                random.standard_normal((after, before, kernel, kernel))
            )
        },
    )


def whole_numbers(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(width).integers(-2, 3, (height, width)).astype(np.float32)


def assert_exact(model: Model, luma: NDArray[np.float32], kernel: str) -> None:
    expected = torch_backend.TorchBackend(model, dtype=torch_backend.torch.float64).run(luma)
    assert np.abs(expected).max() < 2**24
    result = engine.Engine(model, threads=1, kernel=kernel).run(luma)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_channels_in(kernel: str, channels: int) -> None:
    assert_exact(binary_model(channels, 5, 3), whole_numbers(3, 9), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("channels", CHANNELS[:-2])
def test_channels_out(kernel: str, channels: int) -> None:
    assert_exact(binary_model(5, channels, 3, activation="rprelu"), whole_numbers(3, 9), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", WIDTHS)
def test_widths(kernel: str, width: int) -> None:
    assert_exact(binary_model(17, 33, 3), whole_numbers(2, width), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("channels", [3, 64, 100, 576])
def test_kernel_sizes(kernel: str, size: int, channels: int) -> None:
    assert_exact(binary_model(channels, 6, size), whole_numbers(4, 6), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("skip", "before", "after"),
    [
        ("identity", 24, 24),
        ("identity", 64, 64),
        ("average", 64, 16),
        ("average", 52, 13),
    ],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_skips_and_activations(
    kernel: str, skip: str, before: int, after: int, activation: str
) -> None:
    model = binary_model(before, after, 3, skip, activation)
    assert_exact(model, whole_numbers(3, 7), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("channels", [1, 8, 16, 64, 65, 130])
def test_order_of_packed_signs(kernel: str, channels: int) -> None:
    """One channel is negative; the network must say which.

    The weights of output j are those signs that a lone −1 in channel j makes: the dot
    product is C where they agree, and C − 4 elsewhere.
    """
    one_hot = np.eye(channels, dtype=np.float32)
    for channel in {0, channels // 2, channels - 1}:
        model = Model(
            Program(
                1,
                (
                    Convolution("head", INPUT, channels, 1),
                    BinaryConvolution("body", "head", channels, 1, "none", "none"),
                    Convolution("tail", "body", 1, 1),
                ),
            ),
            {
                "head.weight": -one_hot[channel].reshape(-1, 1, 1, 1),
                "head.bias": np.zeros(channels, np.float32),
                "body.weight": packing.pack_weight(-one_hot[..., None, None]),
                "body.scale": np.full(channels, 0.25, np.float32),
                "body.shift": np.full(channels, 1 - channels / 4, np.float32),
                "tail.weight": np.arange(channels, dtype=np.float32).reshape(1, -1, 1, 1),
                "tail.bias": np.zeros(1, np.float32),
            },
        )
        result = engine.Engine(model, kernel=kernel).run(np.ones((1, 1), np.float32))
        assert result.item() == channel


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sum_does_not_overflow(kernel: str, sign: int) -> None:
    """4096 channels under 5×5 weights, all of one sign: ±102400, far beyond 16 bits."""
    network = Program(
        1,
        (
            Convolution("head", INPUT, MAX_CHANNELS, 1),
            BinaryConvolution("body", "head", 1, 5, "none", "none"),
        ),
    )
    tensors = {
        name: np.ones(spec.shape, spec.dtype) for name, spec in network.tensors().items()
    } | {
        "body.weight": packing.pack_weight(np.full((1, MAX_CHANNELS, 5, 5), sign)),
        "body.shift": np.zeros(1, np.float32),
    }
    result = engine.Engine(Model(network, tensors), kernel=kernel).run(np.ones((2, 3), np.float32))
    assert (result == sign * 25 * MAX_CHANNELS).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (64, 16), (20, 4)])
@pytest.mark.parametrize("width", [1, 13])
def test_full_precision_convolution(
    kernel: str, size: int, channels: tuple[int, int], width: int
) -> None:
    random = np.random.default_rng(size)
    before, after = channels
    network = between_ends(before, Convolution("body", "head", after, size))
    tensors = {
        name: random.integers(-2, 3, spec.shape).astype(np.float32)
        for name, spec in network.tensors().items()
    }
    assert_exact(Model(network, tensors), whole_numbers(5, width), kernel)


def quantized_model(before: int, after: int, size: int) -> Model:
    """Luma to 256ths, these to whole numbers, halves included, and to an integer."""
    random = np.random.default_rng(before + after)
    network = between_ends(before, QuantizedConvolution("body", "head", after, size))
    tensors = {
        name: random.integers(-3, 4, spec.shape).astype(spec.dtype)
        for name, spec in network.tensors().items()
    }
    tensors["head.weight"] /= 256
    tensors["head.bias"] /= 256
    tensors["body.levels"] = random.choice(np.array([16, 32, 64, 128], np.float32), before)
    return Model(network, tensors)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (16, 16), (32, 32), (20, 4), (37, 33)])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 11, 12, 13, 24])
def test_quantized_convolution(
    kernel: str, size: int, channels: tuple[int, int], width: int
) -> None:
    assert_exact(quantized_model(*channels, size), 7 * whole_numbers(5, width), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", [200, 700])
def test_quantized_convolution_in_blocks_and_bands(kernel: str, width: int) -> None:
    assert_exact(quantized_model(64, 32, 3), 7 * whole_numbers(90, width), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("luma", [1e30, -1e30, 40_000.0, -3.5e9])
@pytest.mark.parametrize("size", [1, 3])
def test_quantized_inputs_are_clamped_and_their_largest_sum_is_exact(
    kernel: str, size: int, luma: float
) -> None:
    """18 inputs of ±8,191 by weights of ±3,640: far beyond 24 bits, four times it within 32."""
    kind, channels = QuantizedConvolution, 18 // size**2
    network = Program(
        1,
        (Convolution("head", INPUT, channels, 1), kind("body", "head", 1, size)),
    )
    tensors = {
        name: np.ones(spec.shape, spec.dtype) for name, spec in network.tensors().items()
    } | {
        "head.bias": np.zeros(channels, np.float32),
        "body.weight": np.full((1, channels, size, size), -3_640, np.int16),
        "body.bias": np.zeros(1, np.float32),
    }
    result = engine.Engine(Model(network, tensors), kernel=kernel).run(
        np.full((3, 5), luma, np.float32)
    )
    assert (result == np.float32(-np.sign(luma) * 18 * 8_191 * 3_640)).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_zero_of_either_sign_counts_as_plus_one_and_nan_alike(kernel: str) -> None:
    model = binary_model(3, 1, 1)
    tensors = dict(model.tensors)
    tensors |= {"head.bias": np.zeros(3, np.float32), "tail.bias": np.zeros(1, np.float32)}
    network = engine.Engine(Model(model.program, tensors), kernel=kernel)
    zeros = np.array([[0.0, -0.0]], np.float32)
    results = network.run(zeros)
    assert results[0, 0] == results[0, 1]
    expected = torch_backend.TorchBackend(Model(model.program, tensors)).run(zeros)
    np.testing.assert_array_equal(results, expected)


@pytest.mark.parametrize("kernel", engine.kernels())
def test_every_kernel_enlarges_chroma_and_merges(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits of numpy, by the kernel that BNNUP_KERNEL names."""
    monkeypatch.setenv("BNNUP_KERNEL", kernel)
    y, cb, cr = np.random.default_rng(0).random((3, 37, 53), np.float32)
    for factor in (2, 3, 4):
        expected = bicubic.enlarge(cb, factor, (0.1, -0.2))
        np.testing.assert_array_equal(engine.enlarge(cb, factor, (0.1, -0.2)), expected)
    luma = bicubic.enlarge(y, 2) ** 2
    cb, cr = cb - 0.5, cr - 0.5
    led = (chroma.follow(c, y, luma, 2, damaged=True) for c in (cb, cr))
    codes = color.quantize(color.merge(luma, *led), np.dtype(np.uint8))
    merged = np.empty((*luma.shape, 3), np.uint8)
    engine.merge((y, cb, cr), luma, merged, damaged=True)
    np.testing.assert_array_equal(merged, codes)


def test_chroma_obeys_the_forced_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNNUP_KERNEL", "abacus")
    plane = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match=r"abacus.*portable"):
        engine.enlarge(plane, 2)
    with pytest.raises(ValueError, match=r"abacus.*portable"):
        engine.merge((plane, plane, plane), plane, np.empty((4, 4, 3), np.uint8), damaged=False)
