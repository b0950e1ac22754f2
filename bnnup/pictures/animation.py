"""Moving pictures of a few seconds: GIF, WebP, APNG and AVIF, frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.pictures.metadata import Info

FORMATS = {"GIF", "WEBP", "PNG", "AVIF"}
SHOWN = 128  # the least alpha of what is opaque in GIF, which knows nothing between
CLEARED = 2  # each frame is taken away before the next one comes


@dataclass(frozen=True)
class Animation:
    """A file's frames; ``durations`` in ms, one each; ``loop`` as in the file, 0 is for ever."""

    content: bytes = field(repr=False)
    first: int  # PNG may start with a picture for those that know no animation
    durations: tuple[float, ...]
    loop: int | None
    has_alpha: bool

    @property
    def count(self) -> int:
        return len(self.durations)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) RGB or, if ``has_alpha``, (H, W, 4) RGBA as they are shown, one at a time."""
        with Image.open(BytesIO(self.content)) as image:
            for number in range(self.first, self.first + self.count):
                image.seek(number)
                yield np.asarray(image.convert("RGBA" if self.has_alpha else "RGB"))


def read_animation(image: Image.Image, file: IO[bytes]) -> Animation | None:
    """What an opened image has of an animation; None if it is none. Every frame is decoded once."""
    if image.format not in FORMATS or getattr(image, "n_frames", 1) < 2:
        return None
    first = 1 if image.info.get("default_image") else 0
    durations, has_alpha = [], False
    for number in range(first, image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        image.load()
        durations.append(float(image.info.get("duration", 0)))
        if not has_alpha and image.has_transparency_data:
            low, _ = image.convert("RGBA").getchannel("A").getextrema()
            has_alpha = low != 255
    file.seek(0)
    return Animation(file.read(), first, tuple(durations), image.info.get("loop"), has_alpha)


def write_animation(
    frames: Iterator[NDArray[Any]],
    animation: Animation,
    format_name: str,
    options: dict[str, Any],
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes (H, W, 3 or 4) uint8 frames with the times of ``animation``.

    Raises whatever Pillow, the disk or the frames raise.
    """
    images = (Image.fromarray(_for_gif(f) if format_name == "GIF" else f) for f in frames)
    durations = [round(duration) for duration in animation.durations]
    if animation.loop is not None:
        options = {**options, "loop": animation.loop}
    elif format_name in ("WEBP", "PNG"):  # whose default is for ever
        options = {**options, "loop": 1}
    if format_name == "GIF" and animation.has_alpha:
        options = {**options, "disposal": CLEARED}
    first = next(images)
    first.save(
        file,
        format_name,
        save_all=True,
        append_images=list(images) if format_name == "PNG" else images,  # PNG's looks at them twice
        duration=durations,
        **options,
        **info,
    )


def _for_gif(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame with pixels that are either opaque or not there."""
    if frame.shape[2] == 3:
        return frame
    shown = frame[..., 3:] >= SHOWN
    return np.where(shown, frame | np.array([0, 0, 0, 255], np.uint8), np.uint8(0))
