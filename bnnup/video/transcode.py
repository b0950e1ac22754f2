"""The work on a film: decoding, network and encoding at once, span after span."""

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from bnnup.system.stages import Clock, ahead
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.encoding import FilmEncoding, encode
from bnnup.video.film import Film, read_frames
from bnnup.video.frame_upscaler import FrameUpscaler
from bnnup.video.frames import fill, from_planes, side_data, to_planes
from bnnup.video.packed import PACKINGS
from bnnup.video.planes import Plane
from bnnup.video.read import BadPackets, Cut
from bnnup.video.rgb import ToRgb
from bnnup.video.segments import Chunk, Seam, SegmentWriter, WorkFolder
from bnnup.video.spans import Span

STOCK = 4  # frames between two stages
# What encoders may write again: closed captions and timecodes.
CARRIED = {SideData.A53_CC, SideData.S12M_TIMECODE, SideData.AFD}


@dataclass(frozen=True)
class TimedFrame:
    """An enlarged frame, and when and how long it is shown."""

    frame: VideoFrame
    pts: int
    duration: int


@dataclass
class FilmProgress:
    """How far the work is. Seconds are of this run, ``busy`` by stage; bytes are encoded video.

    ``frames`` counts all that are done, ``resumed`` those of them that an earlier run did;
    ``total`` is an estimate. ``reused`` is the share of luma that did not change. On a
    cluster of so many ``workers``, whole segments are counted, and ``busy`` adds up theirs.
    """

    frames: int = 0
    resumed: int = 0
    total: int = 0
    bytes: int = 0
    seconds: float = 0.0
    reused: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    workers: int = 1

    @classmethod
    def of(cls, film: Film, folder: WorkFolder) -> "FilmProgress":
        """What has been done by now."""
        done = folder.frames
        return cls(frames=done, resumed=done, total=max(film.frames, done), bytes=folder.size)

    @property
    def rate(self) -> float:
        """Frames per second."""
        return (self.frames - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take."""
        return max(self.total - self.frames, 0) / self.rate if self.rate else None


class Transcoder:
    """The enlarging and encoding of one film, or of spans of it."""

    def __init__(
        self,
        upscaler: Upscaler,
        film: Film,
        encoding: FilmEncoding,
        cut: Cut,
        folder: WorkFolder,
        progress: Callable[[FilmProgress], None],
    ) -> None:
        self.state = FilmProgress.of(film, folder)
        self._enlarge = FrameUpscaler(upscaler, film.form)
        self._size = encoding.width, encoding.height
        self._to_rgb: ToRgb | None = None
        if encoding.codec.forms:
            self._to_rgb = ToRgb(film, encoding.pix_fmt)
            self._size = self._size[::-1] if film.is_turned else self._size
        self._film = film
        self._encoding = encoding
        self._cut = cut
        self._folder = folder
        self._progress = progress
        self._damage = BadPackets()
        self._clocks = {stage: Clock() for stage in ("decode", "engine", "encode")}
        self._began: float | None = None

    def run(self, spans: Iterable[Span], seek: int | None = None) -> None:
        """Makes the segments of spans, in their order, in one go from ``seek`` on.

        What lies between them is decoded, not jumped over: of a jump in a damaged or
        unusual file nobody knows exactly where it leads.
        """
        with closing(ahead(self._pictures(spans, seek), STOCK)) as pictures:
            for span, items in groupby(pictures, key=itemgetter(0)):
                self._encode_segment(span, (item for _, item in items))

    def _frames(
        self, spans: Iterable[Span], seek: int | None
    ) -> Generator[tuple[Span, VideoFrame | Seam], None, None]:
        """The decoded frames of each span, then its seam."""
        with closing(self._decoded(seek)) as frames:
            frame = next(frames, None)
            for span in spans:
                while frame and span.begin is not None and (frame.pts or 0) < span.begin:
                    frame = next(frames, None)
                first, damaged = self._digest(frame), self._damage.packets
                while frame and (span.end is None or (frame.pts or 0) < span.end):
                    self._begin()
                    yield span, frame
                    frame = next(frames, None)
                damaged = self._damage.packets - damaged
                yield span, Seam(first, self._digest(frame), damaged, exact=seek is None)

    def _begin(self) -> None:
        """Time counts from the first frame to enlarge: how fast finished ones are decoded again
        says nothing of those that are left.
        """
        if self._began is None:
            self._began, self._clocks["decode"] = time.perf_counter(), Clock()

    def _decoded(self, seek: int | None) -> Generator[VideoFrame, None, None]:
        with closing(read_frames(self._film, self._cut, self._damage, seek)) as frames:
            while True:
                with self._clocks["decode"].running():
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame

    def _digest(self, frame: VideoFrame | None) -> bytes:
        """What tells a frame and its times from others; zeros after the last one."""
        if frame is None:
            return bytes(8)
        digest = hashlib.blake2b(f"{frame.pts} {frame.duration}".encode(), digest_size=8)
        for plane in to_planes(frame, self._film.form):
            digest.update(np.ascontiguousarray(plane).data)
        return digest.digest()

    def _pictures(
        self, spans: Iterable[Span], seek: int | None
    ) -> Generator[tuple[Span, TimedFrame | Seam], None, None]:
        """The enlarged frames of each span, then its seam."""
        with closing(ahead(self._frames(spans, seek), STOCK)) as frames:
            for span, frame in frames:
                if isinstance(frame, Seam):
                    yield span, frame
                    continue
                with self._clocks["engine"].running():
                    planes = self._enlarge(to_planes(frame, self._film.form))
                picture = self._compose(frame, planes)
                yield span, TimedFrame(picture, frame.pts or 0, frame.duration)

    def _compose(self, frame: VideoFrame, planes: list[Plane]) -> VideoFrame:
        """A frame for the encoder: enlarged planes, and the captions of ``frame``."""
        size, pix_fmt = self._size, self._film.pix_fmt
        picture = from_planes(planes, pix_fmt)
        if size != (picture.width, picture.height):
            picture = picture.reformat(*size, interpolation="LANCZOS")
        if CARRIED & side_data(frame).keys():
            # Only a conversion makes a frame with another's side data; its pixels do not count.
            carrier = frame.reformat(*size, pix_fmt, interpolation="POINT")
            fill(carrier, to_planes(picture, self._film.form))
            picture = carrier
        if self._to_rgb is not None:
            picture = self._to_rgb(picture)
        elif self._encoding.pix_fmt in PACKINGS:
            packed = PACKINGS[self._encoding.pix_fmt].pack(to_planes(picture, self._film.form))
            picture = from_planes(packed, self._encoding.pix_fmt)
        picture.pict_type = 0  # the encoder chooses key frames itself
        return picture

    def _encode_segment(self, span: Span, items: Iterator[TimedFrame | Seam]) -> None:
        """Encodes the pictures of a span, which its seam follows, to a segment."""
        frames, size = self._folder.frames, self._folder.size
        context = self._encoding.open()
        shown: dict[int, tuple[int, int]] = {}
        with self._folder.begin(span.number, context.extradata or b"") as segment:
            for number, item in enumerate(items):
                if isinstance(item, Seam):
                    if number:
                        self._encode(context, None, shown, segment)
                    segment.close(item)
                else:
                    shown[number] = item.pts, item.duration
                    item.frame.pts, item.frame.time_base = number, context.time_base
                    self._encode(context, item.frame, shown, segment)
                    self._tell(frames + number + 1, size + segment.size)
        self._folder.finish(span.number)

    def _encode(
        self,
        context: VideoCodecContext,
        frame: VideoFrame | None,
        shown: dict[int, tuple[int, int]],
        segment: SegmentWriter,
    ) -> None:
        """Hands a frame, or the end, to the encoder and writes what that gives back.

        ``shown`` says when and how long the frames in the encoder are shown, by number.
        """
        with self._clocks["encode"].running():
            for packet in encode(context, frame):
                if packet.pts is not None:
                    pts, duration = shown.pop(packet.pts)
                    segment.write(Chunk(pts, None, duration, packet.is_keyframe, bytes(packet)))

    def _tell(self, frames: int, size: int) -> None:
        state = self.state
        state.frames, state.bytes = frames, size
        state.total = max(state.total, frames)
        state.seconds = time.perf_counter() - (self._began or 0)
        state.reused = self._enlarge.reused / max(self._enlarge.pixels, 1)
        state.busy = {stage: clock.seconds for stage, clock in self._clocks.items()}
        self._progress(state)
