"""Films: the same film larger, with its sound, its subtitles and its timing.

Decoding, network and encoding overlap, each in a thread of its own. Encoded pictures
go to segments in a folder beside the output, from where a later run goes on after an
interruption; when all are there, they and the copied streams become the output.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from bnnup import __version__
from bnnup.errors import FullError, MediaError, is_full
from bnnup.model.file import Model
from bnnup.model.zoo import SCALES
from bnnup.system import paths
from bnnup.upscale.size import Size
from bnnup.upscale.upscaler import Upscaler
from bnnup.video import spans
from bnnup.video.codecs import choose_codec, codecs_for, picture_codec
from bnnup.video.encoding import FilmEncoding, choose_options
from bnnup.video.estimate import check_memory
from bnnup.video.film import Film, probe
from bnnup.video.frames import has_alpha, is_deep, is_rgb
from bnnup.video.mux import FilmFile, wants_global_header
from bnnup.video.read import Cut
from bnnup.video.rgb import rgb_colors
from bnnup.video.segments import WorkFolder, unfinished
from bnnup.video.sequence import first_number, identity, is_sequence
from bnnup.video.size import Exact, FilmSize, scale_for, sides
from bnnup.video.spans import Span, plan_spans
from bnnup.video.stills import Stills
from bnnup.video.streams import StreamChoice
from bnnup.video.transcode import FilmProgress, Transcoder
from bnnup.video.trial import examine, try_container

TRANSPORT = (".ts", ".m2ts", ".mts")  # whose clocks may begin anywhere
MATROSKA = (".mkv", ".webm")  # in which libav leaves the shape of pixels to codecs
UNSPOILT_ALPHA = "yuva444p16le"
UNSPOILT = "yuv444p16le"  # R'G'B' goes there and back, in 8 bits without a difference


@dataclass(frozen=True)
class Options:
    """How the output is to be. Without a ``size`` it is as much larger as the network makes it."""

    cut: Cut = field(default_factory=Cut)
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    size: FilmSize | None = None
    drop_misfits: bool = False
    streams: StreamChoice = field(default_factory=StreamChoice)
    audio_codec: str | None = None  # for sound that the container cannot hold
    first_number: int | None = None  # of numbered results; by default 1, or as the input has it


@dataclass(frozen=True)
class FilmResult:
    """A finished film, and what its user should know of it."""

    output: str
    width: int
    height: int
    codec: str
    backend: str
    progress: FilmProgress
    warnings: list[str]


# Makes a ``Transcoder``, or what can do the same, of a Transcoder's arguments.
TranscoderFactory = Callable[..., AbstractContextManager[Any]]


@contextmanager
def in_this_process(*job: Any) -> Iterator[Transcoder]:
    """The work is done by threads of this process."""
    yield Transcoder(*job)


def enlarge_video(
    upscaler: Upscaler,
    source: Path,
    target: Path,
    options: Options | None = None,
    progress: Callable[[FilmProgress], None] = lambda _: None,
    *,
    discard: bool = False,
    workers: TranscoderFactory = in_this_process,
    tell: Callable[[list[str]], None] = lambda _: None,
) -> FilmResult:
    """Enlarges the first video stream of ``source`` and copies everything else.

    ``target`` appears when it is complete, and replaces what was there; of numbered pictures,
    segment by segment. After any interruption, the same call resumes; one with other options
    is refused as long as there is unfinished work, unless ``discard`` throws that away.
    ``workers`` do the work: those of this process, or a cluster's. ``tell`` is called with the
    warnings that can be given before any work. Raises MediaError, FullError or ClusterError.
    """
    options = options or Options()
    keep_clock = target.suffix.lower() in TRANSPORT
    film = probe(source, options.cut, keep_clock=keep_clock)
    cut = _widened(film, target, options)
    if cut != options.cut:
        film = probe(source, cut, keep_clock=keep_clock)
    encoding = choose_encoding(film, upscaler.scale, target, options)
    if workers is in_this_process:
        check_memory(film, encoding, upscaler)
    encoding.open()  # which says what the encoder does not take
    folder = WorkFolder(unfinished(target))
    with _explained(folder), folder.locked():
        folder.prepare(_describe(upscaler, film, options), discard=discard)
        with folder.tidied(), _output(target, film, encoding, cut, options, folder) as output:
            tell(output.losses)
            with workers(upscaler, film, encoding, cut, folder, progress) as work:
                make_segments(work.run, film, cut, folder)
            film.check_unchanged()
            flaws = [*find_flaws(film, encoding, folder), *output.finish()]
            state = work.state
            state.total, state.bytes = state.frames, output.size
            folder.clear()
    return FilmResult(
        str(target),
        encoding.width,
        encoding.height,
        encoding.codec.encoder,
        upscaler.backend.name,
        state,
        [*flaws, *output.losses],
    )


@contextmanager
def _output(
    target: Path, film: Film, encoding: FilmEncoding, cut: Cut, options: Options, folder: WorkFolder
) -> Iterator[FilmFile | Stills]:
    """What segments become. What stands against the film as a whole shows now, not after hours."""
    if is_sequence(target):
        losses = examine(target, film, encoding, cut, drop=options.drop_misfits)
        yield Stills(target, _first_number(film, options), folder, losses)
        return
    with folder.result(target.suffix) as scratch:
        fit = try_container(
            scratch,
            film,
            encoding,
            cut,
            drop=options.drop_misfits,
            sound=options.audio_codec,
            unwanted=options.streams.unwanted(film),
        )
        yield FilmFile(scratch, target, film, encoding, cut, fit, folder)


def _first_number(film: Film, options: Options) -> int:
    """Of numbered results: what the user says, or the number that the first frame has."""
    if options.first_number is not None:
        return options.first_number
    if not is_sequence(film.path):
        return 1
    return first_number(film.path) + round((film.first - film.begin) * film.rate)


def make_segments(
    make: Callable[[Iterator[Span]], None], film: Film, cut: Cut, folder: WorkFolder
) -> None:
    """Has ``make`` make the segments that are missing, and anew what turns out not to fit."""
    make(span for span in plan_spans(film, cut) if span.number not in folder.segments)
    while misfits := folder.misfits():
        folder.drop(misfits)
        make(replace(span, seek=None) for span in plan_spans(film, cut) if span.number in misfits)


def find_flaws(film: Film, encoding: FilmEncoding, folder: WorkFolder) -> list[str]:
    """What the user should know of the input."""
    found = []
    segments = folder.in_order
    if damaged := sum(segment.seam.damaged for segment in segments):
        found.append(f"{damaged} damaged packets were left out, as players do")
    end = float(max(segment.end or 0 for segment in segments) * film.time_base)
    expected = float(film.origin) + film.seconds
    if end < expected - max(1.0, 0.02 * film.seconds):
        found.append(
            f"frames end at {end:.1f} s, though the header promises {expected:.1f} s: "
            "the input may have been cut"
        )
    width, height = film.shown if encoding.codec.forms else (film.width, film.height)
    if encoding.width > SCALES[-1] * width or encoding.height > SCALES[-1] * height:
        found.append(f"networks enlarge {SCALES[-1]} times at most; interpolation did the rest")
    return found


@contextmanager
def _explained(folder: WorkFolder) -> Iterator[None]:
    """Turns what the system says of files into one line for the user."""
    kept = f"what is done is kept in {folder.path}, and the same command goes on from there"
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        kind = FullError if is_full(error) else MediaError
        raise kind(f"writing failed: {error.strerror or error}; {kept}") from error
    except FullError as error:
        raise FullError(f"writing failed: {error}; {kept}") from error


def _widened(film: Film, target: Path, options: Options) -> Cut:
    """The cut, with a conversion to more bits or more chroma if the codec asks for them."""
    cut, rgb = options.cut, is_rgb(film.native)
    if is_sequence(target):
        unspoilt = UNSPOILT_ALPHA if has_alpha(film.native) else UNSPOILT
        return replace(cut, pix_fmt=unspoilt) if cut.pix_fmt is None and rgb else cut
    form, pix_fmt = film.form, film.pix_fmt
    codec = choose_codec(options.codec, form, pix_fmt, target.suffix.lower())
    if form.alpha and not codec.alpha:
        cut = replace(cut, opaque=True)
        form, pix_fmt = replace(form, alpha=False), pix_fmt.replace("yuva", "yuv")
        codec = choose_codec(options.codec, form, pix_fmt, target.suffix.lower())
    fits = pix_fmt in codec.formats() or not codec.widens or cut.pix_fmt
    wider = None if fits else codec.wider(form)
    return cut if wider is None else replace(cut, pix_fmt=wider)


def choose_encoding(film: Film, scale: int, target: Path, options: Options) -> FilmEncoding:
    """What the output's pictures become. MediaError if the encoder cannot do it."""
    if is_sequence(target):
        return _encoding_of_pictures(film, scale, target, options)
    codec = choose_codec(options.codec, film.form, film.pix_fmt, target.suffix.lower())
    if film.pix_fmt not in codec.formats():
        wrong = f"{codec.encoder} cannot encode {film.pix_fmt}, but {', '.join(codec.formats())}"
        if others := codecs_for(film.pix_fmt, target.suffix.lower()):
            raise MediaError(f"{wrong}; {' and '.join(others)} can", hint="pix_fmt or codec")
        raise MediaError(wrong, hint="pix_fmt or ffv1")
    width, height = _sides(film, options.size, scale)
    aspect = _aspect(film, width, height, options.size)
    if aspect != 1 and not codec.keeps_aspect and target.suffix.lower() in MATROSKA:
        raise MediaError(
            f"the shape of this film's pixels is not kept by {codec.encoder} in {target.suffix}",
            hint="aspect",
        )
    colors = film.colors.meant(film.width, film.height)
    codec.check_sides(width, height, film.form)
    return FilmEncoding(
        codec=codec,
        width=width,
        height=height,
        pix_fmt=codec.takes(film.pix_fmt),
        rate=film.rate,
        aspect=aspect if film.aspect is not None or aspect != 1 else None,
        colors=colors,
        options=choose_options(codec, colors, options.crf, options.preset),
        global_header=wants_global_header(target),
    )


def _encoding_of_pictures(film: Film, scale: int, target: Path, options: Options) -> FilmEncoding:
    """What numbered pictures become: as deep as the film, turned as players turn it."""
    codec = picture_codec(target.suffix.lower(), options.codec)
    width, height = _sides(film, options.size, scale)
    aspect = _aspect(film, width, height, options.size)
    if film.is_turned:
        width, height, aspect = height, width, 1 / aspect
    deep = film.form.bits > 8
    if options.cut.pix_fmt is None and is_rgb(film.native):
        deep = is_deep(film.native)
    colors = rgb_colors(film.colors)
    return FilmEncoding(
        codec=codec,
        width=width,
        height=height,
        pix_fmt=codec.form_of(film.form, deep=deep),
        rate=film.rate,
        aspect=aspect,
        colors=colors,
        options=choose_options(codec, colors, options.crf, options.preset),
        global_header=False,
    )


def _aspect(film: Film, width: int, height: int, size: FilmSize | None) -> Fraction:
    """The shape of pixels. The picture keeps its own, whatever becomes of theirs."""
    stretch = Fraction(1)
    if isinstance(size, Exact):
        stretch = Fraction(film.width * height, film.height * width)
    return ((film.aspect or 1) * stretch).limit_denominator(10_000)


def _describe(upscaler: Upscaler, film: Film, options: Options) -> dict[str, Any]:
    """All that the encoded pictures depend on."""
    size, changed, _ = identity(film.path)
    return {
        "bnnup": __version__,
        "libav": {name: list(version) for name, version in av.library_versions.items()},
        "source": [paths.absolute(film.path), size, str(changed)],
        "model": _fingerprint(upscaler.model),
        "backend": upscaler.backend.name.split(",")[0],  # kernels give the same bits
        # Not what concerns the other streams only.
        "options": dataclasses.asdict(
            replace(
                options,
                cut=replace(options.cut, reach=None),
                drop_misfits=False,
                audio_codec=None,
                streams=StreamChoice(),
            )
        ),
        "spans": [spans.LEAST, spans.MOST],
    }


def _fingerprint(model: Model) -> str:
    """The same for the same network; files of it may differ in the order of their parts."""
    found = hashlib.sha256(model.program.to_json().encode())
    for name in sorted(model.tensors):
        found.update(name.encode() + model.tensors[name].tobytes())
    return found.hexdigest()


def choose_scale(source: Path, options: Options) -> int:
    """The least scale of a network that reaches the wanted size; 2 if none is wanted."""
    size = options.size
    if size is None or (isinstance(size, Size) and size.factor is not None):
        return 2 if size is None else scale_for(size, 1, 1)
    return scale_for(size, *probe(source, options.cut).shown)


def _sides(film: Film, size: FilmSize | None, scale: int) -> tuple[int, int]:
    """Width and height of the output, as they are stored."""
    if size is None:
        return scale * film.width, scale * film.height
    width, height = sides(size, *film.shown)
    return (height, width) if film.is_turned else (width, height)
