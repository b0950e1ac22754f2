"""A picture in memory: arrays of pixels, and their metadata."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.errors import MediaError
from bnnup.pictures import metadata
from bnnup.pictures.animation import Animation
from bnnup.pictures.icc import FOREIGN, to_srgb
from bnnup.pictures.loss import Loss, find_loss
from bnnup.pictures.metadata import Info

ROWS = 256  # that are converted at a time
MIRRORED = ((0, 0), (0, 1), (1, 1), (1, 0))  # rows and columns, for orientations 1 … 4 and 5 … 8
WHITE = 65535


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA.

    ``pixels`` are uint8 or uint16, and those of the first frame if there is an
    ``animation``; ``info`` is metadata that holds for them, ``format`` the name of what
    it was read from, ``notes`` what a user should know about that, ``loss`` what its
    encoding took away.
    """

    pixels: NDArray[Any]
    info: Info = field(default_factory=dict)
    format: str = ""
    notes: tuple[str, ...] = ()
    animation: Animation | None = None
    loss: Loss | None = None

    @classmethod
    def of(cls, image: Image.Image) -> "Picture":
        """A PIL image of any mode, turned upright as its EXIF says."""
        loss = find_loss(image, getattr(image, "fp", None))  # which loading takes away
        image.load()
        info = metadata.read_info(image)
        orientation = metadata.orientation(info)
        pixels, profile, notes = read_image(image)
        info, lost = metadata.upright(info, image.size, orientation)
        info = {key: value for key, value in {**info, **profile}.items() if value}
        notes = (*notes, *metadata.left_out(lost))
        upright = turn_upright(pixels, orientation)
        return cls(upright, info, notes=notes, loss=loss)


def read_image(image: Image.Image) -> tuple[NDArray[Any], Info, tuple[str, ...]]:
    """Pixels as in Picture, not turned, the profile they have got, if a new one, and remarks."""
    if image.mode not in FOREIGN:
        return to_pixels(image), {}, ()
    converted, note = to_srgb(image)
    return to_pixels(converted), {"icc_profile": converted.info.get("icc_profile")}, (note,)


def to_pixels(image: Image.Image) -> NDArray[Any]:
    """A PIL image of any mode to pixels as in Picture."""
    if image.mode == "F":
        return from_floats(np.asarray(image))
    if image.mode == "I" and image.format == "PPM":  # which Pillow stretches to 16 bits
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I":
        raise MediaError("pictures of mode 'I' have no known range; convert it to 16 bits")
    width, height = image.size
    bands = [(0, top, width, min(top + ROWS, height)) for top in range(0, max(height, 1), ROWS)]
    first = _convert(image.crop(bands[0]))
    pixels = np.empty((height, *first.shape[1:]), first.dtype)
    for box in bands:  # as a whole it would be there twice more on the way
        pixels[box[1] : box[3]] = _convert(image.crop(box))
    return pixels


def from_floats(samples: NDArray[Any]) -> NDArray[np.uint16]:
    """Floats of 0 to 1 in 16 bits; MediaError for others, whose white nobody knows."""
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 0.0)
    if not 0 <= low <= high <= 1:  # nor if one is no number
        raise MediaError(
            f"its floats range from {low:g} to {high:g}, but white is known for 0 to 1 only; "
            "scale them, or convert it to 16 bits"
        )
    result = np.empty(samples.shape, np.uint16)
    for top in range(0, len(samples), ROWS):
        part = samples[top : top + ROWS].astype(np.float64)
        result[top : top + ROWS] = np.floor(part * WHITE + 0.5)
    return result


def stretched(samples: NDArray[Any], most: int) -> NDArray[Any]:
    """Integers of 0 to ``most``, at most 65535, to the whole range of uint8 or of uint16."""
    full, dtype = (255, np.uint8) if most < 256 else (WHITE, np.uint16)
    if most == full:
        return np.ascontiguousarray(samples, dtype)
    table = (np.arange(most + 1, dtype=np.int64) * full + most // 2) // most
    result: NDArray[Any] = table.astype(dtype)[samples]
    return result


def to_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 as it is, uint16 rounded to 8 bits, of any shape."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undoes an EXIF orientation: 1 is upright, from 5 on rows and columns change places."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = MIRRORED[(orientation - 1) % 4]
    return np.ascontiguousarray(pixels[:: 1 - 2 * rows, :: 1 - 2 * columns])


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
        raise MediaError("Pillow has no images of 16-bit colour; convert the picture to 8 bits")
    return Image.fromarray(np.ascontiguousarray(pixels))
