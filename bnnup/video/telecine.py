"""Inverse telecine: the 24 frames a second of cinema out of the 30 of television.

Television shows four frames of a cinema film as five, some of them mixed from the fields of two
frames. libav's ``fieldmatch`` puts fields together again; then one frame of five is there twice.
Here it goes, and the others share its time. libav's own ``decimate`` counts frames instead of
looking at their times, so that sound would run away after every gap, and takes one of five even
where none is there twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from bnnup.video.frames import to_planes
from bnnup.video.planes import Plane, PlaneFormat

CYCLE = 5  # frames of television that four of cinema take
RATE = Fraction(30000, 1001)  # of television
LEFT = Fraction(4, CYCLE)  # of frames
BLOCK = 32  # pixels each way, in which frames are compared: often, little moves
TWICE = 0.5  # of the usual difference between frames, below which one is there twice
QUIET = 3.0  # mean difference in a block, of 8 bits, up to which nobody sees which one goes


def field_matcher(frame: VideoFrame, fields: str | None) -> Graph:
    """Puts fields of the same picture together again, and deinterlaces where there are none.

    ``fields`` is the order of fields that all frames have, by default what each one says.
    """
    graph = Graph()
    size = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
    # The filter takes nothing without a frame rate, which it makes no use of.
    source = graph.add("buffer", f"{size}:time_base={frame.time_base}:frame_rate={RATE}")
    matched = graph.add("fieldmatch", f"order={fields or 'auto'}:combmatch=full")
    whole = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, matched, whole, graph.add("buffersink")).configure()
    return graph


def is_television(rate: Fraction) -> bool:
    """Whether a film of so many frames a second may hold cinema's, with or without repeats."""
    return 23 < rate < 31 and abs(rate - 25) > Fraction(1, 10)


def cinema_rate(rate: Fraction) -> Fraction:
    """Frames a second of what is left. Films slower than television's are left as they are."""
    return rate * LEFT if rate > Fraction(9, 10) * RATE else rate


@dataclass(frozen=True)
class _Timed:
    """``difference`` is that from the frame before, in the block that differs most."""

    frame: VideoFrame
    time: Fraction
    difference: float


def without_repeats(
    frames: Iterable[VideoFrame], form: PlaneFormat, first: Fraction, time_base: Fraction
) -> Iterator[VideoFrame]:
    """Frames whose fields match, without those that are there twice; ``pts`` and ``duration``
    count ``time_base``.

    Cycles of five are counted from ``first`` on, a moment in seconds, so that they are the same
    wherever decoding begins. Frames that are shown for longer are none of television's.
    """
    step = 1 / RATE
    cycle: list[_Timed] = []
    before: Plane | None = None
    number, time = 0, first - step
    for frame in frames:
        last, time = time, _time(frame, time + step)
        follows = abs(time - last - step) < step / 4
        count = floor((time - first) / step + Fraction(1, 2)) // CYCLE
        if cycle and (count != number or not follows):
            yield from _left(cycle, time, time_base, whole=follows)
            cycle = []
        luma, number = to_planes(frame, form)[0], count
        cycle.append(_Timed(frame, time, _difference(before, luma, form.bits)))
        before = luma
    yield from _left(cycle, time + step, time_base, whole=True)


def _time(frame: VideoFrame, otherwise: Fraction) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        return otherwise
    return frame.pts * frame.time_base


def _difference(before: Plane | None, luma: Plane, bits: int) -> float:
    if before is None:
        return np.inf
    changes = np.abs(luma.astype(np.int32) - before)
    sums = np.add.reduceat(changes, range(0, luma.shape[0], BLOCK), axis=0)
    sums = np.add.reduceat(sums, range(0, luma.shape[1], BLOCK), axis=1)
    return float(sums.max()) / BLOCK**2 / (1 << bits - 8)


def _left(
    cycle: list[_Timed], end: Fraction, time_base: Fraction, *, whole: bool
) -> Iterator[VideoFrame]:
    """The frames of a cycle up to ``end``; if it is ``whole`` and one is there twice, without it,
    and all for equally long."""
    times = [timed.time for timed in cycle]
    if whole and (found := _repeat(cycle)) is not None:
        cycle = [timed for timed in cycle if timed is not found]
        times = [times[0] + number * (end - times[0]) / len(cycle) for number in range(len(cycle))]
    for timed, (start, stop) in zip(cycle, pairwise([*times, end]), strict=True):
        frame = timed.frame
        frame.time_base, frame.pts = time_base, round(start / time_base)
        frame.duration = round(stop / time_base) - frame.pts
        yield frame


def _repeat(cycle: list[_Timed]) -> _Timed | None:
    """The frame of a whole cycle that is there twice."""
    if len(cycle) < CYCLE:
        return None
    found = min(cycle, key=lambda timed: timed.difference)
    usual = float(np.median([timed.difference for timed in cycle if timed is not found]))
    differs = found.difference > QUIET and found.difference > TWICE * usual
    return None if differs else found
