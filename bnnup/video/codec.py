"""How the enlarged film is encoded: which codec, with which options and tags."""

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from bnnup.errors import MediaError
from bnnup.video.film import Colors
from bnnup.video.planes import PlaneFormat, read_pix_fmt

PROGRESSIVE = 1  # libav's AV_FIELD_PROGRESSIVE
THREADS = 8  # the same on every machine: encoded pictures depend on it
TAME = "asm=AVX2"  # with AVX-512, x264 now and then encodes the same pictures otherwise


@dataclass(frozen=True)
class Codec:
    """An encoder of libav's, how good it is if nothing is said, and what its speeds are called."""

    encoder: str
    crf: float | None
    preset: tuple[str, str] | None  # name of the option, value
    options: tuple[tuple[str, str], ...] = ()
    params: str | None = None  # name of the option that takes key=value:key=value
    keeps_aspect: bool = False  # whether its stream tells the shape of pixels

    def formats(self) -> list[str]:
        """Pixel formats that it encodes and that films may have."""
        formats = av.Codec(self.encoder, "w").video_formats or []
        names = [entry.name for entry in formats]
        return [name for name in names if read_pix_fmt(name) and "yuvj" not in name]


CODECS = {
    "x264": Codec("libx264", 18, ("preset", "medium"), params="x264-params", keeps_aspect=True),
    "x265": Codec("libx265", 20, ("preset", "medium"), params="x265-params", keeps_aspect=True),
    "av1": Codec("libsvtav1", 28, ("preset", "8"), params="svtav1-params"),
    "vp9": Codec("libvpx-vp9", 24, ("cpu-used", "3"), (("b", "0"), ("row-mt", "1"))),
    "ffv1": Codec("ffv1", None, None, (("level", "3"), ("slicecrc", "1"))),
}
ALIASES = {
    "h264": "x264",
    "h265": "x265",
    "hevc": "x265",
    "svtav1": "av1",
} | {codec.encoder: name for name, codec in CODECS.items()}


@dataclass(frozen=True)
class Encoding:
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
        if self.codec.encoder == "libx264" and _has_avx512():
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
        try:
            context.open()
        except av.FFmpegError as error:
            raise MediaError(
                f"{self.codec.encoder} takes no {self.width}×{self.height} {self.pix_fmt} with "
                f"these options ({error.strerror})",
                hint="encoding",
            ) from error
        return context


@cache
def _has_avx512() -> bool:
    with suppress(OSError):
        return "avx512bw" in Path("/proc/cpuinfo").read_text()
    return False


def choose_codec(name: str | None, form: PlaneFormat, suffix: str) -> Codec:
    """The named codec; else x264 for colour in 8 bits, x265 for the rest, VP9 in WebM.

    x264 takes grey, too, but what it makes of it decodes to grey in colour.
    """
    if name is None:
        simple = form.bits == 8 and form.subsampling is not None
        name = "vp9" if suffix == ".webm" else "x264" if simple else "x265"
    name = ALIASES.get(name.lower(), name.lower())
    if name not in CODECS:
        raise MediaError(f"no codec {name!r}; known: {', '.join(CODECS)}")
    return CODECS[name]


def choose_options(
    codec: Codec, colors: Colors, crf: float | None, preset: str | None
) -> tuple[tuple[str, str], ...]:
    """Options for libav. MediaError where the codec knows no such option."""
    options = dict(codec.options)
    if crf is not None and codec.crf is None:
        raise MediaError(f"{codec.encoder} is lossless: it has no quality to choose")
    if preset is not None and codec.preset is None:
        raise MediaError(f"{codec.encoder} has no presets")
    if codec.crf is not None:
        options["crf"] = f"{codec.crf if crf is None else crf:g}"
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
