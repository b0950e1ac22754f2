"""The finished film: enlarged pictures, and everything else copied as it is."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from bnnup.errors import MediaError
from bnnup.video.codec import Encoding
from bnnup.video.film import Film
from bnnup.video.read import Cut, opened
from bnnup.video.segments import Chunk, Segment, join

GLOBAL_HEADER = 0x40  # libav's AVFMT_GLOBALHEADER
# What MP4 keeps as data streams and its writer makes anew, of chapters and of timecode.
REMADE = ("text", "tmcd")
# What an earlier encoder or container said of its own work.
STALE = ("encoder", "duration", "bps", "number_of_", "_statistics")


class Muxer:
    """An output file with the streams of a film, the enlarged one in its place.

    ``left_out`` names streams that the container cannot hold, if these may be missing.
    """

    def __init__(
        self, source: InputContainer, target: OutputContainer, film: Film, encoding: Encoding
    ) -> None:
        self.left_out: list[str] = []
        self._source = source
        self._target = target
        self._suffix = Path(target.name).suffix
        self._film = film
        self._encoding = encoding
        self._streams: dict[int, Stream] = {}

    def add_streams(self, cut: Cut, *, drop: bool) -> None:
        """Declares everything. MediaError names a stream that does not fit, unless ``drop``."""
        film, target = self._film, self._target
        target.metadata.update(self._source.metadata)
        for stream in self._source.streams:
            if stream.index == film.index:
                copy: Stream = self._add_video()
            elif film.tags.get(stream.index) in REMADE:
                continue
            else:
                try:
                    if stream.type == "data":
                        self._try_alone(stream)
                    copy = target.add_stream_from_template(stream, opaque=True)
                except (ValueError, av.FFmpegError) as error:
                    self._refuse(stream, error, drop=drop)
                    continue
            is_video = stream.index == film.index
            copy.metadata.update(
                (key, value)
                for key, value in stream.metadata.items()
                if not (is_video and key.lower().startswith(STALE))
            )
            copy.disposition = stream.disposition
            self._streams[stream.index] = copy
        target.set_chapters(list(self._chapters(cut)))

    def _add_video(self) -> VideoStream:
        encoding = self._encoding
        try:
            stream = self._target.add_stream(encoding.codec.encoder, rate=encoding.rate)
        except ValueError as error:
            raise MediaError(
                f"{self._target.format.name} cannot hold {encoding.codec.encoder}",
                hint="codec or extension",
            ) from error
        assert isinstance(stream, VideoStream)
        encoding.configure(stream.codec_context)
        stream.time_base = self._film.time_base
        if encoding.codec.encoder == "libx265" and self._target.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"  # which Apple's players ask for
        if self._film.matrix is not None:
            stream.set_display_matrix(self._film.matrix)
        return stream

    def _try_alone(self, stream: Stream) -> None:
        """Raises where the container only finds out with the header that it has no place for it."""
        with av.open(BytesIO(), "w", format=self._target.format.name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()

    def _refuse(self, stream: Stream, error: Exception, *, drop: bool) -> None:
        name = (
            f"stream {stream.index} ({stream.type}, {getattr(stream, 'name', None) or 'unknown'})"
        )
        if not drop:
            suffix = self._film.path.suffix
            instead = f"; {suffix} can" if suffix != self._suffix else ""
            raise MediaError(
                f"{self._target.format.name} cannot take {name} as it is{instead}",
                hint="drop_misfits",
            ) from error
        self.left_out.append(name)

    def _chapters(self, cut: Cut) -> Iterator[Any]:
        """The chapters of the wanted part, as far as they reach into it."""
        for chapter in self._source.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            moved = round(self._film.origin / base)
            start, end = max(chapter["start"] - moved, 0), chapter["end"] - moved
            if cut.duration is not None:
                end = min(end, round(cut.duration / base))
            if end > start or chapter["end"] == chapter["start"]:
                yield {**chapter, "start": start, "end": end}

    def begin(self) -> None:
        """Writes the header."""
        try:
            self._target.start_encoding()
        except av.FFmpegError as error:
            raise MediaError(
                f"{self._target.format.name} cannot hold these streams together "
                f"({error.strerror}); .mkv may",
                hint="drop_misfits",
            ) from error

    def write(self, segments: list[Segment], cut: Cut) -> None:
        """Interleaves the enlarged film with the copied packets, by decoding time."""
        header = self._streams[self._film.index].codec_context.extradata or b""
        if any(segment.header != header for segment in segments):
            raise MediaError(
                "the encoder began its segments in different ways; remove the folder "
                f"{segments[0].path.parent} and start again"
            )
        video, copied = self._video_packets(join(segments)), self._copied_packets(cut)
        try:
            for packet in heapq.merge(video, copied, key=_moment):
                self._target.mux_one(packet)
        except av.FFmpegError as error:
            raise MediaError(
                f"{self._target.format.name} cannot hold these streams ({error.strerror}); "
                ".mkv may",
                hint="drop_misfits",
            ) from error

    def _video_packets(self, chunks: Iterator[Chunk]) -> Iterator[Packet[Any]]:
        stream, moved = self._streams[self._film.index], self._moved(self._film.time_base)
        for chunk in chunks:
            packet = Packet(chunk.data)
            packet.time_base = self._film.time_base
            packet.pts, packet.duration = chunk.pts - moved, chunk.duration
            packet.dts = None if chunk.dts is None else chunk.dts - moved
            packet.is_keyframe = chunk.is_key
            packet.stream = stream
            yield packet

    def _copied_packets(self, cut: Cut) -> Iterator[Packet[Any]]:
        film = self._film
        wanted = [
            s for s in self._source.streams if s.index in self._streams if s.index != film.index
        ]
        if not wanted:
            return
        if cut.start:
            self._source.seek(round(film.origin * av.time_base))
        packets = self._source.demux(wanted)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # what a cut input breaks off with
                return
            if packet is None:
                return
            if packet.size == 0 and packet.dts is None:
                continue
            if packet.pts is not None and not cut.contains(
                float(packet.pts * packet.time_base - film.begin)
            ):
                continue
            moved = self._moved(packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - moved
            packet.dts = None if packet.dts is None else packet.dts - moved
            packet.stream = self._streams[packet.stream_index]
            yield packet

    def _moved(self, time_base: Fraction) -> int:
        return round(self._film.origin / time_base)


@contextmanager
def muxer(path: Path, film: Film, encoding: Encoding, cut: Cut, *, drop: bool) -> Iterator[Muxer]:
    """A muxer that writes to ``path``, its header written."""
    with opened(film.path) as source, _created(path) as target:
        made = Muxer(source, target, film, encoding)
        made.add_streams(cut, drop=drop)
        made.begin()
        yield made


def wants_global_header(path: Path) -> bool:
    """Whether the container of this name keeps encoders' headers once, for the whole stream."""
    with _created(path) as container:
        return bool(container.format.flags & GLOBAL_HEADER)


def _created(path: Path) -> OutputContainer:
    """The container of this name; there is no file before its header is written."""
    try:
        return av.open(f"file:{path}", "w")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"no container is called {path.suffix or 'nothing'}; end the output in .mkv or .mp4"
        ) from error


def _moment(packet: Packet[Any]) -> Fraction:
    stamp = packet.pts if packet.dts is None else packet.dts
    return (stamp or 0) * packet.time_base
