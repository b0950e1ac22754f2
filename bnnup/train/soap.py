"""SOAP: Adam in the basis in which a weight's gradients are least correlated."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 4  # rows and columns from which a weight is taken for a matrix


class Soap(torch.optim.Optimizer):
    """SOAP (Vyas et al., ICLR 2025): Adam in the eigenbasis of Shampoo's preconditioner.

    A weight (O, I, k, k) is a matrix (O, I·k·k). The two bases that it is turned into,
    one for its rows and one for its columns, follow the gradients by a step of power
    iteration every ``every`` steps. What is no matrix of at least ``SMALLEST`` rows and
    columns is trained by plain Adam. Weights of one shape are stepped together, and all
    of them need a gradient in every step.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        basis_beta: float = 0.95,
        every: int = 10,
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "basis_beta": basis_beta, "every": every, "eps": eps}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; the first one only measures what the bases begin with."""
        assert closure is None
        for group in self.param_groups:
            for weights in _by_shape(group["params"]):
                # The state of weights that are stepped together is kept with the first.
                state = self.state[weights[0]]
                gradient = _joined(weights)
                if state:
                    _add(weights, -group["lr"] * _direction(group, state, gradient))
                else:
                    state |= _beginning(gradient)


def _beginning(gradient: Tensor) -> dict[str, Any]:
    state: dict[str, Any] = {
        "count": torch.zeros(()),
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
    }
    if gradient.ndim == 3:
        correlations = {"rows": gradient @ gradient.mT, "columns": gradient.mT @ gradient}
        for side, matrix in correlations.items():
            state[side] = matrix
            state[f"{side}_basis"] = torch.linalg.eigh(matrix).eigenvectors
    return state


def _direction(group: dict[str, Any], state: dict[str, Any], gradient: Tensor) -> Tensor:
    """Adam's direction, in the bases of matrices; updates the state."""
    state["count"] += 1
    count = int(state["count"])
    beta, beta_square = group["betas"]
    mean: Tensor = state["mean"]
    square: Tensor = state["square"]
    mean.lerp_(gradient, 1 - beta)
    square.lerp_(_turned(state, gradient).square(), 1 - beta_square)
    size = (square / (1 - beta_square**count)).sqrt() + group["eps"]
    direction: Tensor = _turned_back(state, _turned(state, mean) / size) / (1 - beta**count)
    if gradient.ndim == 3:
        state["rows"].lerp_(gradient @ gradient.mT, 1 - group["basis_beta"])
        state["columns"].lerp_(gradient.mT @ gradient, 1 - group["basis_beta"])
        if count % group["every"] == 0:
            _follow(state, "rows", 1)
            _follow(state, "columns", 2)
    return direction


def _turned(state: dict[str, Any], x: Tensor) -> Tensor:
    """Matrices in the bases of their rows and columns; anything else as it is."""
    if x.ndim == 1:
        return x
    turned: Tensor = state["rows_basis"].mT @ x @ state["columns_basis"]
    return turned


def _turned_back(state: dict[str, Any], x: Tensor) -> Tensor:
    if x.ndim == 1:
        return x
    turned: Tensor = state["rows_basis"] @ x @ state["columns_basis"].mT
    return turned


def _by_shape(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Matrices by their shape, and everything else together."""
    groups: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        shape = parameter.shape if _is_matrix(parameter) else None
        groups.setdefault(shape, []).append(parameter)
    return list(groups.values())


def _is_matrix(parameter: nn.Parameter) -> bool:
    rows = parameter.shape[0]
    return min(rows, parameter.numel() // rows) >= SMALLEST


def _joined(weights: list[nn.Parameter]) -> Tensor:
    """The gradients of weights of one shape as (N, rows, columns); of all others as (N,)."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    assert len(gradients) == len(weights)
    if not _is_matrix(weights[0]):
        return torch.cat([gradient.flatten() for gradient in gradients])
    return torch.stack([gradient.flatten(1) for gradient in gradients])


def _add(weights: list[nn.Parameter], change: Tensor) -> None:
    """Adds what belongs to each of the weights that ``_joined`` has joined."""
    if _is_matrix(weights[0]):
        parts = change.unbind()
    else:
        parts = torch.split(change, [weight.numel() for weight in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.add_(part.view(weight.shape))


def _follow(state: dict[str, Any], side: str, dimension: int) -> None:
    """Turns a basis after its correlations, by one step of power iteration.

    The squares that were averaged in the old basis follow the order of the new one.
    """
    basis = state[f"{side}_basis"]
    product = state[side] @ basis
    order = (basis * product).sum(1).argsort(dim=-1, descending=True)
    places = order[:, None, :].expand_as(product)
    state[f"{side}_basis"] = torch.linalg.qr(product.gather(2, places)).Q
    squares = order[:, :, None] if dimension == 1 else order[:, None, :]
    state["square"] = state["square"].gather(dimension, squares.expand_as(state["square"]))
