"""The work on a film: decoding, network and encoding at once, segment after segment."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

import av
from av.sidedata.sidedata import Type as SideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from bnnup.decoder import Cut, Damage
from bnnup.encoder import Encoding
from bnnup.errors import MediaError
from bnnup.film import Film, read_frames
from bnnup.frames import fill, from_planes, side_data, to_planes
from bnnup.pipeline import Clock, ahead
from bnnup.planes import FrameUpscaler, Plane
from bnnup.segments import Chunk, SegmentWriter, WorkFolder
from bnnup.upscaler import Upscaler

STOCK = 4  # frames between two stages
SEGMENT = 120  # frames after which a segment ends at the film's next key frame …
LONGEST = 240  # … or here, if none comes
# What encoders may write again: closed captions and timecodes.
CARRIED = {SideData.A53_CC, SideData.S12M_TIMECODE, SideData.AFD, SideData.DYNAMIC_HDR_PLUS}


@dataclass(frozen=True)
class Picture:
    """An enlarged frame, when it is shown, and whether the film has a key frame there."""

    frame: VideoFrame
    pts: int
    duration: int
    is_key: bool


@dataclass
class Progress:
    """How far the work is. Seconds are of this run, ``busy`` by stage; bytes are encoded video.

    ``frames`` counts all that are done, ``resumed`` those of them that an earlier run did;
    ``total`` is an estimate. ``reused`` is the share of luma that did not change.
    """

    frames: int = 0
    resumed: int = 0
    total: int = 0
    bytes: int = 0
    seconds: float = 0.0
    reused: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Frames a second."""
        return (self.frames - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take."""
        return max(self.total - self.frames, 0) / self.rate if self.rate else None


class Work:
    """The enlarging and encoding of one film, up to the last segment."""

    def __init__(
        self,
        upscaler: Upscaler,
        film: Film,
        encoding: Encoding,
        cut: Cut,
        folder: WorkFolder,
        progress: Callable[[Progress], None],
    ) -> None:
        done = folder.frames
        self.state = Progress(frames=done, resumed=done, total=max(film.frames, done))
        self._enlarge = FrameUpscaler(upscaler, film.form)
        self._film = film
        self._encoding = encoding
        self._cut = cut
        self._folder = folder
        self._progress = progress
        self._damage = Damage()
        self._clocks = {stage: Clock() for stage in ("decode", "engine", "encode")}
        self._began = time.perf_counter()
        self._end = 0.0  # seconds into the film at which its last frame ends

    def run(self) -> None:
        """Makes all segments that are missing."""
        with closing(ahead(self._pictures(), STOCK)) as pictures:
            picture = next(pictures, None)
            while picture is not None:
                picture = self._encode_segment(picture, pictures)
        self.state.total = self.state.frames

    def _frames(self) -> Generator[VideoFrame, None, None]:
        """Decoded frames that are not in a segment yet.

        Those that are get decoded once more rather than jumped over: of a jump in a
        damaged or unusual file nobody knows exactly where it leads.
        """
        with closing(read_frames(self._film, self._cut, self._damage)) as frames:
            for number in count():
                with self._clocks["decode"].running():
                    frame = next(frames, None)
                if frame is None or frame.pts is None:
                    return
                self._end = float((frame.pts + frame.duration) * self._film.time_base)
                if number >= self.state.resumed:
                    yield frame

    def _pictures(self) -> Generator[Picture, None, None]:
        """Enlarged frames."""
        with closing(ahead(self._frames(), STOCK)) as frames:
            for frame in frames:
                with self._clocks["engine"].running():
                    planes = self._enlarge(to_planes(frame, self._film.form))
                picture = self._compose(frame, planes)
                yield Picture(picture, frame.pts or 0, frame.duration, frame.key_frame)

    def _compose(self, frame: VideoFrame, planes: list[Plane]) -> VideoFrame:
        """A frame for the encoder: enlarged planes, and the captions of ``frame``."""
        encoding = self._encoding
        size = encoding.width, encoding.height
        picture = from_planes(planes, encoding.pix_fmt)
        if size != (picture.width, picture.height):
            picture = picture.reformat(*size, interpolation="LANCZOS")
        if CARRIED & side_data(frame).keys():
            # Only a conversion makes a frame with another's side data; its pixels do not count.
            carrier = frame.reformat(*size, encoding.pix_fmt, interpolation="POINT")
            fill(carrier, to_planes(picture, self._film.form))
            picture = carrier
        picture.pict_type = 0  # the encoder chooses key frames itself
        return picture

    def _encode_segment(self, first: Picture, rest: Iterator[Picture]) -> Picture | None:
        """Encodes ``first`` and what follows to a segment; returns the first of the next one."""
        frames, size = self._folder.frames, self._folder.size
        context = self._encoding.open()
        picture: Picture | None = first
        shown: dict[int, tuple[int, int]] = {}
        with self._folder.begin(context.extradata or b"") as segment:
            for number in count():
                if picture is None or number == LONGEST or (number >= SEGMENT and picture.is_key):
                    break
                shown[number] = picture.pts, picture.duration
                picture.frame.pts, picture.frame.time_base = number, context.time_base
                self._encode(context, picture.frame, shown, segment)
                self._tell(frames + number + 1, size + segment.size)
                picture = next(rest, None)
            self._encode(context, None, shown, segment)
        self._folder.finish()
        return picture

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
            try:
                packets = context.encode(frame)
            except av.FFmpegError as error:
                raise MediaError(f"{context.name} failed: {error.strerror}; try --codec") from error
            for packet in packets:
                if packet.pts is not None:
                    pts, duration = shown.pop(packet.pts)
                    segment.write(Chunk(pts, None, duration, packet.is_keyframe, bytes(packet)))

    def _tell(self, frames: int, size: int) -> None:
        state = self.state
        state.frames, state.bytes = frames, size
        state.total = max(state.total, frames)
        state.seconds = time.perf_counter() - self._began
        state.reused = self._enlarge.reused / max(self._enlarge.pixels, 1)
        state.busy = {stage: clock.seconds for stage, clock in self._clocks.items()}
        self._progress(state)

    def warnings(self) -> list[str]:
        """What the user should know of the input."""
        found = []
        if self._damage.packets:
            found.append(f"{self._damage.packets} damaged packets were left out, as players do")
        expected = float(self._film.origin) + self._film.seconds
        if self._end < expected - max(1.0, 0.02 * self._film.seconds):
            found.append(
                f"pictures end at {self._end:.1f} s, though the header promises {expected:.1f} s: "
                "the input may have been cut"
            )
        if self._film.colors.mastering and self._encoding.codec.params is None:
            found.append(f"{self._encoding.codec.encoder} cannot carry HDR mastering metadata")
        return found
