"""Uncompressed frames in, larger ones out: film between programs."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from bnnup.errors import has_left
from bnnup.system.stages import ahead
from bnnup.upscale.upscaler import Upscaler
from bnnup.video import y4m
from bnnup.video.frame_upscaler import FrameUpscaler
from bnnup.video.planes import Plane

STOCK = 3  # frames between reading, network and writing


@dataclass
class Tally:
    """What went through: frames, and the share of luma that did not have to be computed.

    ``is_whole`` is false where the reader of the target left before the end.
    """

    frames: int = 0
    reused: float = 0.0
    is_whole: bool = False


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not has_left(error):
            raise


def enlarge_stream(
    upscaler: Upscaler,
    source: y4m.ByteSource,
    target: y4m.ByteSink,
    raw: y4m.StreamFormat | None = None,
) -> Tally:
    """Enlarges a YUV4MPEG2 stream, or ``raw`` frames, until the source ends.

    Raises MediaError for a malformed or cut source. Where the reader of the target has
    gone, nothing more is wanted, and that is no error.
    """
    stream = y4m.read_header(source) if raw is None else raw
    larger = stream.enlarged(upscaler.scale)
    enlarge = FrameUpscaler(upscaler, stream.form)
    tally = Tally()

    def enlarged() -> Generator[list[Plane], None, None]:
        with closing(ahead(y4m.read_frames(source, stream), STOCK)) as frames:
            for planes in frames:
                yield enlarge(planes)

    with closing(ahead(enlarged(), STOCK)) as frames, _until_nobody_reads():
        y4m.write_header(target, larger)
        for planes in frames:
            y4m.write_frame(target, larger, planes)
            tally.frames += 1
        tally.is_whole = True
    tally.reused = enlarge.reused / max(enlarge.pixels, 1)
    return tally
