"""How the enlarged film is encoded: which codec, with which options and tags."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import av.logging
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bnnup.errors import MediaError
from bnnup.system.cpu import has_avx512
from bnnup.video.codecs import Codec
from bnnup.video.film import Colors

PROGRESSIVE = 1  # libav's AV_FIELD_PROGRESSIVE
THREADS = 8  # the same on every machine: encoded pictures depend on it
TAME = "asm=AVX2"  # with AVX-512, x264 now and then encodes the same pictures otherwise


@dataclass(frozen=True)
class FilmEncoding:
    """Everything that two encoders must share for their streams to be one.

    Encoders count frames; when each is shown is the container's business. That suits
    all of them, whatever the film's time base, and variable frame rates need no care.
    """

    codec: Codec
    width: int
    height: int
    pix_fmt: str
    rate: Fraction
    aspect: Fraction | None
    colors: Colors
    options: tuple[tuple[str, str], ...]
    global_header: bool

    def configure(self, context: VideoCodecContext) -> None:
        """Makes a closed encoder ready to be opened."""
        context.width, context.height = self.width, self.height
        context.pix_fmt = self.pix_fmt
        if context.is_encoder:  # not what only describes a stream
            context.time_base = 1 / self.rate
        context.framerate = self.rate
        context.field_order = PROGRESSIVE
        context.bit_rate = 0
        context.thread_count, context.thread_type = THREADS, "FRAME"
        if self.aspect:
            context.sample_aspect_ratio = self.aspect
        context.colorspace = self.colors.space
        context.color_primaries = self.colors.primaries
        context.color_trc = self.colors.transfer
        context.color_range = self.colors.range
        context.options = dict(self.options)
        if self.codec.encoder == "libx264" and has_avx512():
            params = context.options.get("x264-params")
            context.options |= {"x264-params": f"{params}:{TAME}" if params else TAME}
        if self.global_header:
            context.flags |= Flags.global_header

    def open(self) -> VideoCodecContext:
        """An encoder of its own."""
        os.environ.setdefault("SVT_LOG", "1")  # errors only; it has no other way to be told
        context = av.CodecContext.create(self.codec.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        self.configure(context)
        with _listening() as said:
            try:
                context.open()
            except av.FFmpegError as error:
                why = ", ".join(words.strip(" .\n") for _, _, words in said) or error.strerror
                if self.codec.needs:
                    raise MediaError(
                        f"{self.codec.encoder} does not work here: {why}; it needs "
                        f"{self.codec.needs}",
                        hint="codec",
                    ) from error
                raise MediaError(
                    f"{self.codec.encoder} takes no {self.width}×{self.height} {self.pix_fmt} "
                    f"with these options: {why}",
                    hint="encoding",
                ) from error
        return context


def encode(context: VideoCodecContext, frame: VideoFrame | None) -> list[Packet[VideoStream]]:
    """What an encoder gives back for a frame, or for the end. MediaError if it fails."""
    try:
        return context.encode(frame)
    except av.FFmpegError as error:
        raise MediaError(f"{context.name} failed: {error.strerror}", hint="encoding") from error


@contextmanager
def _listening() -> Iterator[list[tuple[int, str, str]]]:
    """What libav says of errors, as (level, name, words)."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said:
            yield said
    finally:
        av.logging.set_level(level)


def choose_options(
    codec: Codec, colors: Colors, crf: float | None, preset: str | None
) -> tuple[tuple[str, str], ...]:
    """Options for libav. MediaError where the codec knows no such option, or not this value."""
    codec.check(crf, preset)
    options = dict(codec.options)
    if codec.crf is not None:
        options |= dict.fromkeys(codec.quality, f"{codec.crf if crf is None else crf:g}")
    if codec.preset is not None:
        options[codec.preset[0]] = preset or codec.preset[1]
    if colors.location is not None:
        options["chroma_sample_location"] = colors.location
    params = _parameters(codec, colors)
    if codec.params is not None and params:
        options[codec.params] = ":".join(f"{key}={value}" for key, value in params.items())
    return tuple(options.items())


def _parameters(codec: Codec, colors: Colors) -> dict[str, str]:
    """What an encoder only takes in its own words: HDR metadata, threads, that it be quiet."""
    params: dict[str, str] = {}
    light = colors.light and struct.unpack("=2I", colors.light[:8])
    if codec.encoder == "libx265":
        params["log-level"] = "none"
        params |= {"pools": str(THREADS), "frame-threads": str(THREADS // 2)}
        params["info"] = "0"  # which names the CPU
    fields = {"libx264": "cll", "libx265": "max-cll", "libsvtav1": "content-light"}
    if colors.mastering and codec.encoder in fields:
        primaries = mastering_display(colors.mastering, floats=codec.encoder == "libsvtav1")
        if primaries:
            params["mastering-display" if codec.encoder != "libx265" else "master-display"] = (
                primaries
            )
    if light and codec.encoder in fields:
        params[fields[codec.encoder]] = f"{light[0]},{light[1]}"
    return params


def mastering_display(data: bytes, *, floats: bool) -> str | None:
    """libav's AVMasteringDisplayMetadata in the words of encoders; None if it is incomplete.

    Ten fractions of two ints: red, green, blue and white as x and y, least and
    greatest luminance in cd/m²; then whether primaries and luminances are there.
    Encoders count x and y in 1/50000 and luminance in 1/10000, or take fractions.
    """
    numbers = struct.unpack("=22i", data[:88])
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    units = [1] * 10 if floats else [50000] * 8 + [10000] * 2
    written = [
        f"{float(value):.6g}" if floats else str(round(value * unit))
        for value, unit in zip(values, units, strict=True)
    ]
    red, green, blue, white = (f"({written[i]},{written[i + 1]})" for i in range(0, 8, 2))
    return f"G{green}B{blue}R{red}WP{white}L({written[9]},{written[8]})"
