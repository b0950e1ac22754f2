"""Each layer alone, against formulas written out and against torch in float64."""

from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bnnup.backends.torch import TorchBackend, replicate_pad, skip
from bnnup.model.file import Model
from bnnup.nn import ARCHITECTURES, EDSR, export
from bnnup.nn.layers import (
    Bicubic,
    BinaryConvolution,
    ChannelAttention,
    Convolution,
    sign_activation,
    sign_weight,
)
from bnnup.pixels import bicubic

Module = TypeVar("Module", bound=nn.Module)


def randomize(module: Module) -> Module:
    """Every parameter and statistic at random, negative batch-norm gains included."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        assert norm.running_mean is not None and norm.running_var is not None
        nn.init.normal_(norm.running_mean, std=5)
        nn.init.uniform_(norm.running_var, 0.5, 40)
    return module


def test_sign_of_an_activation_and_of_zero() -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-30, -1e-30])
    assert sign_activation(x).tolist() == [-1, 1, 1, 1, -1]


def test_sign_gradient_is_bi_reals_triangle() -> None:
    x = torch.tensor([-1.5, -1.0, -0.75, -0.25, 0.0, 0.5, 0.999, 1.0, 3.0], requires_grad=True)
    (2 * sign_activation(x)).sum().backward()  # type: ignore[no-untyped-call]
    # 2 + 2x on [-1, 0), 2 − 2x on [0, 1), else 0; times the 2 from above.
    expected = torch.tensor([0, 0, 1.0, 3.0, 4.0, 2.0, 0.004, 0, 0])
    torch.testing.assert_close(x.grad, expected)


def test_weight_sign_keeps_the_mean_magnitude_and_passes_the_gradient() -> None:
    weight = torch.tensor(
        [[[[-3.0, 1.0, 0.0, 4.0]]], [[[0.5, -0.5, 0.5, -0.5]]]], requires_grad=True
    )
    signs = sign_weight(weight)
    assert signs.tolist() == [[[[-2.0, 2.0, 2.0, 2.0]]], [[[0.5, -0.5, 0.5, -0.5]]]]
    gradient = torch.randn_like(weight)
    signs.backward(gradient)  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.equal(weight.grad, gradient)


@pytest.mark.parametrize("border", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3)], ids=str)
def test_padding_copies_the_border(shape: tuple[int, int], border: int) -> None:
    x = torch.randn(2, 3, *shape)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (border, border), (border, border)), mode="edge")
    assert np.array_equal(replicate_pad(x, border).numpy(), expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_layer_is_the_resize(factor: int) -> None:
    plane = np.random.default_rng(0).random((9, 7)).astype(np.float32)
    enlarged = Bicubic(factor)(torch.from_numpy(plane)[None, None])
    np.testing.assert_allclose(enlarged[0, 0], bicubic.enlarge(plane, factor), atol=1e-6)


def test_bicubic_stays_in_float32_under_autocast() -> None:
    plane = torch.rand(1, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        enlarged = Bicubic(2)(plane)
    assert torch.equal(enlarged, Bicubic(2)(plane))


SKIPS = [
    ("identity", 8, 8),
    ("average", 12, 4),
]


@pytest.mark.parametrize(("kind", "incoming", "outgoing"), SKIPS, ids=[s[0] for s in SKIPS])
def test_skip_variants_channel_by_channel(kind: str, incoming: int, outgoing: int) -> None:
    x = torch.randn(2, incoming, 3, 4)
    y = skip(x, outgoing, kind)
    for c in range(outgoing):
        sources = {
            "identity": [c],
            "average": range(c, incoming, outgoing),
        }[kind]
        torch.testing.assert_close(y[:, c], torch.stack([x[:, s] for s in sources]).mean(0))


@pytest.mark.parametrize("activation", ["rprelu", "none"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    ("kind", "incoming", "outgoing"),
    [*SKIPS, ("none", 5, 8)],
    ids=[*(s[0] for s in SKIPS), "none"],
)
def test_folded_equals_unfolded(
    kind: str, incoming: int, outgoing: int, kernel: int, activation: str
) -> None:
    layer = BinaryConvolution(incoming, outgoing, kernel, kind, activation)
    head = Convolution(1, incoming, gain=10.0)
    network = randomize(nn.Sequential(head, layer, Convolution(outgoing, 1, gain=0.1))).eval()
    program, tensors = export(network, 1)
    folded = TorchBackend(Model(program, tensors), dtype=torch.float64)
    luma = np.random.default_rng(0).random((9, 8)).astype(np.float32)
    with torch.no_grad():
        unfolded = network.double()(torch.from_numpy(luma).double()[None, None])[0, 0]
    # Folded constants are rounded to float32; everything else is exact.
    np.testing.assert_allclose(folded.run(luma), unfolded, rtol=1e-5, atol=1e-4)


def test_binary_convolution_by_definition() -> None:
    """Unpacked, unfolded, in plain loops over float64."""
    layer = randomize(BinaryConvolution(3, 3)).eval()
    x = torch.randn(1, 3, 4, 5)
    with torch.no_grad():
        result = layer(x)[0].double().numpy()
    weight = layer.weight.detach().double().numpy()
    norm, bend = layer.norm, layer.activation
    assert bend is not None and norm.running_mean is not None and norm.running_var is not None
    padded = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    for c in range(3):
        signs = np.where(weight[c] >= 0, 1, -1)
        for i in range(4):
            for j in range(5):
                total = (np.where(padded[:, i : i + 3, j : j + 3] >= 0, 1, -1) * signs).sum()
                y = total * np.abs(weight[c]).mean()
                y = (y - norm.running_mean[c].item()) / np.sqrt(
                    norm.running_var[c].item() + norm.eps
                )
                y = y * norm.weight[c].item() + norm.bias[c].item() + x[0, c, i, j].item()
                y -= bend.shift[c].item()
                y = (y if y >= 0 else y * bend.slope[c].item()) + bend.offset[c].item()
                assert result[c, i, j] == pytest.approx(y, abs=1e-4)


def test_real_weights_are_used_as_they_are() -> None:
    layer = BinaryConvolution(4, 4)
    x = torch.randn(1, 4, 6, 6)
    signs = functional.pad(torch.where(x >= 0, 1.0, -1.0), (1, 1, 1, 1), mode="replicate")
    assert layer.activation is not None
    layer.real_weights = True
    expected = layer.activation(layer.norm(functional.conv2d(signs, layer.weight)) + x)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_edsr_is_bicubic(scale: int) -> None:
    """The tail begins at zero, so training starts from bicubic and not from noise."""
    plane = torch.rand(1, 1, 6, 5)
    network = EDSR(scale, blocks=1, channels=8).eval()
    with torch.no_grad():
        assert torch.equal(network(plane), Bicubic(scale)(plane))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_exported_network_equals_the_module(architecture: str, scale: int) -> None:
    network = randomize(ARCHITECTURES[architecture](scale, 1, 8)).eval()
    program, tensors = export(network, scale)
    luma = np.random.default_rng(2).random((13, 11)).astype(np.float32)
    result = TorchBackend(Model(program, tensors), dtype=torch.float64).run(luma)
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(luma).double()[None, None])[0, 0].numpy()
    # Folded constants are rounded to float32, and add up over the layers.
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_binary_convolution_lies_under_a_full_precision_skip(architecture: str) -> None:
    """With all corrections at zero, what enters the body leaves it: the flow is never cut."""
    network = ARCHITECTURES[architecture](2, 1, 8).eval()
    for layer in network.modules():
        if isinstance(layer, BinaryConvolution):
            nn.init.zeros_(layer.norm.weight)
            if layer.activation is not None:
                nn.init.ones_(layer.activation.slope)
    # What the flow itself computes, in a hybrid network, cuts nothing; RCAN's second is beside it.
    for name, layer in network.get_submodule("body").named_modules():
        if isinstance(layer, Convolution):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
            if not name.endswith("second"):
                nn.init.dirac_(layer.convolution.weight)
    features = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        flow = network.get_submodule("body")(features)
    gain = flow.flatten()[0] / features.flatten()[0]
    assert 1 <= gain <= 2
    torch.testing.assert_close(flow, gain * features)


@pytest.mark.parametrize("window", [1, 5])
def test_channel_attention_by_definition(window: int) -> None:
    layer = randomize(ChannelAttention(6, 2, window))
    x = torch.randn(1, 6, 5, 7)
    border = window // 2
    padded = np.pad(x[0].numpy(), ((0, 0), (border, border), (border, border)), mode="edge")
    with torch.no_grad():
        result = layer(x)[0].numpy()
    parts = layer.constants()
    for i in range(5):
        for j in range(7):
            mean = padded[:, i : i + window, j : j + window].mean((1, 2))
            squeezed = np.maximum(parts["down"] @ mean + parts["down_bias"], 0)
            gate = 1 / (1 + np.exp(-(parts["up"] @ squeezed + parts["up_bias"])))
            np.testing.assert_allclose(result[:, i, j], x[0, :, i, j].numpy() * gate, atol=1e-5)


def test_export_refuses_what_a_program_cannot_say() -> None:
    class Network(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x)

    with pytest.raises(TypeError, match="tanh"):
        export(Network(), 1)
