"""TIFFs that Pillow reads wrongly or not at all: more than 8 bits, floats, further channels.

tifffile decodes them; what their numbers mean is settled here, by the bits of a sample and
never by the type of the array.
"""

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import MediaError
from bnnup.pictures.icc import lab_to_srgb
from bnnup.pictures.picture import from_floats

ASSOCIATED, NOT_ASSOCIATED = 1, 2  # alpha that the colour is, or is not, multiplied by
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCC = 0, 1, 2, 3, 5, 6  # of photometric
CIE_LAB, ICC_LAB, ITU_LAB = 8, 9, 10  # interpretations
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CIE_LAB: 3, ICC_LAB: 3}
LABS = (CIE_LAB, ICC_LAB)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # of sample formats
SIDE_BY_SIDE = 1  # the channels of a pixel
WHITE = 65535
UNCOMPRESSED = 1
CHANNELS, PART = 64, 1 << 31  # the most channels, and samples in a strip or tile
ROWS = 256  # converted at a time: memory


class Page:
    """The first picture of a TIFF, by what its tags say."""

    def __init__(self, file: IO[bytes]) -> None:
        import tifffile

        file.seek(0)
        self._file = tifffile.TiffFile(file)
        self._page = self._file.pages.first
        self.count = len(self._file.pages)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as stored."""
        return self._page.imagewidth, self._page.imagelength

    @property
    def is_for_pillow(self) -> bool:
        """Whether Pillow reads it, and as what it is: 8 bits or fewer without other channels."""
        page = self._page
        if page.photometric not in COLORS:
            return True
        whole = (1, 2, 4, 8) if COLORS[page.photometric] == 1 else (8,)
        if page.bitspersample not in whole or page.sampleformat not in (UNSIGNED, None):
            return False
        if page.photometric == ICC_LAB:
            return False
        spare = page.samplesperpixel - COLORS[page.photometric]
        if spare == 1 and page.planarconfig == SIDE_BY_SIDE:
            return page.extrasamples[:1] in ((ASSOCIATED,), (NOT_ASSOCIATED,))
        return spare == 0

    @property
    def bits(self) -> int:
        """Of the samples that ``read`` gives."""
        return 8 if self._page.bitspersample <= 8 else 16

    @property
    def is_understood(self) -> bool:
        """Whether ``read`` knows what the colours mean."""
        return self._page.photometric in COLORS

    @property
    def stored_bits(self) -> int:
        return int(self._page.bitspersample)

    @property
    def is_lab(self) -> bool:
        return self._page.photometric in LABS

    def read(self) -> tuple[NDArray[Any], tuple[str, ...]]:
        """(H, W) or (H, W, 2 to 4), uint8 or uint16, not turned, and remarks on what was changed.

        MediaError for what has no range, or is damaged.
        """
        self._check()
        page, kind = self._page, self._page.photometric
        samples = page.asarray()
        self._check_shape(samples)
        if page.samplesperpixel > 1 and page.planarconfig != SIDE_BY_SIDE:
            samples = np.moveaxis(samples, 0, -1)
        samples = samples.reshape(page.imagelength, page.imagewidth, -1)
        colors = COLORS[kind]
        extra = tuple(int(each) for each in page.extrasamples or ())
        alpha = next((i for i, each in enumerate(extra) if each in (1, 2)), None)
        color = self._in_range(samples[..., :colors])
        if kind == WHITE_IS_ZERO:
            color = np.iinfo(color.dtype).max - color
        if kind in LABS:
            color = _from_lab(samples[..., :colors], page.bitspersample, kind)
        notes = [*self._remarks(), *_on_channels(extra, alpha)]
        if alpha is None:
            return np.ascontiguousarray(color if color.shape[2] == 3 else color[..., 0]), (*notes,)
        over = self._in_range(samples[..., colors + alpha : colors + alpha + 1])
        if extra[alpha] == ASSOCIATED:
            color = _divide(color, over)
        return np.concatenate([color, over], axis=2), (*notes,)

    def _check(self) -> None:
        """MediaError, before anything is decoded."""
        page = self._page
        if page.photometric not in COLORS:
            raise MediaError(f"it is a TIFF of the kind {_name(page.photometric)}{ADVICE}")
        if page.sampleformat in (SIGNED, 5, 6):
            raise MediaError(f"its samples are {_name(page.dtype)}, which may be negative{ADVICE}")
        if page.dtype is None or page.sampleformat not in (UNSIGNED, FLOAT, 4, None):
            raise MediaError(f"its samples of {page.bitspersample} bits are not understood{ADVICE}")
        if page.imagedepth > 1:
            raise MediaError(f"it is a volume of {page.imagedepth} pictures{ADVICE}")
        if page.samplesperpixel < COLORS[page.photometric] + len(page.extrasamples or ()):
            raise MediaError("it is damaged: its pixels have fewer samples than it says")
        if page.samplesperpixel > CHANNELS or int(np.prod(page.chunks)) > PART:
            raise MediaError("it is damaged: its parts are larger than pictures are")
        sizes = page.databytecounts
        expected = int(np.prod(page.chunked))
        if len(sizes) != expected or len(page.dataoffsets) != expected or not all(sizes):
            raise MediaError(f"it is damaged: of its {expected} parts some are missing")
        end = self._file.filehandle.size
        if any(at + size > end for at, size in zip(page.dataoffsets, sizes, strict=True)):
            raise MediaError("it is damaged: it ends too early")
        bits = page.imagewidth * page.imagelength * page.samplesperpixel * page.bitspersample
        if page.compression == UNCOMPRESSED and sum(sizes) * 8 < bits:
            raise MediaError("it is damaged: it does not have as many pixels as it says")

    def _check_shape(self, samples: NDArray[Any]) -> None:
        page = self._page
        if samples.size != page.imagelength * page.imagewidth * page.samplesperpixel:
            raise MediaError("it is damaged: it does not have as many pixels as it says")

    def _in_range(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Samples with white at the largest number of 8 or 16 bits."""
        if samples.dtype.kind == "f":
            return from_floats(samples)
        bits = self._page.bitspersample
        if bits in (8, 16):
            return np.ascontiguousarray(samples, np.uint8 if bits == 8 else np.uint16)
        full, dtype = (255, np.uint8) if bits < 8 else (WHITE, np.uint16)
        result = np.empty(samples.shape, dtype)
        for top in range(0, len(samples), ROWS):
            part = samples[top : top + ROWS].astype(np.float64)
            result[top : top + ROWS] = np.floor(part * (full / (2.0**bits - 1)) + 0.5)
        return result

    def _remarks(self) -> list[str]:
        page, notes = self._page, []
        if page.photometric in LABS:
            notes.append("Lab converted to sRGB")
        if page.bitspersample > 16:
            kind = "floats" if page.sampleformat == FLOAT else "integers"
            notes.append(f"{kind} of {page.bitspersample} bits are read as 16 bits")
        return notes


ADVICE = "; convert it to 8 or 16 bits, grey or RGB"


def _name(kind: Any) -> str:
    return str(getattr(kind, "name", kind))


def _on_channels(extra: tuple[int, ...], alpha: int | None) -> list[str]:
    others = len(extra) - (alpha is not None)
    if not others:
        return []
    return [f"{others} channel{'s' * (others > 1)} besides colours and alpha left out"]


def _from_lab(samples: NDArray[Any], bits: int, kind: int) -> NDArray[np.uint16]:
    """sRGB of Lab in 8 or 16 bits, as TIFF stores it: with signed a and b, or as ICC does."""
    if bits not in (8, 16) or samples.dtype.kind not in "ui":
        raise MediaError(f"Lab of {bits} bits is not understood{ADVICE}")
    result = np.empty(samples.shape, np.uint16)
    step = 256 if bits == 16 else 1  # of a and b
    for top in range(0, len(samples), ROWS):
        part = samples[top : top + ROWS]
        light = part[..., 0].astype(np.float64)
        if kind == CIE_LAB:
            light *= 100 / (2**bits - 1)
            signed = part[..., 1:].astype(f"u{bits // 8}").view(f"i{bits // 8}")
            axes = signed.astype(np.float64) / step
        else:
            light *= 100 / (0xFF00 if bits == 16 else 255)
            axes = part[..., 1:].astype(np.float64) / step - 128
        rgb = lab_to_srgb(np.concatenate([light[..., None], axes], -1))
        result[top : top + ROWS] = np.floor(rgb * WHITE + 0.5)
    return result


def _divide(color: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colour freed of the alpha that it was multiplied by, row by row: memory."""
    result, white = np.empty_like(color), np.iinfo(color.dtype).max
    for row, over in enumerate(alpha):
        part = color[row].astype(np.uint64) * white + over // 2
        result[row] = np.minimum(part // np.maximum(over, 1), white)
    return result
