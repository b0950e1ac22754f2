"""Films: what is known of one before its first frame is enlarged, and its frames in time."""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bnnup.errors import MediaError
from bnnup.video.claims import Claims, describe, talking
from bnnup.video.frames import filters_for, side_data
from bnnup.video.planes import LOCATIONS, PlaneFormat, read_pix_fmt
from bnnup.video.read import (
    TS_DISCONT,
    BadPackets,
    Crop,
    Cut,
    decode,
    find_video,
    moment,
    open_film,
)
from bnnup.video.sequence import FORMAT, identity
from bnnup.video.telecine import cinema_rate, is_television, without_repeats

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
    output: 0 as a rule, so that timestamps stay as they are. ``first`` is when the first wanted
    frame is shown, in that time, too. ``pictures`` are made of a frame: of both of its fields,
    or fewer where telecine is undone. ``tags`` are the four
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
    pictures: Fraction
    time_base: Fraction
    begin: Fraction
    origin: Fraction
    first: Fraction
    seconds: float
    frames: int
    native: str = ""  # the pixel format of the file itself, before any conversion
    tags: dict[int, str] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    identity: tuple[int, float, int] | None = None
    reach: float | None = None  # of the cut

    @property
    def is_turned(self) -> bool:
        """Whether players turn it by a quarter: telephones store what is upright on its side."""
        return bool(self.matrix is not None and not self.matrix[0] and self.matrix[1])

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as players show them."""
        return (self.height, self.width) if self.is_turned else (self.width, self.height)

    @property
    def area(self) -> int:
        """Pixels of a frame."""
        return self.width * self.height

    def check_unchanged(self) -> None:
        """MediaError if there is another file now, or it has been written to."""
        try:
            same = self.identity is None or identity(self.path) == self.identity
        except OSError:
            same = False
        if not same:
            raise MediaError(
                f"{self.path} was changed, replaced or removed during the work; start again with "
                "one that stays"
            )

    @contextmanager
    def opened(self) -> Iterator[InputContainer]:
        """The film, open again. MediaError if it is no longer the same."""
        self.check_unchanged()
        with open_film(self.path, self.reach) as container:
            yield container

    @property
    def step(self) -> int:
        """From one picture to the next at a constant rate, in the time base."""
        return max(round(1 / self.rate / self.time_base), 1)

    @property
    def packet_step(self) -> int:
        """From one of the file's frames to the next."""
        return max(round(self.pictures / self.rate / self.time_base), 1)


def probe(path: Path, cut: Cut, *, keep_clock: bool = False) -> Film:
    """Reads the header and the first wanted frame. MediaError says what stands against it.

    ``keep_clock`` has transport streams keep their times, too, which begin anywhere.
    """
    with open_film(path, cut.reach) as container:
        stream = find_video(container, path, threads=False)
        descriptions = describe(container)
        claims = Claims.read(stream, descriptions.get(stream.index, ""))
        begin = Fraction(container.start_time or 0, av.time_base)
        # What a thread of the decoder says to libav's log while it is ended would never return.
        crop = Crop(claims.crop)
        with closing(decode(container, cut, BadPackets(), crop=crop, threads=False)) as frames:
            first = next(frames, None)
        if first is None:
            raise MediaError(f"{path} holds no frame that can be decoded in the wanted part")
        time_base, rate = stream.time_base, stream.average_rate or stream.guessed_rate
        if time_base is None or not rate:
            time_base, rate = time_base or Fraction(1, 25), rate or Fraction(25)
        if cut.detelecine and not is_television(rate):
            raise MediaError(
                f"there is no telecine to undo in a film of {float(rate):g} frames a second; films "
                "with one have 29.97"
            )
        if (cut.bob or cut.detelecine) and 1 / rate / time_base < TICKS:
            raise MediaError(
                f"{path.suffix} has no times between its frames here; put the film into another "
                "container first: ffmpeg -i IN -c copy OUT.mkv"
            )
        own_rate, rate = rate, 2 * rate if cut.bob else rate
        rate = cinema_rate(rate) if cut.detelecine else rate
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
            aspect=shape_of(stream) or stream.sample_aspect_ratio or None,
            matrix=struct.unpack("=9i", matrix) if matrix else None,
            rate=rate,
            pictures=rate / own_rate,
            time_base=time_base,
            begin=begin,
            first=begin if first.pts is None else first.pts * (first.time_base or time_base),
            origin=origin + Fraction(cut.start).limit_denominator(1_000_000),
            seconds=wanted,
            frames=round(
                stream.frames * rate / own_rate
                if wanted == seconds and stream.frames
                else wanted * rate
            ),
            native=stream.codec_context.pix_fmt or "",
            tags=_data_tags(descriptions),
            claims=claims.seen_in(first),
            identity=identity(path),
            reach=cut.reach,
        )


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _data_tags(descriptions: dict[int, str]) -> dict[int, str]:
    """Index to tag of the data streams."""
    found = {i: re.search(r": Data: .*\((.{4}) / 0x", text) for i, text in descriptions.items()}
    return {index: match[1] for index, match in found.items() if match}


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
    graph = filters_for(frame, ("showinfo", ""))
    with talking(), av.logging.Capture() as said:
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
    crop = Crop(film.claims.crop)
    with (
        film.opened() as container,
        closing(decode(container, cut, damage, seek, crop=crop)) as decoded,
    ):
        frames: Iterator[VideoFrame] = decoded
        if cut.detelecine:
            frames = without_repeats(decoded, film.form, film.first, film.time_base)
        for frame in frames:
            pts = _timestamp(frame, film, last)
            seconds = float(pts * film.time_base - film.begin)
            if what := find_change(film, frame):
                raise change_error(what, seconds)
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


def shape_of(stream: VideoStream) -> Fraction | None:
    """The shape of pixels by the word of the pictures that were decoded last, in transport and
    program streams; other containers say it once for all."""
    if not stream.container.format.flags & TS_DISCONT:
        return None
    return stream.codec_context.sample_aspect_ratio or None


def find_change(film: Film, frame: VideoFrame) -> str | None:
    """In what, if anything, a frame is not of the film's kind."""
    colors = film.colors
    changes = {
        "size": (frame.width, frame.height) != (film.width, film.height),
        "pixel format": _pix_fmt(frame) != film.pix_fmt,
        "colour matrix": frame.colorspace != colors.space,
        "colour primaries": frame.color_primaries != colors.primaries,
        "transfer function": frame.color_trc != colors.transfer,
        "range of values": _range(frame) != colors.range,
    }
    return next((what for what, changed in changes.items() if changed), None)


def change_error(what: str, seconds: float, again: float | None = None) -> MediaError:
    """What tells a user that a film changes, and to take it up to that moment, or from then on.

    Where recordings that overlap were joined, one kind is left for good at another moment.
    """
    first, second = moment(seconds), moment(max(again or seconds, seconds))
    when = f"at {first} s" if first == second else f"between {first} and {second} s"
    return MediaError(f"the film's {what} changes {when}; take it in parts", hint="parts")


def _timestamp(frame: VideoFrame, film: Film, last: int | None) -> int:
    """When a frame is shown, in the film's time base; at a constant rate if it does not say."""
    if frame.pts is not None:
        return round(frame.pts * _base(frame, film) / film.time_base)
    return 0 if last is None else last + film.step


def _base(frame: VideoFrame, film: Film) -> Fraction:
    return frame.time_base or film.time_base
