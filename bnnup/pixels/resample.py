"""The last step to a size that is not a multiple of the input's: one good reduction."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = 128  # of the result, at a time
SUPPORT = 2  # pixels each way that bicubic looks at, in the coarser of the two pictures


def resample(
    strips: Iterable[NDArray[Any]], shape: tuple[int, ...], size: tuple[int, int]
) -> Iterator[NDArray[Any]]:
    """Strips of a picture of ``shape`` (H, W) or (H, W, C) to strips of one of (width, height).

    uint8 or uint16 in and out, antialiased bicubic in float in between. Needs no
    more than the strips and ROWS of the result; how the input is cut does not matter.
    """
    height, (target_width, target_height) = shape[0], size
    step = height / target_height  # rows of the input for one of the result
    reach = math.ceil(SUPPORT * max(step, 1)) + 1
    source = iter(strips)
    held, first = np.concatenate([next(source)]), 0  # rows from number ``first`` on
    for top in range(0, target_height, ROWS):
        bottom = min(top + ROWS, target_height)
        start = max(math.floor(top * step) - reach, 0)
        stop = min(math.ceil(bottom * step) + reach, height)
        parts = [held[start - first :]]
        while first + len(held) < stop:
            held, first = next(source), first + len(held)
            parts.append(held)
        held, first = np.concatenate(parts), start
        box = (0, top * step - start, shape[1], bottom * step - start)
        yield _resize(held[: stop - start], (target_width, bottom - top), box)


def _resize(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[Any]:
    white = np.iinfo(pixels.dtype).max
    planes = []
    for plane in np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), -1, 0):
        image = Image.fromarray(plane.astype(np.float32))
        resized = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box))
        planes.append(np.floor(resized + 0.5).clip(0, white).astype(pixels.dtype))
    return planes[0] if pixels.ndim == 2 else np.stack(planes, axis=-1)
