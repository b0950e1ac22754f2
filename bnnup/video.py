"""Films: the same film larger, with its sound, its subtitles and its timing.

Decoding, network and encoding overlap, each in a thread of its own. Encoded pictures
go to segments in a folder beside the output, from where a later run goes on after an
interruption; when all are there, they and the copied streams become the output.
"""

import dataclasses
import hashlib
import os
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from bnnup import __version__, encoder
from bnnup.decoder import Cut, Damage
from bnnup.encoder import Encoding
from bnnup.errors import MediaError
from bnnup.film import Film, probe, read_frames
from bnnup.frames import fill, from_planes, side_data, to_planes
from bnnup.mux import muxer, wants_global_header
from bnnup.pipeline import Clock, ahead
from bnnup.planes import FrameUpscaler, Plane
from bnnup.segments import Chunk, SegmentWriter, WorkFolder
from bnnup.upscaler import Upscaler
from bnnup.weights import Model

STOCK = 4  # frames between two stages
SEGMENT = 120  # frames after which a segment ends at the film's next key frame …
LONGEST = 240  # … or here, if none comes
TRANSPORT = (".ts", ".m2ts", ".mts")  # whose clocks may begin anywhere
MATROSKA = (".mkv", ".webm")  # in which libav leaves the shape of pixels to codecs
# What encoders may write again: closed captions and timecodes.
CARRIED = {SideData.A53_CC, SideData.S12M_TIMECODE, SideData.AFD, SideData.DYNAMIC_HDR_PLUS}


@dataclass(frozen=True)
class Picture:
    """An enlarged frame, when it is shown, and whether the film has a key frame there."""

    frame: VideoFrame
    pts: int
    duration: int
    is_key: bool


@dataclass(frozen=True)
class Options:
    """How the output is to be. ``size`` is its exact width and height, if given."""

    cut: Cut = field(default_factory=Cut)
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    size: tuple[int, int] | None = None
    drop_misfits: bool = False


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


@dataclass(frozen=True)
class Result:
    """A finished film, and what its user should know of it."""

    output: str
    width: int
    height: int
    codec: str
    backend: str
    progress: Progress
    warnings: list[str]


def check_target(source: Path, target: Path, *, force: bool) -> None:
    """MediaError if ``target`` must not or cannot be written, before any work is done."""
    if target.is_dir():
        raise MediaError(f"{target} is a folder; name a file")
    if target.exists() and source.samefile(target):
        raise MediaError("output and input are the same file; name another with -o")
    if target.exists() and not force:
        raise MediaError(f"{target} exists; name another with -o, or overwrite it with --force")
    if not target.parent.is_dir():
        raise MediaError(f"there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise MediaError(f"the folder {target.parent} cannot be written to")


def enlarge_video(
    upscaler: Upscaler,
    source: Path,
    target: Path,
    options: Options | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    discard: bool = False,
) -> Result:
    """Enlarges the first video stream of ``source`` and copies everything else.

    ``target`` appears when it is complete and replaces what was there. A run that was
    interrupted, however rudely, is continued by the same call; one with other options
    meets its unfinished work, which ``discard`` throws away. Raises MediaError.
    """
    options = options or Options()
    film = probe(source, options.cut, keep_clock=target.suffix.lower() in TRANSPORT)
    encoding = choose_encoding(film, upscaler.scale, target, options)
    folder = WorkFolder(target, _describe(upscaler, film, options))
    with _explained(folder):
        folder.prepare(discard=discard)
    with _explained(folder), folder.tidied():
        # Whether all streams fit shows now, not after hours.
        with muxer(folder.result, film, encoding, options.cut, drop=options.drop_misfits) as trial:
            left_out = trial.left_out
        work = _Work(upscaler, film, encoding, options.cut, folder, progress)
        work.run()
        with muxer(folder.result, film, encoding, options.cut, drop=options.drop_misfits) as output:
            output.write(folder.segments, options.cut)
        folder.result.replace(target)
        work.state.bytes = target.stat().st_size
        folder.clear()
    return Result(
        str(target),
        encoding.width,
        encoding.height,
        encoding.codec.encoder,
        upscaler.backend.name,
        work.state,
        [*work.warnings(), *(f"left out {name}" for name in left_out)],
    )


@contextmanager
def _explained(folder: WorkFolder) -> Iterator[None]:
    """Turns what the system says of files into one line for the user."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise MediaError(
            f"writing failed: {error.strerror or error}; what is done is kept in {folder.path}, "
            "and the same command goes on from there"
        ) from error


def choose_encoding(film: Film, scale: int, target: Path, options: Options) -> Encoding:
    """What the output's pictures become. MediaError if the encoder cannot do it."""
    codec = encoder.choose_codec(options.codec, film.form, target.suffix.lower())
    if film.pix_fmt not in codec.formats():
        raise MediaError(
            f"{codec.encoder} cannot encode {film.pix_fmt}; choose --codec ffv1, or convert with "
            f"--pix-fmt to one of {', '.join(codec.formats())}"
        )
    width, height = options.size or (scale * film.width, scale * film.height)
    # The picture keeps its shape, whatever becomes of its pixels' shape.
    stretch = Fraction(film.width * height, film.height * width)
    aspect = ((film.aspect or 1) * stretch).limit_denominator(10_000)
    if aspect != 1 and not codec.keeps_aspect and target.suffix.lower() in MATROSKA:
        raise MediaError(
            f"the shape of this film's pixels is not kept by {codec.encoder} in {target.suffix}; "
            "take --codec x264 or x265, or an output in .mp4, or make them square with --scale-to"
        )
    encoding = Encoding(
        codec=codec,
        width=width,
        height=height,
        pix_fmt=film.pix_fmt,
        rate=film.rate,
        aspect=aspect if film.aspect is not None or aspect != 1 else None,
        colors=film.colors,
        options=encoder.choose_options(codec, film.colors, options.crf, options.preset),
        global_header=wants_global_header(target),
    )
    encoding.open()
    return encoding


def _describe(upscaler: Upscaler, film: Film, options: Options) -> dict[str, Any]:
    """All that the encoded pictures depend on."""
    stat = film.path.stat()
    return {
        "bnnup": __version__,
        "libav": {name: list(version) for name, version in av.library_versions.items()},
        "source": [str(film.path.resolve()), stat.st_size, stat.st_mtime_ns],
        "model": _fingerprint(upscaler.model),
        "backend": upscaler.backend.name,
        "options": dataclasses.asdict(options),
    }


def _fingerprint(model: Model) -> str:
    """The same for the same network; files of it may differ in the order of their parts."""
    found = hashlib.sha256(model.program.to_json().encode())
    for name in sorted(model.tensors):
        found.update(name.encode() + model.tensors[name].tobytes())
    return found.hexdigest()


class _Work:
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


def read_size(text: str) -> tuple[int, int]:
    """Width and height of ``1280x720``."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise MediaError(f"{text!r} is no size; write width and height, like 1280x720")
    return int(match[1]), int(match[2])


def choose_scale(source: Path, options: Options) -> int:
    """The least scale that reaches the wanted size; 2 if none is wanted."""
    if options.size is None:
        return 2
    film = probe(source, options.cut)
    need = max(options.size[0] / film.width, options.size[1] / film.height)
    return next((scale for scale in (2, 3) if scale >= need), 4)
