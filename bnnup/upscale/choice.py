"""Which network suits a picture: for clean ones, for real, damaged ones, or for screenshots."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnup.model.zoo import entries_named
from bnnup.pictures.picture import Picture
from bnnup.pixels import color
from bnnup.pixels.color import WHITES

AUTO = "auto"  # in a model's place: choose for each picture
CLEAN = "hybrid-large"
# The first that there is at a scale.
REAL = ("hybrid-large-real", "edsr-small-real")
FILM = ("hybrid-large-film", *REAL)
SCREEN = "edsr-small-screen"
QUALITY = 93  # of JPEG, from which on the network for clean pictures is chosen
SIGMA = 2.0  # noise in 8-bit levels, from which on the one for real pictures is chosen

DRAWN = 0.5  # share of steps out of flat areas, from which on the one for screenshots is chosen

SIDE = 1024  # pixels in the middle of a picture that is looked at
BLOCK = 4  # pixels each way over which noise is averaged
QUIET = 1  # per cent of the blocks, the quietest ones, in which nothing but noise is seen
SHARE = 0.445  # of an even noise, that its quietest blocks have
FLAT = 0.5  # share of blocks without any change from which on a picture was drawn
STEP = 32  # levels between neighbours that make a step
SLOPE = 16  # levels, at most, by which a reduction's pixels change just before a step
STEPS = 64  # fewer tell nothing


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
        return choose_damaged(REAL, scale, str(loss))
    sigma = estimate_noise(picture.pixels)
    if sigma >= SIGMA:
        return choose_damaged(REAL, scale, f"noise of {sigma:.1f} levels")
    if loss is None and _bundled(SCREEN, scale) and drawn_share(picture.pixels) >= DRAWN:
        return Choice(SCREEN, "drawn for its pixels")
    return Choice(CLEAN, "lossless and clean" if loss is None else str(loss))


def candidates(scale: int) -> tuple[str, ...]:
    """The networks that may be chosen at a scale."""
    real = next((name for name in REAL if _bundled(name, scale)), None)
    screen = SCREEN if _bundled(SCREEN, scale) else None
    return tuple(name for name in (CLEAN, real, screen) if name)


def _bundled(name: str, scale: int) -> bool:
    return any(entry.scale == scale and entry.bundled_path for entry in entries_named(name))


def choose_damaged(names: tuple[str, ...], scale: int, reason: str) -> Choice:
    """The first network that there is; the one for clean pictures where the package has none."""
    for name in names:
        if _bundled(name, scale):
            return Choice(name, reason)
    return Choice(CLEAN, f"{reason}, but no network for such pictures at ×{scale}")


def for_film(model: str, scale: int) -> Choice:
    """What a user named, or the network for films, which are compressed."""
    if model != AUTO:
        return Choice(model)
    return choose_damaged(FILM, scale, "films are compressed")


def estimate_noise(pixels: NDArray[Any]) -> float:
    """Standard deviation of a picture's noise in 8-bit levels.

    Pixels are uint8, uint16, or float32 in [0, 1], shaped as in Picture.

    Immerkær's mask (Computer Vision and Image Understanding, 1996) sees neither flat
    areas nor slopes. Its mean in small blocks is taken where it is least, so that texture
    does not count, and put right by what even noise has there. Blocks without any change
    tell nothing; where most are like that, there is no noise.
    """
    levels = _middle(pixels)
    levels = color.luma(levels) if levels.shape[2] == 3 else levels[..., 0]
    rows = levels[:-2] - 2 * levels[1:-1] + levels[2:]
    seen = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    high, wide = (length // BLOCK for length in seen.shape)
    if not high or not wide:
        return 0.0
    blocks = seen[: high * BLOCK, : wide * BLOCK].reshape(high, BLOCK, wide, BLOCK).mean((1, 3))
    changing = blocks[blocks > 0]
    if len(changing) < FLAT * blocks.size:
        return 0.0
    return float(np.percentile(changing, QUIET) * np.sqrt(np.pi / 2) / (6 * SHARE))


def drawn_share(pixels: NDArray[Any]) -> float:
    """How much of a picture was drawn for its pixels, as screenshots are, from 0 to 1.

    What a program draws steps from one colour to another straight out of a flat area. A
    reduction's filter rings there or smooths: the pixels before a step have begun to change.
    It is the share of the former among both, in all four directions; 0 where there are next
    to no steps. Pixels are those of ``estimate_noise``.
    """
    levels = _middle(pixels)
    flat = soft = 0
    for turn in range(4):
        turned = np.rot90(levels, turn)
        change = np.abs(np.diff(turned, axis=1)).max(axis=2)
        before = np.maximum(change[:, :-2], change[:, 1:-1])
        at_step = before[change[:, 2:] >= STEP]
        flat += int(np.count_nonzero(at_step == 0))
        soft += int(np.count_nonzero((at_step > 0) & (at_step <= SLOPE)))
    return flat / (flat + soft) if flat + soft >= STEPS else 0.0


def _middle(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 1 or 3) in 8-bit levels: the middle of a picture, without its alpha."""
    top, left = (max(0, (length - SIDE) // 2) for length in pixels.shape[:2])
    middle = np.atleast_3d(pixels[top : top + SIDE, left : left + SIDE])
    colors = middle[..., :3] if middle.shape[2] > 2 else middle[..., :1]
    return colors.astype(np.float32) * (255 / np.float32(WHITES[pixels.dtype]))
