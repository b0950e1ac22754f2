"""How much memory a picture takes while it is enlarged."""

import math
from collections.abc import Sequence

from bnnup.errors import MediaError
from bnnup.pictures.formats import FORMATS
from bnnup.system.memory import available

PIXEL = 4  # bytes of a pixel in Pillow's images, and the most in 8-bit arrays


def estimate(
    width: int,
    height: int,
    scales: Sequence[int],
    size: tuple[int, int],
    format_name: str,
    memory: int,
    bits: int = 8,
) -> int:
    """Bytes for a picture of (width, height) to become one of ``size`` by passes of ``scales``.

    ``memory`` is what the last pass works in, beside its input and output.
    """
    area, depth = width * height * PIXEL, bits // 8
    decoding = area * (1 + depth)  # the image, and the array that is made of it
    passes = [math.prod(scales[:number]) ** 2 for number in range(len(scales) or 1)]
    inputs = area * depth * (passes[-1] + (passes[-2] if len(passes) > 1 else 0))
    encoder = round(size[0] * size[1] * PIXEL * FORMATS[format_name].memory)
    return max(decoding, inputs + encoder) + memory


def check_memory(needed: int, format_name: str) -> None:
    """MediaError if that many bytes are not available."""
    free = available()
    if needed <= free:
        return
    advice = "" if FORMATS[format_name].streamed else "; PNG and TIFF take the least"
    needs, has = f"{needed / 1e9:.1f} GB", f"{free / 1e9:.1f} GB"
    raise MediaError(f"this needs about {needs} of memory, and {has} is free{advice}")
