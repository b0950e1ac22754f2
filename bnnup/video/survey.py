"""What all key frames of a film tell, before any work."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise, takewhile

import av
from av.packet import Packet
from av.video.stream import VideoStream

from bnnup.video.claims import Claims
from bnnup.video.film import Film, change_error, find_change, shape_of
from bnnup.video.read import (
    BadPackets,
    Crop,
    Cut,
    cut_of,
    find_decoder,
    find_video,
    jump,
    planar,
    read_any,
)


@dataclass(frozen=True)
class Survey:
    """``is_even``: all frames are shown for equally long. ``claims`` are those of any frame."""

    is_even: bool
    claims: Claims


def survey(film: Film, cut: Cut) -> Survey:
    """Looks at every key frame of the wanted part.

    MediaError says at which moment the film is no longer what its first frame told.
    """
    times: list[int] = []
    ends: dict[int, int] = {}  # of what comes before key frames in the file, by their times
    end = 0
    claims, crop = film.claims, Crop(film.claims.crop)
    with film.opened() as container:
        stream = find_video(container, film.path, threads=False)
        cut = cut_of(container, cut)
        jump(container, stream, cut)
        stream.codec_context.skip_frame = "NONKEY"
        decoder = find_decoder(stream)
        packets = takewhile(
            lambda packet: packet.pts is None or not cut.is_over(_seconds(film, packet.pts)),
            read_any(container, [stream], BadPackets()),
        )
        for packet in chain(packets, [None]):
            if packet is not None and packet.pts is not None:
                if not cut.contains(_seconds(film, packet.pts)):
                    continue
                if packet.is_keyframe:
                    ends[packet.pts] = end
                times.append(packet.pts)
                end = max(end, packet.pts + film.packet_step)
            if decoder is not stream and packet is not None and not packet.is_keyframe:
                continue
            try:
                frames = decoder.decode(packet)
            except av.FFmpegError:  # which is counted when the film is read in earnest
                continue
            if packet is not None and packet.is_keyframe:
                _check_shape(film, stream, packet, ends)
            for frame in frames:
                pts = frame.pts or 0
                claims = claims.seen_in(frame)
                frame = crop(planar(frame, cut, seconds=_seconds(film, pts)))
                if what := find_change(film, frame):
                    again = _seconds(film, ends.get(pts, pts))
                    raise change_error(what, _seconds(film, pts), again)
    steps = (after - before for before, after in pairwise(sorted(times)))
    usual = film.packet_step
    is_even = all(abs(step - usual) < max(usual / 2, 1) for step in steps)
    return Survey(is_even, claims)


def _check_shape(
    film: Film, stream: VideoStream, packet: Packet[VideoStream], ends: dict[int, int]
) -> None:
    """MediaError if pixels have changed their shape."""
    pts = packet.pts
    if pts is not None and shape_of(stream) not in (None, film.aspect):
        again = _seconds(film, ends.get(pts, pts))
        raise change_error("shape of pixels", _seconds(film, pts), again)


def _seconds(film: Film, pts: int) -> float:
    """A moment of the film."""
    return float(pts * film.time_base - film.begin)
