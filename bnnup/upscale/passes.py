"""Networks one after the other, and a last reduction, for a picture or for many frames."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from bnnup.pixels.resample import resample
from bnnup.pixels.transparency import fill_transparent
from bnnup.upscale.upscaler import Upscaler

Strip = NDArray[Any]
Seen = Callable[[int], None]  # input pixels since it was last called

REACH = 64  # pixels into transparency that a reduction without a network may look


def enlarge(
    frames: Iterable[NDArray[Any]], upscalers: Sequence[Upscaler], size: tuple[int, int], seen: Seen
) -> Iterator[Strip]:
    """Strips of every frame, enlarged by all ``upscalers`` and brought to (width, height).

    Frames are uint8 or uint16 (H, W) or (H, W, 2 to 4). Between two passes a frame is
    whole in memory, after the last one it is not.
    """
    for pixels in frames:
        for upscaler in upscalers[:-1]:
            pixels = upscaler.enlarge(pixels, _counting(seen))
        scale = upscalers[-1].scale if upscalers else 1
        shape = pixels.shape[0] * scale, pixels.shape[1] * scale, *pixels.shape[2:]
        strips: Iterator[Strip]
        if upscalers:
            strips = upscalers[-1].strips(pixels, _counting(seen))
        else:
            has_alpha = pixels.shape[2:] in ((2,), (4,))
            strips = iter([fill_transparent(pixels, REACH) if has_alpha else pixels])
        yield from strips if shape[1::-1] == size else resample(strips, shape, size)


def pixels_seen(shape: tuple[int, ...], upscalers: Sequence[Upscaler]) -> int:
    """Input pixels of all passes over a frame of ``shape``."""
    pixels, total = shape[0] * shape[1], 0
    for upscaler in upscalers:
        total += pixels
        pixels *= upscaler.scale**2
    return total


def _counting(seen: Seen) -> Callable[[int, int], None]:
    """For an upscaler, which tells how many pixels are done in all."""
    before = 0

    def progress(done: int, total: int) -> None:
        nonlocal before
        seen(done - before)
        before = done

    return progress
