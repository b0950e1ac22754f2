"""From a file to frames: whole, planar, and of the wanted part only."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.filter import Graph
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bnnup.errors import MediaError

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
}


@dataclass(frozen=True)
class Cut:
    """What of a film is wanted, in seconds from its beginning, and how it is to be read."""

    start: float = 0.0
    duration: float | None = None
    deinterlace: bool = False
    pix_fmt: str | None = None

    def contains(self, seconds: float) -> bool:
        """Whether a moment of the film is wanted; some begin before their beginning."""
        is_early = self.start > 0 and seconds < self.start
        is_late = self.duration is not None and seconds >= self.start + self.duration
        return not (is_early or is_late)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The film, open; what libav says of a file that it cannot read is a MediaError."""
    try:
        # Playlists may name files, but not addresses in the network. genpts: AVI has
        # decoding times only.
        options = {"protocol_whitelist": "file,crypto,data", "fflags": "+genpts"}
        container = av.open(
            f"file:{path}", "r", container_options=options, metadata_errors="replace"
        )
    except av.FFmpegError as error:
        raise MediaError(
            f"{path} cannot be read as video: {error.strerror}; is it complete?"
        ) from error
    with container:
        yield container


def find_video(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise MediaError(f"{path}: nothing here can decode its video; convert it first")
            stream.thread_type = "AUTO"
            return stream
    raise MediaError(f"{path} has no video stream: there is nothing to enlarge")


@dataclass
class Damage:
    """Packets that could not be read or decoded."""

    packets: int = 0


def decode(
    container: InputContainer, cut: Cut, damage: Damage
) -> Generator[VideoFrame, None, None]:
    """Decoded frames of the wanted part, planar and progressive, durations in their time base."""
    stream = find_video(container, Path(container.name.removeprefix("file:")))
    begin = container.start_time or 0
    if cut.start:
        container.seek(begin + int(cut.start * av.time_base))
    graph: Graph | None = None
    for frame in _decode_packets(container, stream, damage):
        if frame is None:
            if graph is not None:
                graph.vpush(None)
                yield from _pull(graph)
            return
        seconds = None if frame.time is None else frame.time - begin / av.time_base
        if seconds is not None and not cut.contains(seconds):
            if seconds < cut.start:
                continue
            # What is decoded comes in the order of presentation: nothing wanted follows.
            if graph is not None:
                graph.vpush(None)
                yield from _pull(graph)
            return
        if frame.interlaced_frame and not cut.deinterlace:
            raise MediaError(
                "the film is interlaced, and its half pictures must not be mixed; make whole ones "
                "with --deinterlace"
            )
        frame = _planar(frame, cut.pix_fmt)
        if not cut.deinterlace:
            yield frame
            continue
        graph = graph or _deinterlacer(frame)
        graph.vpush(frame)
        yield from _pull(graph)


def _decode_packets(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[VideoFrame | None]:
    """Frames, then None. Damaged packets are counted and left out, as players do."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # nothing more can be read
            damage.packets += 1
            packet = None
        is_last = packet is None or (packet.size == 0 and packet.dts is None)
        if packet is not None and packet.size == 0 and not is_last:
            continue  # AVI's way to say that a frame was dropped
        try:
            for frame in stream.decode(None if is_last else packet):
                if frame.time_base is None and stream.time_base is not None:
                    frame.time_base = stream.time_base
                yield frame
        except av.EOFError:
            pass
        except av.FFmpegError:
            damage.packets += 1
        if is_last:
            yield None
            return


def _planar(frame: VideoFrame, pix_fmt: str | None) -> VideoFrame:
    """The frame in planes, or converted as the user asked for."""
    wanted = pix_fmt or PLANAR.get(frame.format.name)
    if any(plane.line_size < 0 for plane in frame.planes):
        raise MediaError("the film is stored upside down; convert it first: ffmpeg -i IN OUT.mkv")
    if wanted is None or wanted == frame.format.name:
        return frame
    try:
        if frame.format.is_rgb:
            larger = frame.reformat(format=wanted, dst_colorspace="ITU709", dst_color_range="MPEG")
            larger.color_range, larger.colorspace = 1, 1
            return larger
        return frame.reformat(format=wanted, dst_color_range=frame.color_range or None)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{frame.format.name} cannot be converted to {wanted!r}; try --pix-fmt yuv420p"
        ) from error


def _deinterlacer(frame: VideoFrame) -> Graph:
    """A picture a frame, made of both fields where they differ in time; others untouched."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pull(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
