"""Which network suits a picture: one for clean pictures, or one for real, damaged ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnup.model.zoo import entries_named
from bnnup.pictures.picture import Picture
from bnnup.pixels import color
from bnnup.pixels.color import WHITES

AUTO = "auto"  # in a model's place: choose for each picture
CLEAN = "edsr"
REAL = ("edsr-real", "edsr-small-real")  # the first that there is at a scale
QUALITY = 90  # of JPEG, from which on the network for clean pictures is chosen
SIGMA = 3.0  # noise in 8-bit levels, from which on the one for real pictures is chosen

SIDE = 1024  # pixels in the middle of a picture that noise is measured on
BLOCK = 16  # pixels each way over which noise is averaged
QUIET = 10  # per cent of the blocks, the quietest ones, in which nothing but noise is seen
FLAT = 0.5  # share of blocks without any change from which on a picture was drawn


@dataclass(frozen=True)
class Choice:
    """A model's name, and why it was chosen, in a few words."""

    model: str
    reason: str = ""  # none, if a user named the model

    def __str__(self) -> str:
        return f"{self.model}: {self.reason}" if self.reason else self.model


def choose_model(picture: Picture, scale: int) -> Choice:
    """The network for a picture: by what its file lost, or else by its noise."""
    loss = picture.loss
    if loss is not None and (loss.quality is None or loss.quality < QUALITY):
        return choose_real(scale, str(loss))
    sigma = estimate_noise(picture.pixels)
    if sigma >= SIGMA:
        return choose_real(scale, f"noise of {sigma:.1f} levels")
    return Choice(CLEAN, "lossless and clean" if loss is None else str(loss))


def candidates(scale: int) -> tuple[str, ...]:
    """The networks that may be chosen at a scale: for clean pictures, and for real ones if any."""
    for name in REAL:
        if any(entry.scale == scale and entry.bundled_path for entry in entries_named(name)):
            return CLEAN, name
    return (CLEAN,)


def choose_real(scale: int, reason: str) -> Choice:
    """A network for real pictures; the one for clean pictures where the package has none."""
    if len(names := candidates(scale)) > 1:
        return Choice(names[-1], reason)
    return Choice(CLEAN, f"{reason}, but no network for such pictures at ×{scale}")


def for_film(model: str, scale: int) -> Choice:
    """What a user named, or the network for real pictures: films are compressed."""
    return choose_real(scale, "films are compressed") if model == AUTO else Choice(model)


def estimate_noise(pixels: NDArray[Any]) -> float:
    """Standard deviation of a picture's noise in 8-bit levels.

    Pixels are uint8, uint16, or float32 in [0, 1], shaped as in Picture.

    Immerkær's mask (Computer Vision and Image Understanding, 1996) sees neither flat
    areas nor slopes. Its mean in small blocks is taken where it is least, so that texture
    does not count. Blocks without any change tell nothing; where most are like that,
    there is no noise.
    """
    top, left = (max(0, (length - SIDE) // 2) for length in pixels.shape[:2])
    middle = pixels[top : top + SIDE, left : left + SIDE]
    white = np.float32(WHITES[middle.dtype])
    luma: NDArray[Any] = middle if middle.ndim == 2 else middle[..., 0]
    if middle.shape[2:] in ((3,), (4,)):
        luma = color.luma(middle[..., :3].astype(np.float32))
    levels = luma.astype(np.float32) * (255 / white)
    rows = levels[:-2] - 2 * levels[1:-1] + levels[2:]
    seen = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    high, wide = (length // BLOCK for length in seen.shape)
    if not high or not wide:
        return 0.0
    blocks = seen[: high * BLOCK, : wide * BLOCK].reshape(high, BLOCK, wide, BLOCK).mean((1, 3))
    changing = blocks[blocks > 0]
    if len(changing) < FLAT * blocks.size:
        return 0.0
    return float(np.percentile(changing, QUIET) * np.sqrt(np.pi / 2) / 6)
