"""16-bit pictures, which Pillow reads as 8 bit where they have more than one channel."""

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

BITS = 258  # TIFF's tag for bits per sample
ASSOCIATED = 1  # TIFF's word for colour multiplied by alpha
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # TIFF's photometric interpretations


def is_deep(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded PNG or TIFF stores 16 bits a sample."""
    if image.format == "PNG":
        return any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
    if isinstance(image, TiffImageFile):
        return set(image.tag_v2.get(BITS, ())) == {16}
    return image.format == "TIFF"  # a stand-in


def stand_in(file: IO[bytes]) -> Image.Image | None:
    """Size and metadata of a 16-bit TIFF that Pillow cannot open, as an image without content.

    Grey with alpha is such a kind. None if the file is of another.
    """
    import tifffile

    file.seek(0)
    if file.read(2) not in (b"II", b"MM"):
        return None
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        if page.bitspersample != 16 or page.samplesperpixel != 2:
            return None
        count = page.imagewidth * page.imagelength
        if Image.MAX_IMAGE_PIXELS is not None and count > 2 * Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError(f"Image size ({count} pixels) exceeds the limit")
        image = Image.new("L", (page.imagewidth, page.imagelength), None)
        names = {34675: "icc_profile", 700: "xmp"}
        image.info = {names[tag.code]: tag.value for tag in page.tags if tag.code in names}
        image.format = "TIFF"
        file.seek(0)
        image.getexif().load_from_fp(file)
    return image


def read_deep(file: IO[bytes], format_name: str) -> NDArray[np.uint16] | None:
    """(H, W) or (H, W, 2 to 4) uint16 as stored, not turned; None if of another kind."""
    file.seek(0)
    return _read_png(file) if format_name == "PNG" else _read_tiff(file)


def _read_png(file: IO[bytes]) -> NDArray[np.uint16]:
    import imagecodecs

    pixels: NDArray[np.uint16] = imagecodecs.png_decode(file.read())
    return pixels


def _read_tiff(file: IO[bytes]) -> NDArray[np.uint16] | None:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        kind = page.photometric
        if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) or page.bitspersample != 16:
            return None
        pixels: NDArray[Any] = page.asarray()
        extra = page.extrasamples
    if pixels.dtype != np.uint16:
        return None
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    colors = 3 if kind == RGB else 1
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    alpha = pixels[..., colors : colors + 1] if extra and extra[0] != 0 else None
    color = pixels[..., :colors]
    if kind == WHITE_IS_ZERO:
        color = np.iinfo(np.uint16).max - color
    if alpha is None:
        return np.ascontiguousarray(color if colors == 3 else color[..., 0])
    if extra[0] == ASSOCIATED:
        color = _divide(color, alpha)
    return np.concatenate([color, alpha], axis=2)


def _divide(color: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colour freed of the alpha that it was multiplied by, row by row: memory."""
    result = np.empty_like(color)
    for row, over in enumerate(alpha):
        part = color[row].astype(np.uint64) * 65535 + over // 2
        result[row] = np.minimum(part // np.maximum(over, 1), 65535)
    return result
