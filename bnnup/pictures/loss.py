"""What a picture lost when its file was written, as far as the file tells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from PIL import Image

# Of the Independent JPEG Group's table for luma, quality 50, in ITU-T T.81, annex K.
STANDARD_SUM = 3688
# Of a WebP's chunks: where pixels are, one of them without loss, and the head of a frame.
PIXELS, LOSSLESS, FRAME, FRAME_HEAD = (b"VP8 ", b"VP8L"), b"VP8L", b"ANMF", 16
LOSSY = ("AVIF", "HEIF", "JPEG2000", "J2K", "JXL")  # nearly always, and cheap to be wrong about


@dataclass(frozen=True)
class Loss:
    """A lossy encoding: ``kind`` in words, and its quality on JPEG's scale, if it has one."""

    kind: str
    quality: int | None = None

    def __str__(self) -> str:
        return self.kind if self.quality is None else f"{self.kind} of quality {self.quality}"


def find_loss(image: Image.Image, file: IO[bytes] | None) -> Loss | None:
    """What the encoding of an opened file took away; None for lossless ones.

    ``file`` can seek, and is read from its beginning. If it is gone, WebP counts as lossy.
    """
    tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", {})
    if tables:
        return Loss("JPEG", jpeg_quality(tables[0]))
    if image.format == "WEBP":
        kept = file is not None and not file.closed and is_lossless_webp(file)
        return None if kept else Loss("lossy WebP")
    return Loss(str(image.format)) if image.format in LOSSY else None


def is_lossless_webp(file: IO[bytes]) -> bool:
    """Whether the first frame's pixels are stored without loss."""
    file.seek(0)
    if file.read(12)[8:] != b"WEBP":  # once Pillow has decoded it, its file holds the pixels
        return False
    at = 12
    while True:
        file.seek(at)
        head = file.read(8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind in PIXELS or len(head) < 8:
            return kind == LOSSLESS
        at += 8 + (FRAME_HEAD if kind == FRAME else length + length % 2)


def jpeg_quality(table: Sequence[int]) -> int:
    """The quality, 1 … 100, at which the IJG's library writes tables as coarse as this one.

    Its tables are multiples of the standard's: of a whole table the sum tells the factor.
    Below 20, where entries are capped at 255, the quality comes out a little high.
    """
    percent = 100 * sum(table) / STANDARD_SUM
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return min(max(math.floor(quality + 0.5), 1), 100)
