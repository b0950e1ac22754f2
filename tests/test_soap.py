"""The optimizer: where it must be Adam, and what Adam lacks."""

import copy

import pytest
import torch
from torch import Tensor, nn

from bnnup.train.soap import Soap

RATE = 3e-3
BETAS = (0.9, 0.99)


def orthogonal(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(matrix).Q
    return basis


def gradients(shape: tuple[int, ...], steps: int) -> Tensor:
    """Correlated along rows and columns, as those of a weight are. Float64."""
    generator = torch.Generator().manual_seed(1)
    rows, columns = shape[0], torch.Size(shape[1:]).numel()
    noise = torch.randn(steps, rows, columns, generator=generator, dtype=torch.float64)
    scales = torch.logspace(0, -2, rows, dtype=torch.float64)[:, None]
    mixed = orthogonal(rows, 2) @ (scales * noise) @ orthogonal(columns, 3)
    return mixed.reshape(steps, *shape)


def walk(gradients: Tensor) -> Tensor:
    """Where a weight that began with zeros is after these gradients."""
    weight = nn.Parameter(torch.zeros_like(gradients[0]))
    optimizer = Soap([weight], lr=RATE, betas=BETAS)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("shape", [(16,), (16, 1, 1), (3, 3, 3, 3), (8, 2, 1, 1)])
def test_what_is_no_matrix_is_trained_by_adam(shape: tuple[int, ...]) -> None:
    given = gradients((shape[0], *(shape[1:] or (1,))), 30).reshape(30, *shape)
    weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    adam = torch.optim.Adam([weight], lr=RATE, betas=BETAS)
    for gradient in given[1:]:  # the first is for the bases alone
        weight.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(walk(given), weight.detach(), rtol=1e-9, atol=1e-12)


def test_steps_turn_with_the_axes_of_a_weight() -> None:
    """Which Adam's do not: it knows no direction but those of single weights.

    As many rows as columns, or the first gradient leaves some directions undecided.
    """
    rows, columns = orthogonal(18, 4), orthogonal(18, 5)
    given = gradients((18, 2, 3, 3), 35)
    matrices = given.flatten(2)
    turned = (rows @ matrices @ columns).reshape(given.shape)
    expected = (rows @ walk(given).flatten(1) @ columns).reshape(given.shape[1:])
    torch.testing.assert_close(walk(turned), expected, rtol=1e-5, atol=1e-7)


def test_weights_of_one_shape_do_not_mix() -> None:
    first, second = gradients((6, 2, 3, 3), 25), gradients((6, 2, 3, 3), 25).flip(0)
    weights = [nn.Parameter(torch.zeros_like(first[0])) for _ in range(2)]
    optimizer = Soap(weights, lr=RATE, betas=BETAS)
    for pair in zip(first, second, strict=True):
        for weight, gradient in zip(weights, pair, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(weights[0].detach(), walk(first))
    torch.testing.assert_close(weights[1].detach(), walk(second))


def test_correlated_weights_are_found_in_fewer_steps_than_by_adam() -> None:
    rows, columns = gradients((8, 12), 2).unbind()
    left, right = rows @ rows.mT, columns.mT @ columns
    goal = torch.randn(8, 12, generator=torch.Generator().manual_seed(6), dtype=torch.float64)

    def loss_after(kind: type[torch.optim.Optimizer]) -> float:
        weight = nn.Parameter(torch.zeros_like(goal))
        optimizer = kind([weight], lr=0.03, betas=BETAS)  # type: ignore[call-arg]
        for _ in range(400):
            optimizer.zero_grad()
            off = weight - goal
            loss = (off * (left @ off @ right)).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return loss.item()

    assert loss_after(Soap) < loss_after(torch.optim.Adam) / 2


def test_its_state_goes_on_exactly() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.PReLU(8), nn.Conv2d(8, 4, 3))
    optimizer = Soap(network.parameters(), lr=RATE)

    def step(network: nn.Module, optimizer: Soap, seed: int) -> None:
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        network(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    for seed in range(12):
        step(network, optimizer, seed)
    other = copy.deepcopy(network)
    resumed = Soap(other.parameters(), lr=RATE)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in range(12, 24):
        step(network, optimizer, seed)
        step(other, resumed, seed)
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
