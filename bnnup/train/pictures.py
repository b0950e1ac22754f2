"""Pictures to train on, as files: which there are, which are held out, and their pixels."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from bnnup.errors import MediaError, TrainingError, reason
from bnnup.measure.originals import ORIGINALS, originals_in
from bnnup.pictures.picture import to_8_bits
from bnnup.pictures.read import read_picture
from bnnup.train.degrade import Pixels

# The stem of a picture that was drawn at several sizes.
DRAWN = re.compile(r"(?P<name>.+)@(?P<density>[1-9])x")


def list_pictures(*folders: Path, scale: int | None = None, least: int = 0) -> list[Path]:
    """Pictures directly inside each folder, in order of name, of ``least`` pixels each way.

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
        large = [p for p in fitting if min(_size(p)) >= least] if least else fitting
        if not large:
            raise TrainingError(
                f"no picture in {folder} is as large as a patch of {least} pixels each way; add "
                "larger ones, or choose smaller patches"
            )
        paths += large
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
        raise TrainingError(
            f"{paths[0].parent} has a single picture that is large enough; training needs two at "
            "least"
        )
    count = min(count, max(1, len(paths) // 8))
    held = {(2 * i + 1) * len(paths) // (2 * count) for i in range(count)}
    training = [path for i, path in enumerate(paths) if i not in held]
    return training, [paths[i] for i in sorted(held)]


def fingerprint(paths: list[Path], *about: object) -> str:
    """Of pictures, by names and lengths of the files, and of what is made of them."""
    files = [(path.name, path.stat().st_size) for path in paths]
    return hashlib.blake2b(repr((files, *about)).encode(), digest_size=8).hexdigest()


def read_pixels(path: Path) -> Pixels:
    """(H, W, 3) R'G'B', of 8 bits whatever the file has; TrainingError if it cannot be read."""
    with _explaining(path), Image.open(path) as image:
        if not image.mode.startswith(("I", "F")):
            return np.asarray(image.convert("RGB"))
    return _read_deep(path)


def _read_deep(path: Path) -> Pixels:
    """Of grey with more than 8 bits, all of which Pillow would turn white that is above 255."""
    with _explaining(path):
        pixels = to_8_bits(read_picture(path).pixels)
    grey = pixels.reshape(*pixels.shape[:2], -1)[..., :1]
    return np.repeat(grey, 3, axis=2)


def _size(path: Path) -> tuple[int, int]:
    with _explaining(path), Image.open(path) as image:
        return image.size


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the file in the block, as a TrainingError."""
    try:
        yield
    except MediaError as error:
        raise TrainingError(f"{error}; remove or replace it") from error
    except Exception as error:  # decoders raise whatever broken data leads them to
        raise TrainingError(f"cannot read {path}: {reason(error)}; remove or replace it") from error


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
