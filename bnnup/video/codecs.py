"""The codecs that films are encoded with: what each takes, and its quality if nothing is said."""

from dataclasses import dataclass

import av

from bnnup.errors import MediaError
from bnnup.video.packed import planar_form
from bnnup.video.planes import PlaneFormat, read_pix_fmt

SPEEDS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)


COARSEST = (2, 2)  # subsampling


@dataclass(frozen=True)
class Codec:
    """An encoder of libav's.

    ``crf`` is its quality if nothing is said, ``crfs`` the best and the worst. ``preset``
    is what libav calls its speed, or its kind, and the value if nothing is said;
    ``presets`` are all. ``params`` is the option that takes key=value:key=value.
    ``containers`` are the endings that it is at home in, the first where all else fails.
    """

    encoder: str
    containers: tuple[str, ...]
    crf: float | None = None
    crfs: tuple[int, int] = (0, 0)
    preset: tuple[str, str] | None = None
    presets: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    params: str | None = None
    keeps_aspect: bool = False  # whether its stream tells the shape of pixels
    whole_chroma: bool = False  # whether sides are whole numbers of chroma samples
    memory: float = 250  # bytes for each pixel of a frame, in 8 bits, as measured …
    base: int = 5  # … and megabytes besides, however small pictures are
    captions: bool = False  # whether it writes those that lie within frames
    alpha: bool = False  # whether its pictures may be transparent
    widens: bool = False  # whether films are converted to a format that holds more than theirs
    quality: tuple[str, ...] = ("crf",)  # the options that ``crf`` goes to
    needs: str = ""  # what the machine must have, of encoders in hardware
    forms: tuple[str, ...] = ()  # of numbered pictures: grey, colour, with alpha; in 8 and 16 bits

    @property
    def mastering(self) -> bool:
        """Whether it writes HDR10's metadata, which it takes as parameters."""
        return self.params is not None

    def formats(self) -> list[str]:
        """Pixel formats that it encodes and that films may have."""
        names = (planar_form(name) for name in self._own_formats())
        known = [(name, read_pix_fmt(name)) for name in dict.fromkeys(names) if "yuvj" not in name]
        return [name for name, form in known if form and (self.alpha or not form.alpha)]

    def _own_formats(self) -> list[str]:
        return [entry.name for entry in av.Codec(self.encoder, "w").video_formats or []]

    def takes(self, pix_fmt: str) -> str:
        """The form in which it takes a pixel format of ``formats``."""
        own = self._own_formats()
        return pix_fmt if pix_fmt in own else next(n for n in own if planar_form(n) == pix_fmt)

    def form_of(self, form: PlaneFormat, *, deep: bool) -> str:
        """The format of numbered pictures, in 16 bits if they are to be ``deep``."""
        return self.forms[(form.subsampling is not None) + form.alpha + 3 * deep]

    def wider(self, form: PlaneFormat) -> str | None:
        """The least of its formats with all bits and all chroma of ``form``, if there is one, or
        as many bits as it has."""
        chroma = form.subsampling or COARSEST
        found = [(name, read_pix_fmt(name)) for name in self.formats()]
        most = max((other.bits for _, other in found if other is not None), default=0)
        enough = [
            (other.subsampling, other.bits, name)
            for name, other in found
            if other is not None
            and other.bits >= min(form.bits, most)
            and other.alpha == form.alpha
            and other.subsampling is not None
            and all(a <= b for a, b in zip(other.subsampling, chroma, strict=True))
        ]
        return max(enough, key=lambda entry: (entry[0], -entry[1]))[2] if enough else None

    def check(self, crf: float | None, preset: str | None) -> None:
        """MediaError for a quality or a preset that it does not have, with those that it has."""
        if crf is not None and self.crf is None:
            raise MediaError(f"{self.encoder} has no quality to choose", hint="codec")
        if crf is not None and not self.crfs[0] <= crf <= self.crfs[1]:
            best, worst = self.crfs
            raise MediaError(
                f"{self.encoder} has no quality {crf:g}: it goes from {best}, the best, to {worst}"
            )
        if preset is not None and self.preset is None:
            raise MediaError(f"{self.encoder} has no presets")
        if preset is not None and preset not in self.presets:
            raise MediaError(
                f"{self.encoder} has no preset {preset!r}; it has {', '.join(self.presets)}"
            )

    def check_sides(self, width: int, height: int, form: PlaneFormat) -> None:
        """MediaError if it takes no pictures of such sides."""
        if not self.whole_chroma or form.subsampling is None:
            return
        down, right = (1 << halvings for halvings in form.subsampling)
        for name, side, step in ("width", width, right), ("height", height, down):
            if side % step:
                raise MediaError(
                    f"{self.encoder} takes no {width}×{height}: the {name} must be a multiple of "
                    f"{step}",
                    hint="sides",
                )


CODECS = {
    "x264": Codec(
        "libx264",
        (".mkv", ".mp4", ".m4v", ".mov", ".ts", ".m2ts", ".mts"),
        crf=18,
        crfs=(0, 51),
        preset=("preset", "medium"),
        presets=SPEEDS,
        params="x264-params",
        base=45,
        keeps_aspect=True,
        whole_chroma=True,
        captions=True,
    ),
    "x265": Codec(
        "libx265",
        (".mkv", ".mp4", ".mov", ".ts", ".m2ts", ".mts"),
        crf=20,
        crfs=(0, 51),
        preset=("preset", "medium"),
        presets=SPEEDS,
        options=(("a53cc", "1"),),
        params="x265-params",
        base=120,
        keeps_aspect=True,
        whole_chroma=True,
        captions=True,
    ),
    "av1": Codec(
        "libsvtav1",
        (".mkv", ".mp4", ".webm"),
        crf=28,
        crfs=(0, 63),
        preset=("preset", "8"),
        presets=tuple(map(str, range(14))),
        params="svtav1-params",
        base=130,
    ),
    "vp9": Codec(
        "libvpx-vp9",
        (".mkv", ".mp4", ".webm"),
        crf=24,
        crfs=(0, 63),
        preset=("cpu-used", "3"),
        presets=tuple(map(str, range(-8, 9))),
        memory=160,
        base=50,
        options=(("b", "0"), ("row-mt", "1")),
    ),
    "ffv1": Codec(
        "ffv1",
        (".mkv",),
        options=(("level", "3"), ("slicecrc", "1")),
        memory=45,
        alpha=True,
    ),
    "prores": Codec(
        "prores_ks",
        (".mov", ".mkv"),
        preset=("profile", "auto"),  # hq for 4:2:2, 4444 for 4:4:4
        presets=("auto", "proxy", "lt", "standard", "hq"),
        options=(("vendor", "apl0"),),  # without which some editors take it for foreign
        widens=True,
        alpha=True,
        memory=65,
    ),
}


def _nvenc(name: str, crf: float, containers: tuple[str, ...]) -> Codec:
    return Codec(
        f"{name}_nvenc",
        containers,
        crf=crf,
        crfs=(1, 51),
        quality=("cq",),
        preset=("preset", "p5"),
        presets=tuple(f"p{number}" for number in range(1, 8)),
        options=(("rc", "vbr"), ("b", "0")),
        whole_chroma=True,
        captions=name != "av1",
        memory=60,
        base=100,
        needs="an NVIDIA GPU with an encoder, and its driver",
    )


def _qsv(name: str, crf: float, containers: tuple[str, ...]) -> Codec:
    return Codec(
        f"{name}_qsv",
        containers,
        crf=crf,
        crfs=(1, 51),
        quality=("global_quality",),
        preset=("preset", "medium"),
        presets=SPEEDS[2:9],
        whole_chroma=True,
        memory=60,
        base=100,
        needs="an Intel GPU, and its oneVPL or Media SDK runtime",
    )


def _amf(name: str, crf: float, containers: tuple[str, ...]) -> Codec:
    return Codec(
        f"{name}_amf",
        containers,
        crf=crf,
        crfs=(0, 51),
        quality=("qp_i", "qp_p"),
        preset=("quality", "balanced"),
        presets=("speed", "balanced", "quality"),
        options=(("rc", "cqp"),),
        whole_chroma=True,
        memory=60,
        base=100,
        needs="an AMD GPU, and its AMF runtime",
    )


# Encoders in hardware. Whether they work here, only trying them tells.
IN_HARDWARE = {
    codec.encoder: codec
    for codec in (
        _nvenc("h264", 20, CODECS["x264"].containers),
        _nvenc("hevc", 22, CODECS["x265"].containers),
        _nvenc("av1", 28, (".mkv", ".mp4")),
        _qsv("h264", 20, CODECS["x264"].containers),
        _qsv("hevc", 22, CODECS["x265"].containers),
        _qsv("av1", 28, (".mkv", ".mp4")),
        _amf("h264", 20, CODECS["x264"].containers),
        _amf("hevc", 22, CODECS["x265"].containers),
    )
}
# What makes numbered pictures, by their ending: each packet is a file.
PICTURES = {
    ".png": Codec(
        "png",
        (),
        preset=("compression_level", "1"),  # those above it take long and gain little
        presets=tuple(map(str, range(10))),
        options=(("pred", "paeth"),),
        forms=("gray", "rgb24", "rgba", "gray16be", "rgb48be", "rgba64be"),
        alpha=True,
        keeps_aspect=True,
        memory=115,
    ),
    ".tif": Codec(
        "tiff",
        (),
        preset=("compression_algo", "lzw"),
        presets=("lzw", "deflate", "packbits", "raw"),
        forms=("gray", "rgb24", "rgba", "gray16le", "rgb48le", "rgba64le"),
        alpha=True,
        keeps_aspect=True,
        memory=155,
    ),
}
PICTURES[".tiff"] = PICTURES[".tif"]
ALIASES = {
    "h264": "x264",
    "h265": "x265",
    "hevc": "x265",
    "svtav1": "av1",
} | {codec.encoder: name for name, codec in CODECS.items()}


HARDWARE = ("_amf", "_nvenc", "_qsv", "_v4l2m2m", "_vaapi", "_videotoolbox")  # libav's names


def codec_named(name: str) -> Codec:
    """MediaError if there is none."""
    name = ALIASES.get(name.lower(), name.lower())
    if name in IN_HARDWARE and name in av.codecs_available:
        return IN_HARDWARE[name]
    if name.endswith(HARDWARE):
        known = (known for known in IN_HARDWARE if known in av.codecs_available)
        raise MediaError(
            f"{name} is none of the encoders in hardware that films can be made with here "
            f"({', '.join(known) or 'there are none'}); it can take frames through a pipe to an "
            f"ffmpeg that has it. Other codecs: {', '.join(CODECS)}"
        )
    if name not in CODECS:
        raise MediaError(f"no codec {name!r}; known: {', '.join(CODECS)}")
    return CODECS[name]


def choose_codec(name: str | None, form: PlaneFormat, pix_fmt: str, suffix: str) -> Codec:
    """The named codec; else x264 for colour in 8 bits, x265 for the rest. In WebM VP9, or AV1 for
    what that does not encode.

    x264 takes grey, too, but what it makes of it decodes to grey in colour.
    """
    if name is not None:
        return codec_named(name)
    if suffix == ".webm":
        return CODECS[next(iter(codecs_for(pix_fmt, suffix)), "vp9")]
    simple = form.bits == 8 and form.subsampling is not None
    return CODECS["x264" if simple else "x265"]


def picture_codec(suffix: str, codec: str | None) -> Codec:
    """What makes numbered pictures of this ending. MediaError if there is none, or another is
    wanted."""
    if suffix not in PICTURES:
        raise MediaError(f"numbered results are pictures: {', '.join(PICTURES)}", hint="output")
    if codec is not None:
        raise MediaError(
            f"numbered pictures have no codec to choose: their ending, {suffix}, says what they are"
        )
    return PICTURES[suffix]


def codecs_for(pix_fmt: str, suffix: str) -> list[str]:
    """The codecs that encode a pixel format and are at home in a container, VP9 before AV1."""
    names = sorted(CODECS, key=lambda name: name == "av1")
    return [
        name
        for name in names
        if suffix in CODECS[name].containers and pix_fmt in CODECS[name].formats()
    ]
