"""Training pictures, decoded once and cropped wherever the network runs.

All luma lies in two flat int16 tensors, high and low resolution, on the device of
the network; a batch is one gather with computed indices. So a step waits for
arithmetic only, not for a data loader.
"""

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bnnup.errors import TrainingError
from bnnup.measure.originals import ORIGINALS, originals_in
from bnnup.pixels import bicubic
from bnnup.system.files import replacing
from bnnup.train.degrade import DAMAGES, Damage, Pixels, luma_of, reduce_at_random
from bnnup.train.settings import VARIANTS

WHITE = 255 * 128  # int16 value of luma 1.0; 8-bit grey is exact
Plane = NDArray[np.int16]
Arrays = dict[str, NDArray[Any]]

CLEAN = 0.2  # of the patches, where pictures are damaged
VERSION = 5  # of how pictures are damaged: another one makes what is kept anew
# The stem of a picture that was drawn at several sizes.
DRAWN = re.compile(r"(?P<name>.+)@(?P<density>[1-9])x")


def list_pictures(*folders: Path, scale: int | None = None) -> list[Path]:
    """Pictures directly inside each folder, in order of name.

    Of one that was drawn at several sizes, ``name@1x.png``, ``name@2x.png`` and so on, it is
    that of the scale, or all without a scale, and the one at 1x is the small picture
    instead of a reduction.
    """
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(f"{folder} is not a folder of pictures")
        found = originals_in(folder)
        if not found:
            known = ", ".join(sorted(ORIGINALS))
            raise TrainingError(f"no pictures in {folder}; known endings: {known}")
        fitting = [p for p in found if scale is None or _density(p) in (None, scale)]
        if not fitting:
            raise TrainingError(f"no picture in {folder} was drawn at {scale}x; draw some")
        paths += fitting
    return paths


def _density(path: Path) -> int | None:
    """At which of several sizes a picture was drawn; None if it is one by itself."""
    drawn = DRAWN.fullmatch(path.stem)
    return int(drawn["density"]) if drawn else None


def hold_out(paths: list[Path], count: int) -> tuple[list[Path], list[Path]]:
    """(training, validation): ``count`` pictures evenly spread over the list are held out.

    At most an eighth of them, but one at least.
    """
    if len(paths) < 2:
        raise TrainingError(f"{paths[0].parent} has a single picture; training needs two at least")
    count = min(count, max(1, len(paths) // 8))
    held = {(2 * i + 1) * len(paths) // (2 * count) for i in range(count)}
    training = [path for i, path in enumerate(paths) if i not in held]
    return training, [paths[i] for i in sorted(held)]


def read_pixels(path: Path) -> Pixels:
    """(H, W, 3) R'G'B'."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error}; remove or replace it") from error


def read_original(path: Path, scale: int, side: int | None = None) -> Pixels:
    """(H, W, 3) R'G'B', cropped at right and bottom to a multiple of the scale.

    With ``side``, only the central pixels, at most so many each way.
    """
    rgb = read_pixels(path)
    if side is not None:
        top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
        rgb = rgb[top : top + side, left : left + side]
    height, width = (length - length % scale for length in rgb.shape[:2])
    return rgb[:height, :width]


def read_drawn(path: Path, scale: int) -> tuple[Pixels, Pixels] | None:
    """A picture and the small one where both were drawn, the same thing at two sizes."""
    if _density(path) is None:
        return None
    small = path.with_stem(DRAWN.sub(r"\g<name>@1x", path.stem))
    original, drawn = read_pixels(path), read_pixels(small)
    size, small_size = original.shape[:2], drawn.shape[:2]
    if size != (scale * small_size[0], scale * small_size[1]):
        raise TrainingError(f"{path} is not {scale} times as large as {small}; draw both again")
    return original, drawn


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
        patch: int,
        device: torch.device,
        *,
        trained_for: str = "clean",
        seed: int = 0,
        cache: Path | None = None,
    ) -> "PatchPool":
        """Decodes the pictures; those smaller than a patch are left out.

        What damaging takes minutes for is kept in the folder ``cache``.
        """
        if cache is None:
            arrays = _decode(paths, scale, trained_for, seed)
        else:
            kept = cache / f"{_fingerprint(paths, scale, trained_for, seed)}.npz"
            arrays = _kept(kept, lambda: _decode(paths, scale, trained_for, seed))
        return cls._of(arrays, scale, patch).to(device)

    @classmethod
    def _of(cls, arrays: Arrays, scale: int, patch: int) -> "PatchPool":
        sizes = torch.from_numpy(arrays["sizes"])
        areas = sizes.prod(1)
        start = areas.cumsum(0) - areas
        large = sizes.min(1).values >= patch
        if not large.any():
            raise TrainingError(f"no picture is as large as a patch of {patch * scale} pixels")
        low, high = torch.from_numpy(arrays["low"]), torch.from_numpy(arrays["high"])
        if not large.all():
            parts = list(zip(start[large].tolist(), areas[large].tolist(), strict=True))
            low = torch.cat([low[:, a : a + n] for a, n in parts], 1)
            high = torch.cat([high[a * scale**2 : (a + n) * scale**2] for a, n in parts])
            sizes, areas = sizes[large], areas[large]
            start = areas.cumsum(0) - areas
        return cls(scale, high, low, start, sizes[:, 0].clone(), sizes[:, 1].clone())

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
    """What is kept in a file, which is made where it is missing."""
    if path.exists():
        with np.load(path) as file:
            return dict(file)
    arrays = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def _fingerprint(paths: list[Path], scale: int, trained_for: str, seed: int) -> str:
    files = [(path.name, path.stat().st_size) for path in paths]
    return hashlib.blake2b(
        repr((files, scale, trained_for, seed, VERSION)).encode(), digest_size=8
    ).hexdigest()


def _patch_grid(flips: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (batch, side, side) of patches under (3, batch) flips: v, h, transpose."""
    line = torch.arange(side, device=flips.device)
    vertical, horizontal, transpose = flips[:, :, None, None]
    i, j = line[:, None], line[None, :]
    rows, columns = torch.where(transpose, j, i), torch.where(transpose, i, j)
    rows = torch.where(vertical, side - 1 - rows, rows)
    return rows, torch.where(horizontal, side - 1 - columns, columns)
