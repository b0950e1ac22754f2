"""Moving pictures of a few seconds: GIF, WebP, APNG and AVIF, frame by frame."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from bnnup.pictures import apng
from bnnup.pictures.metadata import Info

FORMATS = {"GIF", "WEBP", "PNG", "AVIF"}  # of Pillow's, those whose frames are a film's
SHOWN = 128  # the least alpha of what is opaque in GIF, which knows nothing between
STAYS, CLEARED = 1, 2  # what becomes of a frame of GIF when the next one comes
GIF_TICK, GIF_TICKS = 10, 65535  # ms, and the most of them that a frame lasts
ONCE = 1


@dataclass(frozen=True)
class Animation:
    """A file's frames; ``durations`` in ms, one each; ``loop`` as in the file, 0 is forever."""

    content: bytes = field(repr=False)
    first: int  # PNG may start with a picture for those that know no animation
    durations: tuple[float, ...]
    loop: int | None
    has_alpha: bool
    deep: bool = False  # whether frames are uint16

    @property
    def count(self) -> int:
        return len(self.durations)

    def frames(self) -> Iterator[NDArray[Any]]:
        """(H, W, 3) RGB or, if ``has_alpha``, (H, W, 4) RGBA as they are shown, one at a time.

        Deep ones may be grey as well.
        """
        if self.deep:
            yield from apng.read_frames(self.content)
            return
        with Image.open(BytesIO(self.content)) as image:
            for number in range(self.first, self.first + self.count):
                image.seek(number)
                yield np.asarray(image.convert("RGBA" if self.has_alpha else "RGB"))


def read_animation(
    image: Image.Image, file: IO[bytes], deep: bool, go_on: Callable[[], None]
) -> Animation | None:
    """What an opened image has of an animation; None if it is none.

    Every frame is decoded once. ``go_on`` is called before each, and may raise.
    """
    if image.format not in FORMATS or getattr(image, "n_frames", 1) < 2:
        return None
    first = 1 if image.info.get("default_image") else 0
    durations, has_alpha = [], False
    for number in range(first, image.n_frames):  # type: ignore[attr-defined]
        go_on()
        image.seek(number)
        image.load()
        durations.append(float(image.info.get("duration", 0)))
        if not has_alpha and image.has_transparency_data:
            low, _ = image.convert("RGBA").getchannel("A").getextrema()
            has_alpha = low != 255
    file.seek(0)
    return Animation(file.read(), first, tuple(durations), image.info.get("loop"), has_alpha, deep)


class _Film(Image.Image):
    """Frames as one image of Pillow's that is asked for them one after the other.

    Its encoders would gather a list of images before they begin.
    """

    def __init__(self, frames: Iterator[NDArray[Any]], count: int) -> None:
        super().__init__()
        self.n_frames, self.is_animated = count, True
        self._rest, self._number = frames, -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        while self._number < frame:
            shown = Image.fromarray(next(self._rest))
            self.im, self._mode, self._size = shown.im, shown.mode, shown.size
            self._number += 1

    def tell(self) -> int:
        return self._number


def write_with_pillow(
    frames: Iterator[NDArray[Any]],
    durations: tuple[float, ...],
    loop: int | None,
    info: Info,
    file: IO[bytes],
    *,
    format: str,
    **options: Any,
) -> None:
    """Writes (H, W, 3 or 4) uint8 frames as WebP or AVIF."""
    if format == "WEBP":
        options["loop"] = ONCE if loop is None else loop
    film = _Film(frames, len(durations))
    times = [round(duration) for duration in durations]
    film.save(file, format, save_all=True, duration=times, **options, **info)


def write_gif(
    frames: Iterator[NDArray[Any]],
    durations: tuple[float, ...],
    loop: int | None,
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes (H, W, 3 or 4) uint8 frames, each with a palette of its own.

    Where nothing is transparent, only the part of a frame that differs from the one
    before is stored. A pause that is too long for one frame is shared out among several.
    """
    before: NDArray[Any] | None = None
    for frame, duration in zip(frames, durations, strict=True):
        if before is None:
            file.write(_gif_head(frame, loop, info))
        has_alpha = frame.shape[2] == 4
        part, corner = frame, (0, 0)
        if before is not None and not has_alpha:
            part, corner = apng.difference(before, frame)
        for pause in _pauses(duration):
            file.write(_gif_frame(part, corner, pause, CLEARED if has_alpha else STAYS))
        before = frame
    file.write(b";")


def _pauses(duration: float) -> Iterator[int]:
    ticks = round(duration / GIF_TICK)
    while ticks > GIF_TICKS:
        yield GIF_TICKS
        ticks -= GIF_TICKS
    yield ticks


def _gif_head(frame: NDArray[Any], loop: int | None, info: Info) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", frame.shape[1], frame.shape[0], 0x70, 0, 0)
    if loop is not None:
        head += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0)
    if comment := info.get("comment", b""):
        parts = [comment[place : place + 255] for place in range(0, len(comment), 255)]
        head += b"!\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    return head


def _gif_frame(pixels: NDArray[Any], corner: tuple[int, int], ticks: int, disposal: int) -> bytes:
    image = Image.fromarray(_shown_or_not(pixels)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert image.palette is not None
    clear = [index for color, index in image.palette.colors.items() if color[3:] == (0,)]
    transparent = clear[0] if clear else None
    image.putpalette(image.getpalette("RGB") or [])
    control = disposal << 2 | (transparent is not None)
    head = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, control, ticks, transparent or 0, 0)
    parts = GifImagePlugin.getdata(image, corner, include_color_table=True)
    return head + b"".join(bytes(part) for part in parts)


def _shown_or_not(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame with pixels that are either opaque or not there."""
    if frame.shape[2] == 3:
        return frame
    shown = frame[..., 3:] >= SHOWN
    return np.where(shown, frame | np.array([0, 0, 0, 255], np.uint8), np.uint8(0))
