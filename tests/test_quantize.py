"""Full-precision convolutions as integers: what they compute, and what is lost."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnup.errors import WeightsError
from bnnup.model.file import Model
from bnnup.model.operations import BinaryConvolution, Convolution, QuantizedConvolution
from bnnup.model.program import Program

torch = pytest.importorskip("torch")

from bnnup.backends.torch import TorchBackend  # noqa: E402
from bnnup.nn import export, quantize  # noqa: E402
from bnnup.nn.edsr import EDSR  # noqa: E402
from bnnup.nn.hybrid import Hybrid  # noqa: E402
from bnnup.nn.quantize import dequantize  # noqa: E402


def luma(height: int = 40, width: int = 50) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((height, width), np.float32)


def hybrid(scale: int = 2) -> Model:
    """Pairs whose numbers differ from channel to channel by a factor of up to 1,000."""
    torch.manual_seed(0)
    network = Hybrid(scale, blocks=3, channels=16)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("convolution.weight"):
                size = 10 ** torch.empty(parameter.shape[0], 1, 1, 1).uniform_(-1.5, 1.5)
                parameter.copy_(torch.randn(parameter.shape) * size / 12)
    return Model(*export(network.eval(), scale))


def convolution(weight: NDArray[np.int16]) -> Model:
    """Luma in so many channels, and a quantized convolution of 1×1 to one."""
    channels = weight.shape[1]
    network = Program(
        1, (Convolution("head", "luma", channels, 1), QuantizedConvolution("c", "head", 1, 1))
    )
    tensors = {name: np.ones(spec.shape, spec.dtype) for name, spec in network.tensors().items()}
    return Model(network, tensors | {"c.weight": weight})


def test_a_quantized_convolution_by_definition() -> None:
    random = np.random.default_rng(0)
    network = Program(
        1,
        (
            Convolution("head", "luma", 2, 1),
            QuantizedConvolution("body", "head", 1, 3),
        ),
    )
    tensors = {
        "head.weight": np.array([1, -2], np.float32).reshape(2, 1, 1, 1),
        "head.bias": np.zeros(2, np.float32),
        "body.weight": random.integers(-3640, 3641, (1, 2, 3, 3), np.int16),
        "body.levels": np.array([8, 30_000], np.float32),
        "body.scale": np.array([0.5], np.float32),
        "body.bias": np.array([-3], np.float32),
    }
    x = np.array([[0.0625, 0.1875, 0.3], [0.9, -0.4, 1]], np.float32)  # times 8: 0.5 and 1.5
    padded = np.pad(x.astype(np.float64), 1, "edge")
    first = np.rint(8 * padded)
    assert (first[1, 1], first[1, 2]) == (0, 2)  # halves go to even
    second = np.clip(np.rint(-60_000 * padded), -8_191, 8_191)
    expected = np.empty((2, 3))
    for i in range(2):
        for j in range(3):
            window = np.stack([first[i : i + 3, j : j + 3], second[i : i + 3, j : j + 3]])
            expected[i, j] = 0.5 * (window * tensors["body.weight"][0]).sum() - 3
    result = TorchBackend(Model(network, tensors), dtype=torch.float64).run(x)
    np.testing.assert_array_equal(result, expected.astype(np.float32))


@pytest.mark.parametrize("scale", [2, 4])
def test_a_quantized_network_computes_nearly_the_same(scale: int) -> None:
    model = hybrid(scale)
    exact = TorchBackend(model, dtype=torch.float64).run(luma())
    rounded = TorchBackend(quantize(model), dtype=torch.float64).run(luma())
    added = np.std(exact - np.kron(luma(), np.ones((scale, scale))))
    assert 0 < np.std(rounded - exact) < added / 150


def test_convolutions_of_few_channels_stay_as_they_are() -> None:
    kinds = {o.name: type(o) for o in quantize(hybrid(2)).program.operations}
    assert kinds["head"] is kinds["tail"] is Convolution
    assert [kinds[f"body.{i}"] for i in range(6)] == [BinaryConvolution, QuantizedConvolution] * 3
    assert {o.name: type(o) for o in quantize(hybrid(4)).program.operations}[
        "tail"
    ] is QuantizedConvolution
    plain = Model(*export(EDSR(2, 1, 32).eval(), 2))
    assert quantize(plain) == plain


def test_weights_come_back_within_half_a_step() -> None:
    model = hybrid()
    rounded = quantize(model)
    back = dequantize(rounded)
    assert back.program == model.program
    for operation in rounded.program.operations:
        if not isinstance(operation, QuantizedConvolution):
            continue
        scale, levels = (rounded.tensors[f"{operation.name}.{p}"] for p in ("scale", "levels"))
        step = scale[:, None, None, None] * levels[:, None, None]
        name = f"{operation.name}.weight"
        assert (np.abs(back.tensors[name] - model.tensors[name]) <= 0.501 * step).all()
    assert quantize(back).program == rounded.program


def test_channels_without_input_or_weights_are_quantized_too() -> None:
    model = hybrid()
    empty = {"head.weight": np.zeros((16, 1, 3, 3)), "body.1.weight": np.zeros((16, 16, 3, 3))}
    tensors = {**model.tensors, **{k: v.astype(np.float32) for k, v in empty.items()}}
    rounded = quantize(replace(model, tensors=tensors))
    assert np.isfinite(TorchBackend(rounded).run(luma())).all()


@pytest.mark.parametrize(
    "weight",
    [np.full((1, 4, 1, 1), 3641), np.full((1, 2, 1, 1), -32768), np.full((1, 19, 1, 1), 3500)],
    ids=["large", "largest", "large-together"],
)
def test_weights_without_room_for_their_sums_are_refused(weight: NDArray[np.int64]) -> None:
    with pytest.raises(WeightsError, match=r"'c\.weight' exceeds 3640"):
        convolution(weight.astype(np.int16))
    convolution(np.full((1, 18, 1, 1), 3640, np.int16))
