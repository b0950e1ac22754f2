"""Animated PNG: written frame by frame in 8 and 16 bits, and read in 16, where Pillow has 8.

W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 11.3.6.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnup.pictures.change import Dimensions
from bnnup.pictures.metadata import Info
from bnnup.pictures.png import SIGNATURE, chunks, packed, write_chunk, write_head

KEEP, CLEAR, RESTORE = range(3)  # what becomes of a frame when the next one comes
SOURCE, OVER = range(2)  # whether a frame replaces what is below, or lies over it
ALIKE = {b"IHDR", b"PLTE", b"tRNS"}  # what all frames share
FOR_EVER, ONCE = 0, 1
MOST_TICKS = 65535  # of a duration's numerator and denominator


class Control(NamedTuple):
    """fcTL: a frame's size and place, its duration as a fraction of seconds, and two choices."""

    width: int
    height: int
    left: int
    top: int
    over: int
    under: int
    disposal: int
    blend: int


def read_frames(content: bytes) -> Iterator[NDArray[np.uint16]]:
    """(H, W) or (H, W, 2 to 4) uint16 frames as they are shown, of a PNG of 16 bits.

    Raises what the decoder does for damaged ones.
    """
    import imagecodecs

    head, parts = _split(BytesIO(content))
    width, height = struct.unpack_from(">II", head[b"IHDR"])
    canvas: NDArray[np.uint16] | None = None
    for control, data in parts:
        frame = imagecodecs.png_decode(_single(head, control, data))
        if canvas is None:
            canvas = np.zeros((height, width, *frame.shape[2:]), np.uint16)
        rows = slice(control.top, control.top + control.height)
        columns = slice(control.left, control.left + control.width)
        below = canvas[rows, columns].copy()
        alpha = frame.shape[2:] in ((2,), (4,))
        canvas[rows, columns] = _over(frame, below) if alpha and control.blend == OVER else frame
        yield canvas.copy()
        if control.disposal == CLEAR:
            canvas[rows, columns] = 0
        elif control.disposal == RESTORE:
            canvas[rows, columns] = below


def _split(file: IO[bytes]) -> tuple[dict[bytes, bytes], Iterator[tuple[Control, bytes]]]:
    """What all frames share, and each frame's control and compressed pixels."""
    shared: dict[bytes, bytes] = {}
    frames: list[tuple[Control, list[bytes]]] = []
    for kind, place, length in chunks(file):
        if kind in ALIKE:
            file.seek(place)
            shared[kind] = file.read(length)
        elif kind == b"fcTL":
            file.seek(place)
            frames.append((Control(*struct.unpack_from(">IIIIHHBB", file.read(26), 4)), []))
        elif kind in (b"IDAT", b"fdAT") and frames:  # before the first fcTL, it is no frame
            skipped = 4 if kind == b"fdAT" else 0
            file.seek(place + skipped)
            frames[-1][1].append(file.read(length - skipped))
    return shared, ((control, b"".join(data)) for control, data in frames)


def _single(shared: dict[bytes, bytes], control: Control, data: bytes) -> bytes:
    """A frame as a picture of its own."""
    file = BytesIO(SIGNATURE)
    file.seek(0, 2)
    size = struct.pack(">II", control.width, control.height)
    write_chunk(file, b"IHDR", size + shared[b"IHDR"][8:])
    for kind in (b"PLTE", b"tRNS"):
        if kind in shared:
            write_chunk(file, kind, shared[kind])
    write_chunk(file, b"IDAT", data)
    write_chunk(file, b"IEND", b"")
    return file.getvalue()


def _over(frame: NDArray[np.uint16], below: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Colours and alpha of a frame that lies over another."""
    alpha, beneath = (each[..., -1:].astype(np.float64) / 65535 for each in (frame, below))
    rest = beneath * (1 - alpha)
    whole = alpha + rest
    colors = frame[..., :-1] * alpha + below[..., :-1] * rest
    colors = np.divide(colors, whole, out=np.zeros_like(colors), where=whole > 0)
    result = np.concatenate([colors, whole * 65535], axis=-1)
    return np.floor(result + 0.5).astype(np.uint16)


def write_apng(
    frames: Iterator[NDArray[Any]],
    durations: tuple[float, ...],
    loop: int | None,
    info: Info,
    file: IO[bytes],
) -> None:
    """Writes uint8 or uint16 frames of one shape, each shown for so many ms.

    Only the part of a frame that differs from the one before is stored.
    """
    first = next(frames)
    counts = struct.pack(">II", len(durations), ONCE if loop is None else loop)
    write_head(file, first.itemsize * 8, first.shape, info, counts)
    number = _write_frame(file, first, (0, 0), durations[0], 0)
    before = first
    for frame, duration in zip(frames, durations[1:], strict=True):
        part, corner = difference(before, frame)
        number = _write_frame(file, part, corner, duration, number)
        before = frame
    write_chunk(file, b"IEND", b"")


def _write_frame(
    file: IO[bytes], pixels: NDArray[Any], corner: Dimensions, duration: float, number: int
) -> int:
    """Writes a frame whose chunks are numbered from ``number`` on; the number of the next."""
    size = pixels.shape[1], pixels.shape[0]
    control = Control(*size, *corner, *_as_fraction(duration), KEEP, SOURCE)
    write_chunk(file, b"fcTL", struct.pack(">IIIIIHHBB", number, *control))
    is_first, number = number == 0, number + 1
    for content in packed([pixels], pixels.shape, pixels.dtype):
        if is_first:
            write_chunk(file, b"IDAT", content)
        else:
            write_chunk(file, b"fdAT", struct.pack(">I", number) + content)
            number += 1
    return number


def _as_fraction(duration: float) -> tuple[int, int]:
    """Milliseconds as a fraction of seconds: to the millisecond, and beyond a minute to less."""
    for under in (1000, 100, 10, 1):
        if (over := round(duration * under / 1000)) <= MOST_TICKS:
            return over, under
    return MOST_TICKS, 1


def difference(before: NDArray[Any], frame: NDArray[Any]) -> tuple[NDArray[Any], Dimensions]:
    """The smallest part of a frame outside which it is as before, and its corner, x and y."""
    changed = before != frame
    if changed.ndim == 3:
        changed = changed.any(axis=2)
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return frame[:1, :1], (0, 0)
    part = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(part), (int(columns[0]), int(rows[0]))
