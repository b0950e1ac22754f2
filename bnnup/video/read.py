"""From a file to frames: whole, planar, and of the wanted part only."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import chain
from math import floor
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from bnnup.errors import MediaError, reason
from bnnup.system import paths
from bnnup.video.animation import DEEP_PIX_FMT, FORMATS, PIX_FMT, is_webp, to_apng
from bnnup.video.frames import DEEP_WHITE, filters_for, is_deep, is_rgb, mapped
from bnnup.video.sequence import FORMAT, RATE, first_number, is_sequence, pattern
from bnnup.video.telecine import field_matcher

# The same samples in another order.
PLANAR = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
    "gray16be": "gray16le",
}


# libav's AVFieldOrder: the field that is shown first.
FIELDS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
# Codecs whose frames say themselves whether they are interlaced.
TELLING = ("h264", "hevc", "mpeg1video", "mpeg2video", "vc1", "wmv3", "prores", "dvvideo", "dnxhd")

INTERLEAVED = 10.0  # seconds by which packets of one moment may lie apart in a file
MOMENT = 1e-6  # seconds: moments that are nearer to each other are the same
LISTS = {"concat", "dash", "hls", "imf", "webm_dash_manifest"}  # libav's names
LIST_ENDINGS = (".concat", ".ffconcat", ".m3u", ".m3u8", ".mpd")
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # decoders, by the codec
ANY = (1 << 63) - 1  # bytes
TS_DISCONT = 0x200  # libav's AVFMT_TS_DISCONT: of transport and program streams


@dataclass(frozen=True)
class Cut:
    """What of a film is wanted, in seconds from its beginning, and how it is to be read.

    ``bob`` makes a picture of each field where ``deinterlace`` makes one of both, and
    ``detelecine`` puts those of the same picture together. ``rate`` is in frames a second, of
    numbered pictures, which have none. ``reach`` is how far into the film streams are looked
    for, by default as far as libav does. ``opaque`` leaves out alpha.
    """

    start: float = 0.0
    duration: float | None = None
    deinterlace: bool = False
    pix_fmt: str | None = None
    bob: bool = False
    rate: Fraction | None = None
    detelecine: bool = False
    reach: float | None = None
    opaque: bool = False

    @property
    def keeps_fields(self) -> bool:
        """Whether interlaced frames are left as they are, which enlarging must not meet."""
        return not (self.deinterlace or self.detelecine)

    def is_early(self, seconds: float) -> bool:
        """Whether a moment of the film comes before the wanted part; some begin before 0."""
        return self.start > 0 and seconds < self.start - MOMENT

    def is_late(self, seconds: float) -> bool:
        """Whether it comes after the wanted part."""
        return self.duration is not None and seconds >= self.start + self.duration - MOMENT

    def is_over(self, seconds: float) -> bool:
        """Whether it comes so late that no packet after it in the file is wanted."""
        return self.is_late(seconds - INTERLEAVED)

    def contains(self, seconds: float) -> bool:
        """Whether it is wanted."""
        return not (self.is_early(seconds) or self.is_late(seconds))


@cache
def _whole_formats() -> str:
    """libav's formats whose files hold a film themselves, and name no others that do."""
    return ",".join(sorted(av.formats_available - LISTS))


@contextmanager
def open_film(path: Path, reach: float | None = None) -> Iterator[InputContainer]:
    """The film, open; what libav says of a file that it cannot read is a MediaError.

    ``reach`` is that of ``Cut``.
    """
    # Playlists may name files, but not addresses in the network. genpts: AVI has
    # decoding times only. scan_all_pmts: transport streams name some of theirs later.
    options = {"protocol_whitelist": "file,crypto,data", "fflags": "+genpts", "scan_all_pmts": "1"}
    if reach is not None:
        options |= {"analyzeduration": str(round(reach * av.time_base)), "probesize": str(ANY)}
    form = None
    if path.suffix.lower() not in LIST_ENDINGS:
        # Or a list that is called .mp4 would have any film beside it read.
        options["format_whitelist"] = _whole_formats()
    if is_sequence(path):
        form = FORMAT
        options |= {"start_number": str(first_number(path)), "framerate": str(RATE)}
    try:
        place = _place(path)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {reason(error)}") from error
    with place as file:
        try:
            container = av.open(
                file, "r", form, container_options=options, metadata_errors="replace"
            )
        except av.ArgumentError as error:
            raise MediaError(
                f"{path} cannot be read as video; a list of other files has to be called so: "
                f"{', '.join(LIST_ENDINGS)}"
            ) from error
        except av.FFmpegError as error:
            raise MediaError(
                f"{path} cannot be read as video: {error.strerror}; is it complete?"
            ) from error
        with container:
            yield container


def _place(path: Path) -> AbstractContextManager[Any]:
    """What libav reads a film from: a name, or a file."""
    if not is_sequence(path) and is_webp(path):
        return to_apng(path)
    if not paths.is_local(path):
        return path.open("rb")
    return nullcontext(f"file:{pattern(path) if is_sequence(path) else path}")


def find_video(container: InputContainer, path: Path, *, threads: bool = True) -> VideoStream:
    """The first video stream that is not a cover picture, to be decoded by threads or by none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise MediaError(f"{path}: nothing here can decode its video; convert it first")
            stream.thread_type = "AUTO" if threads else "NONE"
            return stream
    raise MediaError(f"{path} has no video stream: there is nothing to enlarge")


@dataclass
class BadPackets:
    """Packets that could not be read or decoded; ``late``: a stream began in mid-film."""

    packets: int = 0
    late: bool = False


def find_decoder(stream: VideoStream) -> Any:
    """What decodes a stream's packets: the stream, unless alpha lies beside the pictures of VP8 or
    VP9, which only the decoders of libvpx put together."""
    name = WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    if name is None or not says_alpha(stream.metadata) or name not in av.codecs_available:
        return stream
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder


def says_alpha(tags: dict[str, str]) -> bool:
    """Whether a stream's tags tell of alpha beside its pictures."""
    return any(key.lower() == "alpha_mode" and value != "0" for key, value in tags.items())


def jump(container: InputContainer, stream: VideoStream, cut: Cut, seek: int | None = None) -> None:
    """Has packets come from the key frame that is decoded at ``seek`` on, or somewhat before.

    ``seek`` counts the stream's time base; None is where the wanted part begins. Where
    nothing can be jumped over, packets come from the film's beginning.
    """
    with suppress(av.FFmpegError):
        if seek is not None:
            container.seek(seek, stream=stream)
        elif cut.start and not cut.rate and not container.format.flags & TS_DISCONT:
            # In transport streams, that finds no key frames.
            container.seek((container.start_time or 0) + int(cut.start * av.time_base))


def read_any(
    container: InputContainer, streams: list[Any], damage: BadPackets
) -> Iterator[Packet[Any]]:
    """Packets of any of the streams, up to where nothing more can be read.

    Empty ones, which AVI has for frames that were dropped, are left out.
    """
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV's, of a packet whose stream there was not when it began
            damage.late = True
            packets = container.demux(streams)
            continue
        except av.FFmpegError:  # what a cut input breaks off with
            damage.packets += 1
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def decode(
    container: InputContainer,
    cut: Cut,
    damage: BadPackets,
    seek: int | None = None,
    *,
    crop: Crop | None = None,
    threads: bool = True,
) -> Generator[VideoFrame, None, None]:
    """Decoded frames of the wanted part, planar and progressive, durations in their time base.

    ``seek`` leaves out what comes before, as ``jump`` has it.
    """
    crop = crop or Crop()
    path = Path(container.name.removeprefix("file:"))
    stream = find_video(container, path, threads=threads)
    begin = container.start_time or 0
    jump(container, stream, cut, seek)
    cut = cut_of(container, cut)
    fields = find_fields(stream)
    graph: Graph | None = None
    for frame in _decode_packets(container, stream, cut, damage):
        if frame is None:
            if graph is not None:
                graph.vpush(None)
                yield from _pull(graph)
            return
        seconds = None if frame.time is None else frame.time - begin / av.time_base
        if seconds is not None and not cut.contains(seconds):
            if cut.is_early(seconds):
                continue
            # What is decoded comes in the order of presentation: nothing wanted follows.
            if graph is not None:
                graph.vpush(None)
                yield from _pull(graph)
            return
        frame = crop(planar(frame, cut, fields, seconds or 0.0))
        if cut.keeps_fields:
            yield frame
            continue
        if graph is None and cut.detelecine:
            graph = field_matcher(frame, fields)
        graph = graph or _deinterlacer(frame, fields, cut)
        graph.vpush(frame)
        yield from _pull(graph)


def cut_of(container: InputContainer, cut: Cut) -> Cut:
    """The cut, with a format to convert to if it says none and pictures are R'G'B' by nature."""
    if cut.pix_fmt is not None or container.format.name not in (*FORMATS, FORMAT):
        return cut
    own = container.streams.video[0].codec_context.pix_fmt
    if own is None or not is_rgb(own):
        return cut
    return replace(cut, pix_fmt=DEEP_PIX_FMT if is_deep(own) else PIX_FMT)


def _decode_packets(
    container: InputContainer, stream: VideoStream, cut: Cut, damage: BadPackets
) -> Iterator[VideoFrame | None]:
    """Frames, then None. Damaged packets are counted and left out, as players do."""
    decoder = find_decoder(stream)
    for packet in chain(read_any(container, [stream], damage), [None]):
        try:
            for frame in decoder.decode(packet):
                if frame.time_base is None and stream.time_base is not None:
                    frame.time_base = stream.time_base
                if cut.rate is not None:
                    frame.time_base = 1 / cut.rate
                yield frame
        except av.EOFError:
            pass
        except av.FFmpegError:
            damage.packets += 1
    yield None


def find_fields(stream: VideoStream) -> str | None:
    """The field that a container says comes first, "tff" or "bff", of a film whose frames
    say nothing of fields; None for all others."""
    context = stream.codec_context
    return None if context.codec.canonical_name in TELLING else FIELDS.get(context.field_order)


def moment(seconds: float) -> str:
    """A moment such that a part of the film that begins there begins with the frame shown then."""
    return f"{floor(1000 * (seconds + MOMENT)) / 1000:g}"


def planar(
    frame: VideoFrame, cut: Cut, fields: str | None = None, seconds: float = 0.0
) -> VideoFrame:
    """The frame in planes, or converted as the user asked for.

    MediaError if it is interlaced, by its own word or by ``fields``, and is to stay so, with the
    moment in ``seconds`` at which it is shown.
    """
    if (frame.interlaced_frame or fields) and cut.keeps_fields:
        where = f" at {moment(seconds)} s" if seconds > MOMENT else ""
        raise MediaError(
            f"the film is interlaced{where}, and its fields must not be mixed", hint="deinterlace"
        )
    own = frame.format.name
    wanted = cut.pix_fmt or PLANAR.get(own)
    if cut.opaque and (wanted or own).startswith("yuva"):
        wanted = (wanted or own).replace("yuva", "yuv")
    if any(plane.line_size < 0 for plane in frame.planes):
        raise MediaError("the film is stored upside down; convert it first: ffmpeg -i IN OUT.mkv")
    if wanted is None or wanted == frame.format.name:
        return frame
    try:
        if frame.format.is_rgb:
            if frame.format.components[0].bits == 16:
                frame = mapped(frame, _darker(), None)
            larger = frame.reformat(format=wanted, dst_colorspace="ITU709", dst_color_range="MPEG")
            larger.color_range, larger.colorspace = 1, 1
            return larger
        return frame.reformat(format=wanted, dst_color_range=frame.color_range or None)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{frame.format.name} cannot be converted to {wanted!r}, but to yuv420p",
            hint="pix_fmt",
        ) from error


@cache
def _darker() -> NDArray[np.uint16]:
    """The codes of 16 bits for libav's scaler, whose white is a little darker."""
    codes: NDArray[np.uint16] = np.rint(np.arange(1 << 16) * (DEEP_WHITE / 65535)).astype(np.uint16)
    return codes


class Crop:
    """Leaves out, of planar frames, what players do not show: ``sides`` are the columns at the
    left and the right, and the rows at the top and the bottom.

    What lies before the picture is rounded down to whole samples of chroma.
    """

    def __init__(self, sides: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        self._sides = sides
        self._graph: Graph | None = None
        self._form: tuple[int, int, str] | None = None  # of the frames that the graph takes

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        if not any(self._sides):
            return frame
        form = frame.width, frame.height, frame.format.name
        if self._graph is None or self._form != form:
            self._graph, self._form = self._build(frame), form
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, frame: VideoFrame) -> Graph:
        left, right, top, bottom = self._sides
        width, height = frame.width - left - right, frame.height - top - bottom
        if min(width, height) < 1:
            raise MediaError("the film says that nothing of its pictures is to be shown")
        return filters_for(frame, ("crop", f"{width}:{height}:{left}:{top}"))


def _deinterlacer(frame: VideoFrame, fields: str | None, cut: Cut) -> Graph:
    """A picture a frame, or a field, where fields differ in time; other frames untouched.

    ``fields`` is the order of fields that all frames have.
    """
    which = f"parity={fields}:deint=all" if fields else "deint=interlaced"
    mode = "send_field" if cut.bob else "send_frame"
    return filters_for(frame, ("bwdif", f"mode={mode}:{which}"))


def _pull(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
