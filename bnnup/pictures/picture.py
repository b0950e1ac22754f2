"""A picture in memory: arrays of pixels, and their metadata."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.errors import MediaError
from bnnup.pictures.animation import Animation
from bnnup.pictures.icc import FOREIGN, to_srgb
from bnnup.pictures.metadata import Info, kept_info

ROWS = 256  # that are converted at a time


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA.

    ``pixels`` are uint8 or uint16, and those of the first frame if there is an
    ``animation``; ``info`` is metadata in Pillow's terms, ``format`` Pillow's name of
    what it was read from, ``notes`` what a user should know about that.
    """

    pixels: NDArray[Any]
    info: Info = field(default_factory=dict)
    format: str = ""
    notes: tuple[str, ...] = ()
    animation: Animation | None = None

    @classmethod
    def of(cls, image: Image.Image, notes: tuple[str, ...] = ()) -> "Picture":
        """A PIL image of any mode, not turned."""
        if image.mode in FOREIGN:
            metadata = kept_info(image)
            image, note = to_srgb(image)
            metadata |= {k: v for k, v in image.info.items() if k == "icc_profile"}
            return cls(to_pixels(image), metadata, notes=(*notes, note))
        return cls(to_pixels(image), kept_info(image), notes=notes)


def to_pixels(image: Image.Image) -> NDArray[Any]:
    """A PIL image of any mode to pixels as in Picture."""
    if image.mode in ("I", "F"):
        raise MediaError(
            f"pictures of mode {image.mode!r} have no known range; convert it to 16 bit"
        )
    width, height = image.size
    bands = [(0, top, width, min(top + ROWS, height)) for top in range(0, max(height, 1), ROWS)]
    first = _convert(image.crop(bands[0]))
    pixels = np.empty((height, *first.shape[1:]), first.dtype)
    for box in bands:  # as a whole it would be there twice more on the way
        pixels[box[1] : box[3]] = _convert(image.crop(box))
    return pixels


def _convert(image: Image.Image) -> NDArray[Any]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    colors = "L" if image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image) else "RGB"
    alpha = "A" if image.has_transparency_data else ""
    if image.mode == "P" and colors == "L" and alpha:  # Pillow would drop the alpha on the way
        return np.asarray(image.convert("RGBA"))[..., 2:]
    mode = colors + alpha
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode != "P" or image.palette is None or "icc_profile" in image.info:
        return False  # a profile of RGB does not describe grey
    colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return bool((colors == colors[:, :1]).all())


def from_pixels(pixels: NDArray[Any]) -> Image.Image:
    """Pixels as in Picture to a PIL image: L, I;16, LA, RGB or RGBA."""
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise MediaError("Pillow has no images of 16-bit colour; convert the picture to 8 bit")
    return Image.fromarray(np.ascontiguousarray(pixels))
