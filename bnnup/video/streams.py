"""Which sound and which subtitles of a film go along: by language, or by number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from av.stream import Stream

from bnnup.errors import MediaError
from bnnup.video.film import Film

# ISO 639: the codes of a language with several, which files use side by side.
LANGUAGES = """
ar ara, bg bul, bn ben, ca cat, cs ces cze, cy cym wel, da dan, de deu ger, el ell gre, en eng,
es spa, et est, eu eus baq, fa fas per, fi fin, fr fra fre, ga gle, gl glg, he heb, hi hin, hr hrv,
hu hun, hy hye arm, id ind, is isl ice, it ita, ja jpn, ka kat geo, kk kaz, ko kor, la lat, lt lit,
lv lav, mk mkd mac, ms msa may, my mya bur, nb nob, nl nld dut, nn nno, no nor, pl pol, pt por,
ro ron rum, ru rus, sk slk slo, sl slv, sq sqi alb, sr srp, sv swe, ta tam, te tel, th tha, tr tur,
uk ukr, ur urd, vi vie, zh zho chi cmn
"""
SAME = {code: group.split()[0] for group in LANGUAGES.split(",") for code in group.split()}


@dataclass(frozen=True)
class StreamChoice:
    """What goes along of ``audio`` and ``subtitles``: languages like "de" or "ger", or numbers.

    Numbers count the streams of a kind from 1. None is all of them, an empty tuple none.
    """

    audio: tuple[str, ...] | None = None
    subtitles: tuple[str, ...] | None = None

    def unwanted(self, film: Film) -> set[int]:
        """Numbers of the streams to leave out. MediaError if none is as wanted."""
        with film.opened() as source:
            return {
                *_others("audio", source.streams.audio, self.audio),
                *_others("subtitles", source.streams.subtitles, self.subtitles),
            }


def _others(kind: str, streams: Iterable[Stream], wanted: tuple[str, ...] | None) -> Iterator[int]:
    """The numbers of those that are not wanted."""
    if wanted is None:
        return
    names = {s.index: (str(n), _language(s)) for n, s in enumerate(streams, 1)}
    codes = {_same(each) for each in wanted}
    others = [index for index, own in names.items() if codes.isdisjoint(own)]
    if wanted and names and len(others) == len(names):
        found = ", ".join(" ".join(own) for own in names.values())
        raise MediaError(f"the film has no {kind} {' or '.join(wanted)}; it has {found}")
    yield from others


def _language(stream: Stream) -> str:
    return _same(stream.metadata.get("language", "und"))


def _same(code: str) -> str:
    """One code for all of a language, whatever the region ("pt-BR")."""
    code = code.lower().partition("-")[0]
    return SAME.get(code, code)
