"""How much memory a film takes on its way."""

from bnnup.errors import MediaError
from bnnup.system.memory import available
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.encoding import FilmEncoding
from bnnup.video.film import Film

SMALL, LARGE = 30, 10  # frames at once: in the decoder and behind it, and before the encoder
FLOATS = 32  # bytes for each of a small luma's pixels in which chroma is enlarged


def estimate(film: Film, encoding: FilmEncoding, scale: int, memory: int) -> int:
    """Bytes for frames, the network, which works in ``memory``, and the encoder."""
    shapes = film.form.shapes(film.height, film.width)
    small = sum(rows * columns for rows, columns in shapes) * film.form.dtype.itemsize
    area = encoding.width * encoding.height
    codec = encoding.codec
    encoder = codec.base * 1_000_000 + round(area * codec.memory * film.form.dtype.itemsize)
    frames = SMALL * small + LARGE * max(small * scale**2, area * small // film.area)
    return frames + FLOATS * film.area + memory + encoder


def check_memory(film: Film, encoding: FilmEncoding, upscaler: Upscaler) -> None:
    """MediaError if a film takes more memory than there is, or than the network may take."""
    shape = upscaler.scale * film.height, upscaler.scale * film.width
    upscaler.tile_side(shape, upscaler.model.program.halo)
    needed = estimate(film, encoding, upscaler.scale, upscaler.memory)
    free = available()
    if needed > free:
        size, encoder = f"{encoding.width}×{encoding.height}", encoding.codec.encoder
        raise MediaError(
            f"frames of {size}, the network and {encoder} "
            f"need about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free",
            hint="frames",
        )
