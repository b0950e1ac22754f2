"""Films: what is known of one before its first frame is enlarged, and its frames in time."""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.filter import Graph
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bnnup.errors import MediaError
from bnnup.video.frames import side_data
from bnnup.video.planes import LOCATIONS, PlaneFormat, read_pix_fmt
from bnnup.video.read import (
    TS_DISCONT,
    BadPackets,
    Cut,
    cut_of,
    decode,
    find_video,
    jump,
    open_film,
    planar,
    read_any,
)
from bnnup.video.sequence import FORMAT

# libav's numbers
LIMITED_RANGE, FULL_RANGE = 1, 2  # AVCOL_RANGE_MPEG and JPEG
UNKNOWN = 2  # matrix, primaries or transfer function: AVCOL_SPC_UNSPECIFIED and its like
LINES_625, LINES_525 = 5, 6  # BT.601: AVCOL_SPC_BT470BG and SMPTE170M; so, too, for primaries
HD = 1280, 576  # the width from which, and the height above which BT.709 is taken for granted
TICKS = 10  # of a film's clock a frame must last for its fields to have times of their own
LATE = Fraction(1)  # seconds by which a timestamp may fall back before a film is damaged


@dataclass(frozen=True)
class Colors:
    """How codes become light: libav's numbers, and HDR metadata as the decoder gave them."""

    space: int
    primaries: int
    transfer: int
    range: int
    location: str | None
    mastering: bytes | None = None
    light: bytes | None = None

    def meant(self, width: int, height: int) -> Colors:
        """With what players take a film of this size for where it says nothing.

        That is BT.601 for standard definition, of 625 lines or of 525; enlarged, without a word,
        they would take it for BT.709.
        """
        if self.space != UNKNOWN or width >= HD[0] or height > HD[1]:
            return self
        system = LINES_625 if height in (576, 288) else LINES_525
        return replace(
            self,
            space=system,
            primaries=system if self.primaries == UNKNOWN else self.primaries,
            transfer=LINES_525 if self.transfer == UNKNOWN else self.transfer,
            range=self.range or LIMITED_RANGE,
        )


@dataclass(frozen=True)
class Film:
    """A film as its header and its first frame describe it.

    ``origin`` is the moment, in seconds of the file's own time, that becomes 0 in the
    output: 0 as a rule, so that timestamps stay as they are. ``tags`` are the four
    characters that MP4 calls kinds of data streams by.
    """

    path: Path
    index: int
    width: int
    height: int
    pix_fmt: str
    form: PlaneFormat
    colors: Colors
    aspect: Fraction | None
    matrix: tuple[int, ...] | None
    rate: Fraction
    time_base: Fraction
    begin: Fraction
    origin: Fraction
    seconds: float
    frames: int
    tags: dict[int, str] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """From one frame to the next at a constant rate, in the time base."""
        return max(round(1 / self.rate / self.time_base), 1)


def probe(path: Path, cut: Cut, *, keep_clock: bool = False) -> Film:
    """Reads the header and the first wanted frame. MediaError says what stands against it.

    ``keep_clock`` has transport streams keep their times, too, which begin anywhere.
    """
    with open_film(path) as container:
        stream = find_video(container, path, threads=False)
        tags = _data_tags(container)
        begin = Fraction(container.start_time or 0, av.time_base)
        # What a thread of the decoder says to libav's log while it is ended would never return.
        with closing(decode(container, cut, BadPackets(), threads=False)) as frames:
            first = next(frames, None)
        if first is None:
            raise MediaError(f"{path} holds no frame that can be decoded in the wanted part")
        time_base, rate = stream.time_base, stream.average_rate or stream.guessed_rate
        if time_base is None or not rate:
            time_base, rate = time_base or Fraction(1, 25), rate or Fraction(25)
        fields = 2 if cut.bob else 1
        if cut.bob and 1 / rate / time_base < TICKS:
            raise MediaError(
                f"{path.suffix} has no times for single fields here; put the film into another "
                "container first: ffmpeg -i IN -c copy OUT.mkv"
            )
        seconds = _seconds(container, stream)
        if cut.rate is not None:
            if container.format.name != FORMAT:
                raise MediaError(f"{path} has a frame rate of its own")
            seconds *= float(rate / cut.rate)
            time_base, rate = 1 / cut.rate, cut.rate
        wanted = max(min(seconds - cut.start, cut.duration or seconds), 0.0)
        moving = bool(container.format.flags & TS_DISCONT) and not keep_clock
        origin = begin if moving or cut.start else Fraction(0)
        form, colors = _describe(first)
        matrix = side_data(first).get(SideData.DISPLAYMATRIX)
        return Film(
            path=path,
            index=stream.index,
            width=first.width,
            height=first.height,
            pix_fmt=_pix_fmt(first),
            form=form,
            colors=colors,
            aspect=stream.sample_aspect_ratio or None,
            matrix=struct.unpack("=9i", matrix) if matrix else None,
            rate=fields * rate,
            time_base=time_base,
            begin=begin,
            origin=origin + Fraction(cut.start).limit_denominator(1_000_000),
            seconds=wanted,
            frames=fields
            * (stream.frames if wanted == seconds and stream.frames else round(wanted * rate)),
            tags=tags,
        )


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _data_tags(container: InputContainer) -> dict[int, str]:
    """Index to tag of the data streams, which PyAV only has as text."""
    with _talking():
        lines: str = container.dumps_format()  # type: ignore[attr-defined]
    return {
        int(index): tag
        for index, tag in re.findall(r"Stream #0:(\d+).*: Data: .*\((.{4}) / 0x", lines)
    }


@contextmanager
def _talking() -> Iterator[None]:
    """Has libav describe things to its log, which is silent otherwise."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        yield
    finally:
        av.logging.set_level(level)


def _describe(frame: VideoFrame) -> tuple[PlaneFormat, Colors]:
    form = read_pix_fmt(frame.format.name)
    if form is None:
        raise MediaError(
            f"the pixel format {frame.format.name} is not planar Y'CbCr, "
            f"like {'yuv444p' if frame.format.is_rgb else 'yuv420p'}",
            hint="pix_fmt",
        )
    side = side_data(frame)
    location = _location(frame)
    colors = Colors(
        space=frame.colorspace,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        range=_range(frame),
        location=location,
        mastering=side.get(SideData.MASTERING_DISPLAY_METADATA),
        light=side.get(SideData.CONTENT_LIGHT_LEVEL),
    )
    full = form.full_range if not colors.range else colors.range == FULL_RANGE
    return replace(form, full_range=full, location=location or "left"), colors


def _pix_fmt(frame: VideoFrame) -> str:
    """The format's name; that the range is full is told elsewhere."""
    return frame.format.name.replace("yuvj", "yuv")


def _range(frame: VideoFrame) -> int:
    return FULL_RANGE if frame.format.name.startswith("yuvj") else frame.color_range


def _location(frame: VideoFrame) -> str | None:
    """Where chroma lies, or None where the film does not say. PyAV does not tell, a filter does."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 25),
    )
    graph.link_nodes(source, graph.add("showinfo"), graph.add("buffersink")).configure()
    with _talking(), av.logging.Capture() as said:
        graph.vpush(frame)
        graph.vpull()
    match = re.search(r" cl:(\w+) ", "".join(message for _, _, message in said))
    return match[1] if match and match[1] in LOCATIONS else None


def read_frames(
    film: Film, cut: Cut, damage: BadPackets, seek: int | None = None
) -> Generator[VideoFrame, None, None]:
    """The wanted frames in the order of presentation, with strictly rising timestamps.

    ``pts`` count the film's ``time_base``, as in the file; ``seek`` is that of ``decode``.
    """
    last: int | None = None
    with open_film(film.path) as container, closing(decode(container, cut, damage, seek)) as frames:
        for frame in frames:
            pts = _timestamp(frame, film, last)
            seconds = float(pts * film.time_base - film.begin)
            _check_same(film, frame, seconds)
            if last is not None and pts <= last:
                if (last - pts) * film.time_base > LATE:
                    raise MediaError(
                        f"time runs backwards at {seconds:.2f} s; rewrite the film first: "
                        "ffmpeg -i IN -c copy OUT"
                    )
                pts = last + 1
            frame.duration = round(frame.duration * _base(frame, film) / film.time_base)
            frame.time_base, frame.pts, last = film.time_base, pts, pts
            yield frame


def survey(film: Film, cut: Cut) -> bool:
    """Looks at every key frame of the wanted part, before any work.

    Whether all frames are shown for equally long. MediaError says at which moment the film
    is no longer what its first frame told.
    """
    times = []
    with open_film(film.path) as container:
        stream = find_video(container, film.path, threads=False)
        cut = cut_of(container, cut)
        jump(container, stream, cut)
        stream.codec_context.skip_frame = "NONKEY"
        for packet in read_any(container, [stream], BadPackets()):
            if packet.pts is not None and not cut.contains(
                float(packet.pts * film.time_base - film.begin)
            ):
                continue
            times += [] if packet.pts is None else [packet.pts]
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:  # which is counted when the film is read in earnest
                continue
            for frame in frames:
                _check_same(film, planar(frame, cut), float((frame.time or 0) - film.begin))
    steps = (after - before for before, after in pairwise(sorted(times)))
    return all(abs(step - film.step) < max(film.step / 2, 1) for step in steps)


def _check_same(film: Film, frame: VideoFrame, seconds: float) -> None:
    """MediaError if a frame is not of the film's kind."""
    colors = film.colors
    changes = {
        "size": (frame.width, frame.height) != (film.width, film.height),
        "pixel format": _pix_fmt(frame) != film.pix_fmt,
        "colour matrix": frame.colorspace != colors.space,
        "colour primaries": frame.color_primaries != colors.primaries,
        "transfer function": frame.color_trc != colors.transfer,
        "range of values": _range(frame) != colors.range,
    }
    for what, changed in changes.items():
        if changed:
            raise MediaError(
                f"the film's {what} changes at {seconds:.2f} s; take it in parts", hint="parts"
            )


def _timestamp(frame: VideoFrame, film: Film, last: int | None) -> int:
    """When a frame is shown, in the film's time base; at a constant rate if it does not say."""
    if frame.pts is not None:
        return round(frame.pts * _base(frame, film) / film.time_base)
    return 0 if last is None else last + film.step


def _base(frame: VideoFrame, film: Film) -> Fraction:
    return frame.time_base or film.time_base
