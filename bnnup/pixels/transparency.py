"""Colour under fully transparent pixels, which nobody sees but every filter reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 16  # pixels at a time: memory
AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def fill_transparent(pixels: NDArray[Any], reach: int) -> NDArray[Any]:
    """Gives fully transparent pixels the colour of the visible ones nearby.

    (H, W, 2) grey and alpha or (H, W, 4) RGBA of any dtype to the same, a copy where
    anything changes. The colour spreads from the visible pixels, one pixel a round and
    ``reach`` in all: each pixel takes the mean of those around it that have a colour
    already. What lies further away keeps what it holds.
    """
    known = pixels[..., -1] > 0
    if known.all() or not known.any():
        return pixels
    pixels = pixels.copy()
    wide = known.shape[1] + 2  # with a border, so that every pixel has eight around it
    known = np.pad(known, 1)
    inside = np.pad(np.ones_like(known[1:-1, 1:-1]), 1).ravel()
    near = np.zeros_like(known)
    for y, x in AROUND:
        near |= np.roll(known, (y, x), (0, 1))
    known = known.ravel()
    edge = np.flatnonzero(near.ravel() & ~known & inside)
    steps = np.array([y * wide + x for y, x in AROUND])
    for _ in range(reach):
        if not edge.size:
            break
        parts = np.array_split(edge, edge.size // PIECE + 1)
        for part in parts:
            around = part[:, None] + steps
            _take_mean(pixels, part, around, known[around], wide)
        known[edge] = True
        further = []
        for part in parts:
            around = part[:, None] + steps
            further.append(np.unique(around[inside[around] & ~known[around]]))
        edge = np.unique(np.concatenate(further))
    return pixels


def _take_mean(
    pixels: NDArray[Any],
    edge: NDArray[np.int64],
    around: NDArray[np.int64],
    known: NDArray[np.bool_],
    wide: int,
) -> None:
    """Colours of the pixels ``edge`` from those ``around`` that are ``known``."""
    rows, columns = (around // wide - 1).clip(0, pixels.shape[0] - 1), around % wide - 1
    weights = known / known.sum(axis=1, keepdims=True)
    for color in range(pixels.shape[2] - 1):
        values = pixels[rows, columns.clip(0, pixels.shape[1] - 1), color]
        mean = (values * weights).sum(axis=1)
        if pixels.dtype.kind == "u":
            mean = np.floor(mean + 0.5)
        pixels[edge // wide - 1, edge % wide - 1, color] = mean
