"""The stretches of a film that are worked on apart, found without decoding anything."""

from collections.abc import Iterator
from dataclasses import dataclass

from bnnup.video.film import Film
from bnnup.video.read import BadPackets, Cut, find_video, jump, read_any

LEAST = 120  # frames after which a span ends at the film's next key frame …
MOST = 300  # … or here, if none comes; encoders put one every 250 frames if nothing is said


@dataclass(frozen=True)
class Span:
    """The frames shown from ``begin`` up to ``end``, in the film's time base; None: no bound.

    Decoding starts at the key frame decoded at ``seek``, the last one before them, so that
    what decoders and filters remember is there; None: where the wanted part begins.
    """

    number: int
    begin: int | None
    end: int | None
    seek: int | None


def plan_spans(film: Film, cut: Cut) -> Iterator[Span]:
    """The wanted part in spans, each as soon as its end has been read.

    They depend on the film alone. What is counted are packets, of which some may hold
    no frame, or not whole ones: spans are bounded by times, not by numbers of frames.
    """
    number, count, begin, seek = 0, 0, None, None
    first = last = None  # decoding times of key frames
    step = film.packet_step
    clock, seekable = -step, True
    with film.opened() as container:
        stream = find_video(container, film.path)
        jump(container, stream, cut)
        for packet in read_any(container, [stream], BadPackets()):
            seekable = seekable and packet.pts is not None
            clock = clock + step if packet.pts is None else packet.pts
            seconds = float(clock * film.time_base - film.begin)
            if cut.is_late(seconds) and seekable:
                break
            if not (cut.is_early(seconds) and seekable):
                is_end = count >= MOST or (count >= LEAST and packet.is_keyframe)
                if is_end and (begin is None or clock > begin):
                    yield Span(number, begin, clock, seek)
                    number, count, begin = number + 1, 0, clock
                    seek = last if seekable and last != first else None
                count += 1
            if packet.is_keyframe:
                last = clock if packet.dts is None else packet.dts
                first = last if first is None else first
    yield Span(number, begin, None, seek)
