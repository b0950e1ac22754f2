"""The main job: a picture in, the same picture larger out."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bnnup.backends.choose import Backend, choose_backend, enlarge, merge
from bnnup.errors import MediaError, ModelNotFoundError
from bnnup.model.file import Model, load_model
from bnnup.model.find import find_model
from bnnup.pictures.metadata import for_size
from bnnup.pictures.picture import Picture, from_pixels
from bnnup.pixels import bicubic, chroma, color
from bnnup.pixels.color import WHITES, Sample, quantize
from bnnup.pixels.tiling import plan_tiles
from bnnup.pixels.transparency import fill_transparent
from bnnup.upscale.choice import AUTO, CLEAN, choose_model

Progress = Callable[[int, int], None]  # input pixels done, input pixels in all

MEMORY = 400 << 20  # bytes beyond the input and output arrays
TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 16)
MARGIN = bicubic.TAPS // 2 + chroma.REACH  # input pixels each way that chroma looks at


def load(
    name: str = AUTO,
    *,
    scale: int,
    tile: int | None = None,
    memory: int = MEMORY,
    threads: int | None = None,
    alpha: str = "network",
    backend: str | None = None,
) -> "Upscaler":
    """An upscaler, ready to use: ``bnnup.load("edsr", scale=4)(picture)``.

    ``name`` is a path to a ``.safetensors`` file, a model's name, or a place on the Hub
    ("owner/repo", "owner/repo/file.safetensors@revision"); "auto" chooses for each picture
    between the networks for clean and for real pictures, as ``choose_model`` says.
    ``tile``, ``memory`` and ``alpha`` are those of ``Upscaler``; ``threads`` and ``backend``
    ("engine" or "torch") those of ``choose_backend``. Raises ModelNotFoundError, HubError,
    WeightsError or BackendError.
    """

    def named(name: str) -> Upscaler:
        model = load_model(find_model(name, scale))
        if model.program.scale != scale:
            raise ModelNotFoundError(f"{name} enlarges ×{model.program.scale}, not ×{scale}")
        ready = choose_backend(model, threads, backend=backend)
        return Upscaler(model, backend=ready, tile=tile, memory=memory, alpha=alpha)

    return AutoUpscaler(named(CLEAN), named) if name == AUTO else named(name)


class Upscaler:
    """A network that enlarges pictures by ``scale``.

    Luma goes through the network, chroma follows it, alpha goes through the network
    or, if ``alpha`` is "bicubic", through bicubic.
    The picture is processed in tiles of ``tile`` input pixels each way, plus the network's
    halo: by default the largest tiles for which everything beyond the input and output
    arrays stays below ``memory`` bytes. The result depends on neither.
    """

    def __init__(
        self,
        model: Model,
        *,
        backend: Backend | None = None,
        tile: int | None = None,
        memory: int = MEMORY,
        alpha: str = "network",
    ) -> None:
        if tile is not None and tile < 1:
            raise ValueError(f"a tile has at least 1 pixel each way, not {tile}")
        self.model = model
        self.scale = model.program.scale
        self.backend = choose_backend(model) if backend is None else backend
        self.tile = tile
        self.memory = memory
        self.alpha = alpha

    @classmethod
    def from_pretrained(cls, name: str, *, scale: int, **options: Any) -> "Upscaler":
        """Does what ``load`` does, under the name that users of the Hub know."""
        return load(name, scale=scale, **options)

    @overload
    def __call__(self, picture: Image.Image, progress: Progress | None = None) -> Image.Image: ...
    @overload
    def __call__(
        self, picture: NDArray[Sample], progress: Progress | None = None
    ) -> NDArray[Sample]: ...

    def __call__(
        self, picture: Image.Image | NDArray[Sample], progress: Progress | None = None
    ) -> Image.Image | NDArray[Sample]:
        """Enlarges a PIL image or an array, and returns the same kind.

        Arrays are uint8, uint16 or float32 in [0, 1], shaped (H, W), (H, W, 3) or
        (H, W, 4), the last channel being alpha. Results are clipped to the range. Images are
        turned upright as their EXIF says, and the result's ``info`` has the metadata.
        """
        if isinstance(picture, Image.Image):
            original = Picture.of(picture)
            suited = self.suited(original)
            enlarged = from_pixels(suited.enlarge(original.pixels, progress))
            enlarged.info.update(for_size(original.info, *enlarged.size))
            return enlarged
        return self.enlarge(picture, progress)

    def suited(self, picture: Picture) -> "Upscaler":
        """What enlarges a picture: this one, whatever it is."""
        return self

    def enlarge(self, pixels: NDArray[Sample], progress: Progress | None = None) -> NDArray[Sample]:
        """Like calling, for arrays alone; (H, W, 2), grey with alpha, is accepted as well."""
        _check(pixels)
        height, width = pixels.shape[:2]
        shape = (height * self.scale, width * self.scale, *pixels.shape[2:])
        result, top = np.empty(shape, pixels.dtype), 0
        for strip in self.strips(pixels, progress):
            result[top : top + len(strip)] = strip
            top += len(strip)
        return result

    def strips(
        self, pixels: NDArray[Sample], progress: Progress | None = None
    ) -> Iterator[NDArray[Sample]]:
        """The result of ``enlarge`` from top to bottom, never whole in memory."""
        _check(pixels)
        height, width = pixels.shape[:2]
        halo = max(self.model.program.halo, MARGIN)
        if pixels.shape[2:] in ((2,), (4,)):
            pixels = fill_transparent(pixels, halo + 1)  # its rim shows a little
        shape: tuple[int, ...] = height * self.scale, width * self.scale, *pixels.shape[2:]
        side = self.tile_side(shape, halo)
        if self.tile is None:  # strips of wide pictures would outgrow the tiles
            row_bytes = shape[1] * self.scale * pixels[0, 0].nbytes  # for a row of the input
            side = min(side, max(self.memory // 2 // row_bytes, TILES[-1]))
        tiles = list(plan_tiles(height, width, side, halo))
        enlarged = self._enlarge_tiles(pixels[tile.outer] for tile in tiles)
        done = 0
        for (top, bottom), row in groupby(tiles, lambda t: (t.core[0].start, t.core[0].stop)):
            strip = np.empty(((bottom - top) * self.scale, *shape[1:]), pixels.dtype)
            for tile in row:
                tile.place(next(enlarged), strip, self.scale, top)
                done += pixels[tile.core].shape[0] * pixels[tile.core].shape[1]
                if progress is not None:
                    progress(done, height * width)
            yield strip

    def enlarge_tile(self, pixels: NDArray[Sample]) -> NDArray[Sample]:
        """The result of ``enlarge`` at once; what is transparent has been filled before."""
        part = np.divide(pixels, np.float32(WHITES[pixels.dtype]), dtype=np.float32)
        return self._enlarge_part(part, pixels.dtype)

    def _enlarge_tiles(self, tiles: Iterable[NDArray[Sample]]) -> Iterator[NDArray[Sample]]:
        """What becomes of tiles, in their order."""
        return map(self.enlarge_tile, tiles)

    def tile_side(self, shape: tuple[int, ...], halo: int) -> int:
        """``tile``, or the largest that ``memory`` allows for a result of this shape.

        MediaError if the smallest one takes more.
        """
        if self.tile is not None:
            return self.tile
        height, width = (length // self.scale for length in shape[:2])
        planes = shape[2] if len(shape) == 3 else 1
        for side in TILES:
            outer = min(height, side + 2 * halo), min(width, side + 2 * halo)
            # Per sample of the result: a plane, its place in the stack, and a temporary.
            samples = outer[0] * outer[1] * self.scale**2 * planes
            needed = self.backend.memory(*outer) + 3 * samples * np.float32().itemsize
            if needed <= self.memory:
                return side
        raise MediaError(
            f"this network takes {needed / 1e6:.0f} MB even for the smallest tile, but "
            f"only {self.memory / 1e6:.0f} MB are allowed",
            hint="memory",
        )

    def _enlarge_part(self, part: NDArray[np.float32], dtype: np.dtype[Sample]) -> NDArray[Sample]:
        if part.ndim == 2:
            return quantize(self.backend.run(part), dtype)
        height, width, samples = part.shape
        result = np.empty((height * self.scale, width * self.scale, samples), dtype)
        if samples == 2:
            result[..., 0] = quantize(self.backend.run(part[..., 0]), dtype)
        else:
            small, threads = color.split(part), self.backend.threads
            luma = self.backend.run(small[0])
            merge(small, luma, result, damaged=self.model.for_damaged, threads=threads)
        if samples != 3:
            result[..., -1] = quantize(self._enlarge_alpha(part[..., -1]), dtype)
        return result

    def _enlarge_alpha(self, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
        """Alpha enlarged, within the range of the pixels around: opaque stays opaque."""
        low, high = (_neighbourhood(alpha, extreme) for extreme in (np.minimum, np.maximum))
        spread = np.ones((self.scale, self.scale), np.float32)
        run = self.backend.run if self.alpha == "network" else partial(enlarge, factor=self.scale)
        return run(alpha).clip(np.kron(low, spread), np.kron(high, spread))


class AutoUpscaler(Upscaler):
    """An upscaler that has a network for each picture; by itself the one for clean pictures.

    ``load`` gives others by their names.
    """

    def __init__(self, clean: Upscaler, load: Callable[[str], Upscaler]) -> None:
        super().__init__(
            clean.model,
            backend=clean.backend,
            tile=clean.tile,
            memory=clean.memory,
            alpha=clean.alpha,
        )
        self._known = {CLEAN: clean}
        self._load = load

    def suited(self, picture: Picture) -> Upscaler:
        """The upscaler for a picture, by what its file lost or by its noise."""
        name = choose_model(picture, self.scale).model
        if name not in self._known:
            self._known[name] = self._load(name)
        return self._known[name]

    def strips(
        self, pixels: NDArray[Sample], progress: Progress | None = None
    ) -> Iterator[NDArray[Sample]]:
        """As ``Upscaler.strips``, by the network that suits the pixels."""
        _check(pixels)
        return self.suited(Picture(pixels)).strips(pixels, progress)


def _check(pixels: NDArray[Any]) -> None:
    """TypeError or ValueError for what is no picture."""
    if pixels.dtype not in WHITES:
        raise TypeError(f"pixels are uint8, uint16 or float32, not {pixels.dtype}")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))):
        raise ValueError(f"pixels are (H, W) or (H, W, 2 to 4), not {pixels.shape}")
    if 0 in pixels.shape:
        raise ValueError(f"a picture without pixels: {pixels.shape}")


def _neighbourhood(plane: NDArray[np.float32], extreme: np.ufunc) -> NDArray[np.float32]:
    """Least or largest of the 3×3 pixels around each one."""
    padded = np.pad(plane, 1, mode="edge")
    rows = extreme.reduce([padded[i : i + plane.shape[0]] for i in range(3)])
    result: NDArray[np.float32] = extreme.reduce(
        [rows[:, i : i + plane.shape[1]] for i in range(3)]
    )
    return result
