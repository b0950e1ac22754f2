"""The finished film: enlarged pictures, and everything else copied as it is."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from bnnup.errors import MediaError
from bnnup.system import files
from bnnup.video import timecode
from bnnup.video.convert import Converter, add_converted
from bnnup.video.encoding import FilmEncoding
from bnnup.video.film import Film
from bnnup.video.read import BadPackets, Cut, read_any
from bnnup.video.segments import Chunk, Segment, WorkFolder, join

GLOBAL_HEADER, NO_FILE = 0x40, 0x1  # libav's AVFMT_GLOBALHEADER and AVFMT_NOFILE
PREROLL = Fraction(1, 20)  # seconds of hidden sound that decoders need before the first heard
STEADY = ("video", "audio")  # streams that always go on, as others need not
# What MP4 keeps as data streams and its writer makes anew, of chapters and of timecode.
REMADE = ("text", "tmcd")
# What an earlier encoder or container said of its own work.
STALE = ("encoder", "duration", "bps", "number_of_", "_statistics", "alpha_mode")
BRANDS = ("major_brand", "minor_version", "compatible_brands")  # of another file's container
MP4 = (".mp4", ".m4v", ".mov")


class MisfitError(Exception):
    """A stream that the container cannot take."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


@dataclass
class ContainerFit:
    """How streams, by their numbers, fit a container: why some are left out, and the codec that
    others are converted to.

    ``notes`` are what larger pictures, their encoder or the container do not say again of what the
    film says; ``flaws`` what a user should know of the streams that are copied.
    """

    left_out: dict[int, str] = field(default_factory=dict)
    converted: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """What became of streams that did not fit, and of what the film says."""
        changed = [f"stream {index} was converted to {to}" for index, to in self.converted.items()]
        left_out = [f"left out: {reason}" for reason in self.left_out.values() if reason]
        return changed + left_out + self.notes + self.flaws


class Muxer:
    """An output file with the streams of a film, the enlarged one in its place.

    ``flaws`` is what a user should know of the streams that were copied.
    """

    def __init__(
        self,
        source: InputContainer,
        target: OutputContainer,
        film: Film,
        encoding: FilmEncoding,
        fit: ContainerFit,
    ) -> None:
        self.flaws: list[str] = []
        self.streams: dict[int, Stream] = {}  # those with packets, by their numbers in the source
        self._source = source
        self._target = target
        self._film = film
        self._encoding = encoding
        self._fit = fit
        self._converters: dict[int, Converter] = {}

    def add_streams(self, cut: Cut) -> None:
        """Declares everything. MisfitError names a stream that does not fit."""
        film, target = self._film, self._target
        target.metadata.update(
            (key, self._moved_timecode(key, value, cut))
            for key, value in self._source.metadata.items()
            if key.lower() not in BRANDS
        )
        for stream in self._source.streams:
            is_film = stream.index == film.index
            if is_remade(film, stream) or stream.index in self._fit.left_out:
                continue
            if is_cover(stream) and target.format.name == "matroska":
                self._attach(stream)
                continue
            try:
                copy = self._add_video() if is_film else self._add(stream)
            except (ValueError, av.FFmpegError) as error:
                raise MisfitError(stream.index, "") from error
            copy.metadata.update(
                (key, self._moved_timecode(key, value, cut))
                for key, value in stream.metadata.items()
                if not (is_film and key.lower().startswith(STALE))
            )
            copy.disposition = stream.disposition
            self.streams[stream.index] = copy
        target.set_chapters(list(self._chapters(cut)))

    def _add(self, stream: Stream) -> Stream:
        codec = self._fit.converted.get(stream.index)
        if codec is None:
            return _add_copy(self._target, stream)
        converter = self._converters[stream.index] = add_converted(self._target, stream, codec)
        return converter.stream

    def _add_video(self) -> VideoStream:
        encoding = self._encoding
        try:
            stream = self._declare_video()
        except ValueError as error:
            raise MediaError(
                f"{self._target.format.name} cannot hold {encoding.codec.encoder}",
                hint="codec or extension",
            ) from error
        encoding.configure(stream.codec_context)
        # AVI takes the base of its times for the length of a frame.
        is_avi = self._target.format.name == "avi"
        stream.time_base = 1 / encoding.rate if is_avi else self._film.time_base
        if encoding.codec.encoder == "libx265" and self._target.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"  # which Apple's players ask for
        if self._film.matrix is not None:
            stream.set_display_matrix(self._film.matrix)
        return stream

    def _declare_video(self) -> VideoStream:
        """The enlarged stream, with the claims that last."""
        encoding, claims = self._encoding, self._film.claims
        if not claims.lasting:
            stream = self._target.add_stream(encoding.codec.encoder, rate=encoding.rate)
        else:
            codec = av.Codec(encoding.codec.encoder, "w").canonical_name
            with claims.template(codec, encoding.width / self._film.width) as template:
                stream = self._target.add_stream_from_template(
                    template.streams.video[0], opaque=True
                )
            stream.codec_context.extradata = encoding.open().extradata
        assert isinstance(stream, VideoStream)
        return stream

    def _attach(self, cover: Stream) -> None:
        """Matroska has covers as attachments; as streams they would be more films."""
        name = cover.codec_context.name
        kind, ending = ("image/png", "png") if name == "png" else ("image/jpeg", "jpg")
        with self._film.opened() as source:
            data = next(
                map(bytes, read_any(source, [source.streams[cover.index]], BadPackets())), b""
            )
        self._target.add_attachment(
            cover.metadata.get("filename", f"cover.{ending}"),
            cover.metadata.get("mimetype", kind),
            data,
        )

    def _moved_timecode(self, key: str, value: str, cut: Cut) -> str:
        """A tag of the film; its timecode is that of the wanted part's first picture."""
        if key.lower() != "timecode":
            return value
        film = self._film
        rate = film.rate / film.pictures
        first = film.first - film.begin if cut.start else Fraction(0)
        moved = timecode.moved(value, rate, round(first * rate), 2 if cut.bob else 1)
        return timecode.of_cinema(moved) if film.pictures < 1 else moved

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
        header = self.streams[self._film.index].codec_context.extradata or b""
        if any(segment.header != header for segment in segments):
            raise MediaError(
                "the encoder began its segments differently; remove the folder "
                f"{segments[0].path.parent} and start again"
            )
        try:
            self.write_chunks(join(segments), cut)
        except MisfitError as error:
            raise MediaError(
                f"{self._target.format.name} cannot hold stream {error.index} ({error}); .mkv may"
            ) from error

    def write_chunks(self, chunks: Iterable[Chunk], cut: Cut) -> None:
        """``write`` of encoded packets. MisfitError names a stream whose packet is refused."""
        video, copied = self._video_packets(chunks), self._copied_packets(cut)
        for packet in heapq.merge(video, copied, key=_moment):
            number = packet.stream.index
            try:
                self._target.mux_one(packet)
            except av.FFmpegError as error:
                index = next(i for i, stream in self.streams.items() if stream.index == number)
                raise MisfitError(index, error.strerror or "") from error

    def _video_packets(self, chunks: Iterable[Chunk]) -> Iterator[Packet[Any]]:
        stream, moved = self.streams[self._film.index], self._moved(self._film.time_base)
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
            s for s in self._source.streams if s.index in self.streams if s.index != film.index
        ]
        if not wanted:
            return
        if cut.start:
            self._source.seek(round(film.origin * av.time_base))
        last: dict[int, int] = {}
        odd: set[int] = set()
        damage = BadPackets()
        for number, packet in self._ready_packets(wanted, cut, damage):
            if packet.dts is not None:
                # No container takes times that fall back, as where recordings were joined.
                if packet.dts <= last.get(number, packet.dts - 1):
                    odd.add(number)
                    packet.dts = last[number] + 1
                    packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
                last[number] = packet.dts
            packet.stream = self.streams[number]
            yield packet
        self.flaws += [
            f"timestamps of stream {number} ran backwards and were moved" for number in odd
        ]
        if damage.late:
            self.flaws.append("a stream that begins in mid-film is missing")

    def _ready_packets(
        self, wanted: list[Stream], cut: Cut, damage: BadPackets
    ) -> Iterator[tuple[int, Packet[Any]]]:
        """Wanted packets as they go into the output, converted if need be, with their streams'
        numbers."""
        ahead = {s.index for s in wanted if s.type in STEADY and not is_cover(s)}
        for packet in read_any(self._source, wanted, damage):
            seconds = self._seconds(packet)
            if seconds is not None and cut.is_over(seconds):
                ahead.discard(packet.stream_index)
                if not ahead:
                    break
            if not self._is_wanted(packet, cut):
                continue
            number = packet.stream_index
            if number in self._converters:
                self._shift(packet, packet.time_base)
                for made in self._converters[number].convert(packet):
                    yield number, made
            else:
                self._shift(packet, self.streams[number].time_base)
                yield number, packet
        for number, converter in self._converters.items():
            for made in converter.convert(Packet()):
                yield number, made

    def _is_wanted(self, packet: Packet[Any], cut: Cut) -> bool:
        """Not what lies outside of the wanted part, or what the film's edit list hides."""
        seconds = self._seconds(packet)
        if seconds is None:
            return True
        end = seconds + float((packet.duration or 0) * packet.time_base)
        return cut.contains(seconds) and not (packet.is_discard and end < -PREROLL)

    def _seconds(self, packet: Packet[Any]) -> float | None:
        """The moment of the film at which it is shown or heard, if it says so."""
        if packet.pts is None:
            return None
        return float(packet.pts * packet.time_base - self._film.begin)

    def _shift(self, packet: Packet[Any], base: Fraction | None) -> None:
        """To the output's times, in the base in which its container counts."""
        before = packet.time_base
        base = base or before
        moved = self._moved(before)
        packet.pts = None if packet.pts is None else round((packet.pts - moved) * before / base)
        packet.dts = None if packet.dts is None else round((packet.dts - moved) * before / base)
        packet.duration = round((packet.duration or 0) * before / base)
        packet.time_base = base

    def _moved(self, time_base: Fraction) -> int:
        return round(self._film.origin / time_base)


@contextmanager
def muxer(
    path: Path, film: Film, encoding: FilmEncoding, cut: Cut, fit: ContainerFit
) -> Iterator[Muxer]:
    """A muxer that writes to ``path``, its header written."""
    with film.opened() as source, _created(path, _settings(path, film, source)) as target:
        made = Muxer(source, target, film, encoding, fit)
        made.add_streams(cut)
        made.begin()
        yield made


@dataclass(frozen=True)
class FilmFile:
    """A film in one file, which is at ``target`` when it is complete: what segments become."""

    scratch: Path
    target: Path
    film: Film
    encoding: FilmEncoding
    cut: Cut
    fit: ContainerFit
    folder: WorkFolder

    @property
    def losses(self) -> list[str]:
        """What will be missing, or other than in the film."""
        return self.fit.words

    @property
    def size(self) -> int:
        """Bytes, when it is complete."""
        return self.target.stat().st_size

    def finish(self) -> list[str]:
        """Makes the film of all segments; what a user should know."""
        with muxer(self.scratch, self.film, self.encoding, self.cut, self.fit) as output:
            output.write(self.folder.in_order, self.cut)
        self.film.check_unchanged()
        files.move(self.scratch, self.target, token_hex(8))
        return [flaw for flaw in output.flaws if flaw not in self.fit.flaws]


def is_remade(film: Film, stream: Stream) -> bool:
    """Whether the container makes a stream by itself."""
    return film.tags.get(stream.index) in REMADE


def is_cover(stream: Stream) -> bool:
    """Whether a stream is one picture that stands for the film."""
    return bool(stream.type == "video" and stream.disposition & Disposition.attached_pic)


def holds_alone(format_name: str, stream: Stream) -> bool:
    """Whether a container takes this stream; some only find out with the header."""
    try:
        with av.open(BytesIO(), "w", format=format_name) as trial:
            _add_copy(trial, stream)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _add_copy(target: OutputContainer, stream: Stream) -> Stream:
    return target.add_stream_from_template(stream, opaque=True)


def wants_global_header(path: Path) -> bool:
    """Whether the container of this name keeps encoders' headers once, for the whole stream."""
    with _created(path) as container:
        return bool(container.format.flags & GLOBAL_HEADER)


def _settings(path: Path, film: Film, source: InputContainer) -> dict[str, str]:
    """How the container is to be written."""
    if path.suffix.lower() not in MP4:
        return {}
    # Web pages and players over a network begin before they have all of it.
    flags = "+faststart"
    if any(key.startswith("com.") for key in source.metadata):  # as telephones have it
        flags += "+use_metadata_tags"
    # libav takes Google's boxes for spheres and stereo, which all players read, for unofficial.
    return {"movflags": flags} | ({"strict": "unofficial"} if film.claims.lasting else {})


def _created(path: Path, settings: dict[str, str] | None = None) -> OutputContainer:
    """The container of this name; there is no file before its header is written."""
    try:
        container = av.open(f"file:{path}", "w", container_options=settings or {})
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"no container is called {path.suffix or 'nothing'}; "
            "choose an output that ends in .mkv or .mp4"
        ) from error
    if container.format.flags & NO_FILE:
        container.close()
        raise MediaError(
            f"{path.suffix} is more than one file; choose an output that ends in .mkv or .mp4"
        )
    return container


def _moment(packet: Packet[Any]) -> Fraction:
    stamp = packet.pts if packet.dts is None else packet.dts
    return (stamp or 0) * packet.time_base
