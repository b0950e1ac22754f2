"""Animated pictures as films: GIF, APNG and WebP."""

from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageSequence

from bnnup.errors import MediaError, reason
from bnnup.system import paths

FORMATS = ("gif", "apng")  # libav's names
PIX_FMT = "yuv420p"  # what R'G'B' becomes, if nothing is said: every player shows it
DEEP_PIX_FMT = "yuv420p10le"  # of more than 8 bits


def is_webp(path: Path) -> bool:
    """Whether a file is WebP, of which libav reads the first picture at most."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def to_apng(path: Path) -> BytesIO:
    """A WebP as APNG, which has the same pictures and the same times in milliseconds."""
    return BytesIO(_to_apng(path, path.stat().st_mtime))


@lru_cache(maxsize=1)  # films are opened several times
def _to_apng(path: Path, _: float) -> bytes:
    result = BytesIO()
    try:
        with paths.open_binary(path) as file, Image.open(file) as animation:
            times = [_time(picture) for picture in ImageSequence.Iterator(animation)]
            animation.seek(0)
            animation.save(result, "PNG", save_all=True, duration=times, compress_level=1)
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(f"{path} cannot be read: {reason(error)}") from error
    return result.getvalue()


def _time(picture: Image.Image) -> int:
    """Milliseconds, which Pillow knows of a picture when it has been read."""
    picture.load()
    return int(picture.info.get("duration", 0))
