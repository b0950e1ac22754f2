"""Training pictures, decoded once and cropped wherever the network runs.

All luma lies in two flat int16 tensors, high and low resolution, on the device of
the network; a batch is one gather with computed indices. So a step waits for
arithmetic only, not for a data loader.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bnnup.errors import TrainingError
from bnnup.measure.originals import ORIGINALS, originals_in
from bnnup.pixels import bicubic, color

WHITE = 255 * 128  # int16 value of luma 1.0; 8-bit grey is exact
VALIDATION_SIDE = 256  # pixels of the original, at most


def list_pictures(folder: Path) -> list[Path]:
    """Pictures directly inside a folder, in order of name."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder of pictures")
    paths = originals_in(folder)
    if not paths:
        raise TrainingError(
            f"no pictures in {folder}; known endings: {', '.join(sorted(ORIGINALS))}"
        )
    return paths


def hold_out(paths: list[Path], count: int) -> tuple[list[Path], list[Path]]:
    """(training, validation): ``count`` pictures evenly spread over the list are held out."""
    if not 0 < count < len(paths):
        raise TrainingError(f"cannot hold out {count} of {len(paths)} pictures for validation")
    held = {(2 * i + 1) * len(paths) // (2 * count) for i in range(count)}
    training = [path for i, path in enumerate(paths) if i not in held]
    return training, [paths[i] for i in sorted(held)]


def read_pair(
    path: Path, scale: int, side: int | None = None
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Luma of one picture and of its reduction: (sH, sW) and (H, W) int16, white = WHITE.

    The picture is cropped at right and bottom to a multiple of the scale, and to the
    central ``side`` pixels if given. The reduction is made of the 8-bit colours, as
    the benchmarks' is.
    """
    try:
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error}; remove or replace it") from error
    if side is not None:
        top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
        rgb = rgb[top : top + side, left : left + side]
    height, width = (length - length % scale for length in rgb.shape[:2])
    rgb = rgb[:height, :width]
    return _fixed(rgb), _fixed(bicubic.reduce(rgb, scale))


def _fixed(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    luma = color.luma(rgb.astype(np.float32) / np.float32(255))
    return np.rint(luma * WHITE).astype(np.int16)


@dataclass(frozen=True)
class PatchPool:
    """Every training picture at both sizes, and where each begins."""

    scale: int
    high: Tensor  # (sum of s²·H·W,) int16
    low: Tensor  # (sum of H·W,) int16
    start: Tensor  # (pictures,) int64, in low; s² times that in high
    height: Tensor  # (pictures,) int64, low resolution
    width: Tensor  # (pictures,) int64, low resolution

    @classmethod
    def load(cls, paths: list[Path], scale: int, patch: int, device: torch.device) -> "PatchPool":
        """Decodes the pictures; those smaller than a patch are left out."""
        with ThreadPoolExecutor() as pool:
            pairs = list(pool.map(lambda path: read_pair(path, scale), paths))
        pairs = [pair for pair in pairs if min(pair[1].shape) >= patch]
        if not pairs:
            raise TrainingError(f"no picture is as large as a patch of {patch * scale} pixels")
        sizes = torch.tensor([low.shape for _, low in pairs])
        areas = sizes.prod(1)
        return cls(
            scale,
            torch.from_numpy(np.concatenate([high.ravel() for high, _ in pairs])).to(device),
            torch.from_numpy(np.concatenate([low.ravel() for _, low in pairs])).to(device),
            (areas.cumsum(0) - areas).to(device),
            sizes[:, 0].to(device),
            sizes[:, 1].to(device),
        )

    def sample(self, batch: int, patch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random patches, flipped and turned all eight ways, pictures weighted by area.

        Returns low resolution (batch, 1, patch, patch) and its original
        (batch, 1, scale·patch, scale·patch), float32 in [0, 1].
        """
        device = self.low.device
        random = torch.rand(6, batch, generator=generator, device=device, dtype=torch.float64)
        picture = torch.searchsorted(self.start, (random[0] * len(self.low)).long(), right=True) - 1
        height, width = self.height[picture], self.width[picture]
        top = (random[1] * (height - patch + 1)).long()
        left = (random[2] * (width - patch + 1)).long()
        flips = random[3:] < 0.5

        def crop(source: Tensor, scale: int) -> Tensor:
            rows, columns = _patch_grid(flips, patch * scale)
            rows, columns = (
                rows + (top * scale)[:, None, None],
                columns + (left * scale)[:, None, None],
            )
            first = (self.start[picture] * scale**2)[:, None, None]
            index = first + rows * (width * scale)[:, None, None] + columns
            return source[index].unsqueeze(1).float() / WHITE

        return crop(self.low, 1), crop(self.high, self.scale)


def _patch_grid(flips: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (batch, side, side) of patches under (3, batch) flips: v, h, transpose."""
    line = torch.arange(side, device=flips.device)
    vertical, horizontal, transpose = flips[:, :, None, None]
    i, j = line[:, None], line[None, :]
    rows, columns = torch.where(transpose, j, i), torch.where(transpose, i, j)
    rows = torch.where(vertical, side - 1 - rows, rows)
    return rows, torch.where(horizontal, side - 1 - columns, columns)
