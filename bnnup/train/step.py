"""How one step of training is computed: in which precision, by which optimizer, on a GPU as
one CUDA graph.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnnup.train.soap import Soap


def negative_psnr(image: Tensor, target: Tensor) -> Tensor:
    """Mean over patches of minus their PSNR in dB: the loss of HINet (Chen et al., CVPRW 2021).

    Patches are float32 in [0, 1], shaped (N, 1, H, W). One 8-bit level, squared, is added to
    every mean square error, or the gradients of flat patches would drown the others.
    """
    errors = (image - target).square().mean((1, 2, 3))
    return 10 * torch.log10(errors + 1 / 255**2).mean()


LOSS_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
    "psnr": negative_psnr,
}


class Objective(nn.Module):
    """What training minimises: a loss of luma, one of ``LOSSES`` by name.

    A module around the network, so that precision and data parallelism wrap the
    training step alone; validation runs the bare network in float32.
    """

    def __init__(self, network: nn.Module, loss: str) -> None:
        super().__init__()
        self.network = network
        self.loss = LOSS_FUNCTIONS[loss]

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return self.loss(self.network(low), high)


class Captured:
    """A training step as one CUDA graph, from random numbers to changed weights.

    It takes the launch of hundreds of small kernels off every step. The first steps, and
    those after ``stage`` has changed, run without it. Nothing in a step may depend on
    the host but ``random`` and what lies in the device's memory.
    """

    WARM_UP = 3  # steps: compiling, and what libraries do when they are first called

    def __init__(self, step: Callable[[Tensor], Tensor], stage: Callable[[], Any]) -> None:
        self._step, self._stage = step, stage
        self._captured_stage: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._steps = 0
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, random: Tensor) -> Tensor:
        if (stage := self._stage()) != self._captured_stage:
            self._captured_stage, self._graph, self._steps = stage, None, 0
        self._steps += 1
        if self._steps <= self.WARM_UP:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                loss = self._step(random)
            torch.cuda.current_stream().wait_stream(self._stream)
            return loss
        if self._graph is None:
            self._random = random.clone()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._loss = self._step(self._random)
            self._graph = graph
        self._random.copy_(random)
        self._graph.replay()
        return self._loss.clone()  # the graph writes the next one to the same place


def choose_optimizer(name: str, network: nn.Module) -> torch.optim.Optimizer:
    """A fresh optimizer of the network's parameters; every step sets its rate."""
    if name == "soap":
        return Soap(network.parameters())
    device = next(network.parameters()).device
    if device.type != "cuda":
        return torch.optim.Adam(network.parameters(), lr=0.0, fused=device.type == "cpu")
    warnings.filterwarnings("ignore", message=".*capturable=True")  # the first steps are not
    rate = torch.zeros((), device=device)  # a captured step reads it there
    return torch.optim.Adam(network.parameters(), lr=rate, fused=True, capturable=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate, in place where it lies on a device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def choose_precision(precision: str) -> str:
    """What "auto" means on this machine: "bf16" if the processor computes in it, else "no"."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Without MKL-DNN, as on Apple's processors, the operator is missing.
        available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        native = available and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if native else "no"
