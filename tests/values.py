"""Pixels whose values are known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 18, 26


def ramp(*channels: int) -> NDArray[np.float64]:
    """Smooth values of 0 to 1, both of them reached."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / [[[HEIGHT - 1]], [[WIDTH - 1]]]
    count = channels[0] if channels else 1
    planes = [
        (x * (i + 1) / count + y * (count - i) / count) / (1 + 1 / count) for i in range(count)
    ]
    planes[0].flat[0], planes[-1].flat[-1] = 0, 1
    return np.stack(planes, -1) if channels else planes[0]


def as_bits(values: NDArray[np.float64], bits: int) -> NDArray[Any]:
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.floor(values * (2.0**bits - 1) + 0.5).astype(dtype)
