"""Whether a container holds a film: tried before the first of its frames is enlarged.

Everything that is to be copied goes through the real container, with a few grey pictures in
the film's place, and what was written is read again: some containers refuse, others take a
stream and lose what it is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Stream

from bnnup.errors import MediaError
from bnnup.video.claims import Claims
from bnnup.video.convert import find_form
from bnnup.video.encoding import FilmEncoding, encode
from bnnup.video.film import Film, probe
from bnnup.video.frames import from_planes
from bnnup.video.mux import (
    ContainerFit,
    MisfitError,
    Muxer,
    holds_alone,
    is_cover,
    is_remade,
    muxer,
)
from bnnup.video.packed import PACKINGS
from bnnup.video.read import Cut, open_film
from bnnup.video.segments import Chunk
from bnnup.video.survey import Survey, survey

PICTURES = 12  # of the trial: fewer do not tell their rate
NAVIGATION = "dvd_nav_packet"  # of a disc, which nothing but its file can use
RATES = 0.1  # by which frame rates may differ, where containers round times
HDR = (16, 18)  # libav's AVCOL_TRC_SMPTE2084 and ARIB_STD_B67
FAMILIES = {"mp1": "mp3", "mp2": "mp3"}  # MPEG audio, whose layers MP4 does not tell apart

Misfits = dict[int, str]  # a stream's number: why it does not fit


def try_container(
    path: Path,
    film: Film,
    encoding: FilmEncoding,
    cut: Cut,
    *,
    drop: bool,
    sound: str | None = None,
    unwanted: Collection[int] = (),
) -> ContainerFit:
    """Writes a trial to ``path``: which streams have to be converted or left out.

    ``unwanted`` ones are left out, for no reason that has to be told. ``sound`` is the codec
    for sound that does not fit, by default a lossless one. MediaError names what fits in no
    form, unless ``drop``; nothing but a disc's navigation goes unasked. Raises it, too, where
    the film itself does not fit or changes on its way.
    """
    found = _surveyed(film, cut, drop=drop)
    if path.suffix.lower() == ".avi" and not found.is_even:
        raise MediaError("avi does not keep frames that are shown for different times; .mkv does")
    fit = ContainerFit(_without_use(film) | dict.fromkeys(unwanted, ""))
    while misfits := _misfits(path, film, encoding, cut, fit):
        if film.index in misfits:
            raise MediaError(misfits[film.index], hint="codec or extension")
        forms = _forms(path, film, sound, misfits.keys() - fit.converted.keys())
        fit.converted |= forms
        left = {index: why for index, why in misfits.items() if index not in forms}
        if left and not drop:
            why = "; ".join(left.values()) + _instead(path, film)
            if _any_unknown(film, left):
                raise MediaError(why, hint="probe")
            raise MediaError(why, hint="drop_misfits")
        for index in left:
            fit.converted.pop(index, None)
        fit.left_out |= left
    made = probe(path, Cut()).claims
    container = path.suffix.removeprefix(".")
    fit.notes = list(_unsaid(container, film, encoding, found.claims, made))
    return fit


def examine(path: Path, film: Film, encoding: FilmEncoding, cut: Cut, *, drop: bool) -> list[str]:
    """``try_container`` of numbered pictures, which hold nothing else: what is lost, in words."""
    found = _surveyed(film, cut, drop=drop)
    name = path.suffix.removeprefix(".")
    notes = [*_unsaid(name, film, encoding, found.claims, Claims())]
    if not found.is_even:
        notes.append("frames are shown for different times, which pictures do not say")
    if film.colors.transfer in HDR and encoding.codec.encoder != "png":
        notes.append(f"{name} does not say that the film is HDR; png does")
    with film.opened() as source:
        kinds = Counter(_plain_kind(s) for s in source.streams if s.index != film.index)
        kinds["chapters"] += bool(source.chapters())
    others = [kind for kind, count in kinds.items() if count]
    return [*notes, *([f"left out: {', '.join(others)}"] if others else [])]


def _plain_kind(stream: Stream) -> str:
    return "cover" if is_cover(stream) else str(stream.type)


def _surveyed(film: Film, cut: Cut, *, drop: bool) -> Survey:
    """MediaError if the film's pictures cannot be right, or change on their way."""
    if film.claims.dolby and film.claims.dolby[1] == 0 and not drop:
        raise MediaError(
            f"the colours of Dolby Vision's profile {film.claims.dolby[0]} are right with its "
            "metadata only, which describes the small pictures and is left out",
            hint="dolby",
        )
    return survey(film, cut)


def _unsaid(
    container: str, film: Film, encoding: FilmEncoding, claims: Claims, made: Claims
) -> Iterator[str]:
    """What the film says of its pictures, and the result, which makes other claims, does not."""
    if claims.dolby:
        yield "Dolby Vision's metadata was left out: it describes the small pictures"
    if claims.dynamic:
        yield "HDR10+ metadata was left out; that of HDR10 describes the film as a whole"
    if claims.alpha and not film.form.alpha:
        yield (
            "transparency was left out; ffv1 in .mkv, prores in .mov and numbered pictures hold it"
        )
    if claims.captions and not encoding.codec.captions:
        yield f"closed captions were left out: {encoding.codec.encoder} does not write them"
    if claims.broken:
        yield "pictures of both eyes were mixed line by line, and are now mixed for good"
    elif claims.stereo and not made.stereo:
        yield f"{container} does not say that the film is stereoscopic; .mkv does"
    if claims.sphere and not made.sphere:
        yield f"{container} does not say that the film is spherical; .mkv may"
    if film.colors.mastering and not encoding.codec.mastering:
        yield f"{encoding.codec.encoder} cannot carry HDR mastering metadata"


def _any_unknown(film: Film, streams: Iterable[int]) -> bool:
    """Whether one begins so late that nothing is known of it but its codec."""
    with film.opened() as source:
        contexts: list[Any] = [source.streams[i].codec_context for i in streams]
    return any(
        context and context.type == "audio" and not context.sample_rate for context in contexts
    )


def _forms(path: Path, film: Film, sound: str | None, misfits: Iterable[int]) -> dict[int, str]:
    """The codecs that misfits can be converted to, of those for which there is one."""
    with film.opened() as source, av.open(f"file:{path}", "w") as target:
        name = target.format.name
        forms = {index: find_form(source.streams[index], name, sound) for index in misfits}
    return {index: form for index, form in forms.items() if form is not None}


def _without_use(film: Film) -> Misfits:
    with film.opened() as source:
        return {
            stream.index: f"stream {stream.index}: a disc's navigation"
            for stream in source.streams
            if stream.type == "data" and getattr(stream, "name", None) == NAVIGATION
        }


def _misfits(
    path: Path, film: Film, encoding: FilmEncoding, cut: Cut, fit: ContainerFit
) -> Misfits:
    """Those that do not fit beside what has been left out so far."""
    name = path.suffix.removeprefix(".")
    try:
        with muxer(path, film, encoding, cut, fit) as trial:
            trial.write_chunks(_grey_chunks(trial, film, encoding), cut)
        fit.flaws = trial.flaws
    except MisfitError as error:
        with film.opened() as source:
            return {error.index: _sentence(source.streams[error.index], name, str(error))}
    except MediaError:
        with film.opened() as source, av.open(f"file:{path}", "w") as target:
            form = target.format.name
            found = {
                stream.index: _sentence(stream, name)
                for stream in source.streams
                if stream.index != film.index
                and stream.index not in fit.left_out
                and stream.index not in fit.converted
                and not is_remade(film, stream)
                and not holds_alone(form, stream)
            }
        if not found:
            raise
        return found
    return _lost(path, film, fit)


def _grey_chunks(trial: Muxer, film: Film, encoding: FilmEncoding) -> Iterator[Chunk]:
    """A few encoded pictures."""
    context = encoding.open()
    begin = round(film.origin / film.time_base)
    shapes = film.form.shapes(encoding.height, encoding.width)
    planes = [np.full(shape, 1 << film.form.bits - 1, film.form.dtype) for shape in shapes]
    if packing := PACKINGS.get(encoding.pix_fmt):
        planes = packing.pack(planes)
    packets = []
    for number in range(PICTURES):
        frame = from_planes(planes, encoding.pix_fmt)
        frame.pts, frame.time_base = number, context.time_base
        packets += encode(context, frame)
    packets += encode(context, None)
    for number, packet in enumerate(packets):
        pts = begin + film.step * (packet.pts or 0)
        dts = begin + film.step * (number - PICTURES)
        yield Chunk(pts, dts, film.step, packet.is_keyframe, bytes(packet))


def _lost(path: Path, film: Film, fit: ContainerFit) -> Misfits:
    """What the trial has lost of what went into it."""
    container = path.suffix.removeprefix(".")
    with film.opened() as source, open_film(path) as result:
        wanted = [
            s for s in source.streams if s.index not in fit.left_out and s.index != film.index
        ]
        kept = Counter(_kind(stream) for stream in result.streams)
        found = {}
        for stream in wanted:
            if is_remade(film, stream):
                continue
            kind = _kind(stream)
            if stream.index in fit.converted:
                name = fit.converted[stream.index]
                codec = av.Codec(name, "w").canonical_name if stream.type == "audio" else name
                kind = stream.type, codec, False
            if kept[kind]:
                kept[kind] -= 1
            else:
                found[stream.index] = _sentence(stream, container)
    made = probe(path, Cut())
    if made.matrix != film.matrix:
        found[film.index] = (
            f"{container} does not keep that the film is shown turned; .mkv and .mp4 do"
        )
    if abs(made.rate / film.rate - 1) > RATES:
        found[film.index] = (
            f"{container} does not keep {float(film.rate):.3f} frames a second; .mkv does"
        )
    return found


def _kind(stream: Stream) -> tuple[str, str | None, bool]:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else None
    return stream.type, FAMILIES.get(codec or "", codec), is_cover(stream)


def _sentence(stream: Stream, container: str, reason: str = "") -> str:
    codec = _kind(stream)[1] or getattr(stream, "name", None) or "unknown"
    because = f" ({reason})" if reason else ""
    return f"{container} cannot hold stream {stream.index} ({stream.type}, {codec}){because}"


def _instead(path: Path, film: Film) -> str:
    """Where the streams did fit."""
    for suffix in (".mkv", film.path.suffix):
        if suffix not in ("", path.suffix):
            return f"; {suffix} may"
    return ""
