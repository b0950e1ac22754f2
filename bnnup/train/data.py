"""Training pictures, decoded once and cropped wherever the network runs.

All luma lies in two flat int16 tensors, high and low resolution, on a GPU if the network
is on one of CUDA's; a batch is one gather with computed indices. So a step waits for
arithmetic only, not for a data loader.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnnup.pixels import bicubic
from bnnup.system.files import replacing
from bnnup.train.degrade import DAMAGES, Damage, Pixels, luma_of, reduce_at_random
from bnnup.train.pictures import fingerprint, read_drawn, read_original
from bnnup.train.settings import VARIANTS

WHITE = 255 * 128  # int16 value of luma 1.0; 8-bit grey is exact
Plane = NDArray[np.int16]
Arrays = dict[str, NDArray[Any]]

CLEAN = 0.2  # of the patches, where pictures are damaged
VERSION = 5  # of how pictures are damaged: another one makes what is kept anew


def _centers(original: Pixels, small: Pixels, side: int) -> tuple[Pixels, Pixels]:
    """The central pixels of the small picture, and the same part of the original."""
    scale = len(original) // len(small)
    top, left = (max(0, (length - side) // 2) for length in small.shape[:2])
    bottom, right = top + side, left + side
    part = original[scale * top : scale * bottom, scale * left : scale * right]
    return part, small[top:bottom, left:right]


def read_pair(
    path: Path, scale: int, side: int | None = None, damaged_by: Damage = luma_of
) -> tuple[Plane, Plane]:
    """Luma of one picture and of its reduction: (sH, sW) and (H, W) int16, white = WHITE.

    The reduction is made of the 8-bit colours, as the benchmarks' is, and then damaged.
    """
    if pair := read_drawn(path, scale):
        original, small = pair if side is None else _centers(*pair, side // scale)
    else:
        original = read_original(path, scale, side)
        small = bicubic.reduce(original, scale)
    return _fixed(luma_of(original)), _fixed(damaged_by(small))


def _fixed(luma: NDArray[np.float32]) -> Plane:
    """Films reach a little below black and above white."""
    return np.rint(luma * WHITE).clip(-WHITE // 4, np.iinfo(np.int16).max).astype(np.int16)


def read_variants(path: Path, scale: int, trained_for: str, seed: int) -> tuple[Plane, Plane]:
    """Luma of a picture, (sH, sW), and of its reductions, (variants, H, W), the first clean.

    The same for the same name and seed, whatever other pictures there are.
    """
    original, drawn = read_drawn(path, scale) or (read_original(path, scale), None)
    digest = hashlib.blake2b(path.name.encode(), digest_size=8).digest()
    lows = [luma_of(bicubic.reduce(original, scale) if drawn is None else drawn)]
    for variant in range(1, VARIANTS[trained_for]):
        key = (seed, int.from_bytes(digest, "little"), scale, variant)
        random = np.random.default_rng(key)
        small = reduce_at_random(original, scale, random) if drawn is None else drawn
        lows.append(DAMAGES[trained_for](small, random))
    return _fixed(luma_of(original)), np.stack([_fixed(low) for low in lows])


@dataclass(frozen=True)
class PatchPool:
    """Every training picture at both sizes, and where each begins.

    With several variants, the first of which is undamaged, ``CLEAN`` of the patches are.
    """

    scale: int
    high: Tensor  # (sum of s²·H·W,) int16
    low: Tensor  # (variants, sum of H·W) int16
    start: Tensor  # (pictures,) int64, in low; s² times that in high
    height: Tensor  # (pictures,) int64, low resolution
    width: Tensor  # (pictures,) int64, low resolution

    @classmethod
    def load(
        cls,
        paths: list[Path],
        scale: int,
        device: torch.device,
        *,
        trained_for: str = "clean",
        seed: int = 0,
        cache: Path | None = None,
    ) -> "PatchPool":
        """Decodes the pictures, none of which may be smaller than the patches to come.

        What damaging takes minutes for is kept in the folder ``cache``.
        """
        if cache is None:
            arrays = _decode(paths, scale, trained_for, seed)
        else:
            kept = cache / f"{fingerprint(paths, scale, trained_for, seed, VERSION)}.npz"
            arrays = _kept(kept, lambda: _decode(paths, scale, trained_for, seed))
        high, low, sizes = (torch.from_numpy(arrays[key]) for key in ("high", "low", "sizes"))
        areas = sizes.prod(1)
        start = areas.cumsum(0) - areas
        height, width = sizes[:, 0].clone(), sizes[:, 1].clone()
        return cls(scale, high, low, start, height, width).to(device)

    def to(self, device: torch.device) -> "PatchPool":
        """The same in a device's memory."""
        parts = (self.high, self.low, self.start, self.height, self.width)
        return PatchPool(self.scale, *(part.to(device) for part in parts))

    def sample(self, batch: int, patch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random patches, flipped and turned all eight ways, pictures weighted by area.

        Returns low resolution (batch, 1, patch, patch) and its original
        (batch, 1, scale·patch, scale·patch), float32 in [0, 1].
        """
        return self.patches(draw(batch, generator), patch)

    def patches(self, random: Tensor, patch: int) -> tuple[Tensor, Tensor]:
        """The patches, as ``sample`` gives them, that ``draw`` has drawn."""
        variants, pixels = self.low.shape
        picture = torch.searchsorted(self.start, (random[0] * pixels).long(), right=True) - 1
        damaged = (random[6] >= CLEAN) & (variants > 1)
        variant = damaged * (1 + (random[7] * (variants - 1)).long())
        height, width = self.height[picture], self.width[picture]
        top = (random[1] * (height - patch + 1)).long()
        left = (random[2] * (width - patch + 1)).long()
        flips = random[3:6] < 0.5

        def crop(source: Tensor, first: Tensor, scale: int) -> Tensor:
            rows, columns = _patch_grid(flips, patch * scale)
            rows, columns = (
                rows + (top * scale)[:, None, None],
                columns + (left * scale)[:, None, None],
            )
            index = first[:, None, None] + rows * (width * scale)[:, None, None] + columns
            return source[index].unsqueeze(1).float() / WHITE

        first = self.start[picture]
        low = crop(self.low.view(-1), first + variant * pixels, 1)
        return low, crop(self.high, first * self.scale**2, self.scale)


def draw(batch: int, generator: torch.Generator) -> Tensor:
    """(8, batch) float64 in [0, 1) on the generator's device: what chooses a batch of patches."""
    return torch.rand(8, batch, generator=generator, device=generator.device, dtype=torch.float64)


def _decode(paths: list[Path], scale: int, trained_for: str, seed: int) -> Arrays:
    with ThreadPoolExecutor() as pool:
        read = partial(read_variants, scale=scale, trained_for=trained_for, seed=seed)
        pictures = list(pool.map(read, paths))
    return {
        "sizes": np.array([low.shape[1:] for _, low in pictures], np.int64),
        "high": np.concatenate([high.ravel() for high, _ in pictures]),
        "low": np.concatenate([low.reshape(len(low), -1) for _, low in pictures], axis=1),
    }


def _kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """What is kept in a file, which is made where it is missing or damaged."""
    with suppress(FileNotFoundError, EOFError, ValueError, BadZipFile), path.open("rb") as file:
        return dict(np.load(file))
    arrays = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def _patch_grid(flips: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (batch, side, side) of patches under (3, batch) flips: v, h, transpose."""
    line = torch.arange(side, device=flips.device)
    vertical, horizontal, transpose = flips[:, :, None, None]
    i, j = line[:, None], line[None, :]
    rows, columns = torch.where(transpose, j, i), torch.where(transpose, i, j)
    rows = torch.where(vertical, side - 1 - rows, rows)
    return rows, torch.where(horizontal, side - 1 - columns, columns)
