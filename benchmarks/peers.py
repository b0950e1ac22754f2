"""What a user could run instead of the engine: the same network in other runtimes.

Peers run EDSR's full-precision twin: the same convolutions, skips and activations on
real numbers, with their own zero padding. To run the binary network itself they would
have to compute its signs on top of that, so this is the faster of their two choices.
Every peer takes (1, 1, H, W) float32 luma and is a function without arguments.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BLOCKS, CHANNELS, SCALE = 16, 64, 4

Call = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """A runtime: what it is called, what it needs, and how to make it ready."""

    name: str
    packages: tuple[str, ...]
    prepare: Callable[[NDArray[np.float32], int], Call]

    def missing(self) -> list[str]:
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


def make_twin() -> "torch.nn.Module":
    """EDSR in full precision, random weights."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
            self.activation = nn.PReLU(CHANNELS)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.activation(self.convolution(x) + x)
            return y

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(1, CHANNELS, 3, padding=1)
            self.body = nn.Sequential(*(Block() for _ in range(2 * BLOCKS)))
            self.tail = nn.Conv2d(CHANNELS, SCALE**2, 3, padding=1)
            self.base = nn.Conv2d(1, SCALE**2, 5, padding=2)  # bicubic's place
            self.shuffle = nn.PixelShuffle(SCALE)

        def forward(self, luma: torch.Tensor) -> torch.Tensor:
            parts = self.tail(self.body(self.head(luma))) + self.base(luma)
            enlarged: torch.Tensor = self.shuffle(parts)
            return enlarged

    torch.manual_seed(0)
    return Twin().eval()


def prepare_torch(luma: NDArray[np.float32], threads: int, dtype: str) -> Call:
    import torch

    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    # torch's stubs lack this overload, which its documentation names.
    twin = make_twin().to(kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.from_numpy(luma).to(kind).to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return twin(x)

    return run


def prepare_onnxruntime(luma: NDArray[np.float32], threads: int) -> Call:
    import io

    import onnxruntime
    import torch

    file = io.BytesIO()
    example = (torch.from_numpy(luma),)
    torch.onnx.export(make_twin(), example, file, dynamo=False)  # type: ignore[arg-type]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: luma}
    return lambda: session.run(None, feed)


def prepare_openvino(
    network: "torch.nn.Module",
    luma: NDArray[np.float32],
    threads: int,
    precision: str,
) -> Call:
    """``network`` in fp32, bf16, or int8, to which it is quantized without training."""
    import openvino
    import torch

    model = openvino.convert_model(
        network, example_input=torch.from_numpy(luma), input=[luma.shape]
    )
    settings: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    if precision == "int8":
        import nncf

        # Ranges that one picture shows do: the time does not depend on them.
        with contextlib.redirect_stdout(sys.stderr):  # nncf shows its progress
            model = nncf.quantize(model, nncf.Dataset([luma]), subset_size=1)
    else:
        settings["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[precision]
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(luma))
    infer: Call = request.infer
    return infer


def openvino_peer(precision: str) -> Peer:
    packages = ("torch", "openvino", *(["nncf"] if precision == "int8" else []))
    return Peer(
        f"OpenVINO {precision}",
        packages,
        lambda x, n: prepare_openvino(make_twin(), x, n, precision),
    )


PEERS = (
    Peer("torch fp32", ("torch",), lambda x, n: prepare_torch(x, n, "float32")),
    Peer("torch bf16", ("torch",), lambda x, n: prepare_torch(x, n, "bfloat16")),
    Peer("ONNX Runtime fp32", ("torch", "onnx", "onnxruntime"), prepare_onnxruntime),
    *(openvino_peer(precision) for precision in ("fp32", "bf16", "int8")),
)


def available(names: list[str] | None = None) -> Iterator[Peer]:
    """Peers that are installed, those called ``names`` if given."""
    for peer in PEERS:
        if (names is None or peer.name in names) and not peer.missing():
            yield peer
