"""What happens to pictures before anybody enlarges them, for training.

The original is reduced, by bicubic or otherwise, and the small picture is damaged:
noise, JPEG once or twice, WebP, or H.264 as in films. Always a fifth of the patches
stays a clean bicubic reduction, which is the first variant of every picture.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bnnup.pixels import bicubic, color

Pixels = NDArray[np.uint8]  # (H, W, 3) R'G'B'
Luma = NDArray[np.float32]  # (H, W) in [0, 1]
Damage = Callable[[Pixels], Luma]

NOISE = 15.0  # largest standard deviation, in 8-bit levels
QUALITY = (25, 98)  # of JPEG and WebP
CRF = (17, 34)  # of x264
GRID = 8  # pixels of a JPEG block
FRAMES = 6  # of a film, one of which is taken
DRIFT = 3  # pixels from frame to frame, at most


def damage(small: Pixels, rng: np.random.Generator) -> Luma:
    """What is left of a small picture after it was saved, sent or filmed."""
    kind = rng.choice(len(KINDS), p=[share for share, _ in KINDS])
    return KINDS[kind][1](small, rng)


def reduce_at_random(original: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    """Reduced by MATLAB's bicubic six times in seven, or else by another filter."""
    choice = rng.random()
    if choice < 0.86:
        return bicubic.reduce(original, scale)
    size = original.shape[1] // scale, original.shape[0] // scale
    image = Image.fromarray(original)
    if choice < 0.965:
        filters = (Image.Resampling.BOX, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)
        return np.asarray(image.resize(size, filters[rng.integers(3)]))
    small = Image.fromarray(bicubic.reduce(original, scale))
    if choice < 0.9825:
        return np.asarray(small.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7))))
    sharpen = ImageFilter.UnsharpMask(radius=1, percent=int(rng.integers(20, 80)), threshold=0)
    return np.asarray(small.filter(sharpen))


def luma_of(pixels: Pixels) -> Luma:
    return color.luma(pixels.astype(np.float32) / np.float32(255))


def add_noise(pixels: Pixels, sigma: float, rng: np.random.Generator, *, grey: bool) -> Pixels:
    """Gaussian noise of a standard deviation in 8-bit levels; grey is the same in all colours."""
    shape = (*pixels.shape[:2], 1 if grey else 3)
    noise = sigma * rng.standard_normal(shape, np.float32)
    noisy: Pixels = np.rint(pixels + noise).clip(0, 255).astype(np.uint8)
    return noisy


def through_jpeg(pixels: Pixels, quality: int, *, subsampling: str = "4:2:0") -> Pixels:
    """Saved as JPEG and read again."""
    return _through(pixels, "JPEG", quality=quality, subsampling=subsampling)


def _through(pixels: Pixels, format: str, **options: Any) -> Pixels:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def through_x264(
    pixels: Pixels, crf: int, shifts: Iterable[tuple[int, int]], shown: int = -1
) -> Luma:
    """A film of the picture, moved by ``shifts`` (down, right); its frame ``shown`` is taken.

    4:2:0 in studio range, as films are; sides are made even, borders replicated.
    """
    import av

    height, width = pixels.shape[:2]
    file = BytesIO()
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = padded.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "x264-params": "threads=1"}
        for down, right in shifts:
            moved = np.roll(padded, (down, right), (0, 1))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")
            output.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU601")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as source:
        frame = list(source.decode(video=0))[shown]
        codes = frame.to_ndarray()[:height, :width]  # the Y' plane comes first
    return (codes.astype(np.float32) - np.float32(16)) / np.float32(219)


def _severity(rng: np.random.Generator, mildness: float) -> float:
    """From 0 to 1, half of the time below 1/2 to the power of ``mildness``."""
    severity: float = rng.random() ** mildness
    return severity


def _quality(rng: np.random.Generator) -> int:
    return round(QUALITY[1] - (QUALITY[1] - QUALITY[0]) * _severity(rng, 1.5))


def _jpeg(pixels: Pixels, rng: np.random.Generator) -> Luma:
    """Once, or one time in five twice, the grid of blocks shifted in between."""
    subsampling = "4:2:0" if rng.random() < 0.7 else "4:4:4"
    if rng.random() < 0.2:
        shift = rng.integers(0, GRID, 2)
        moved = np.roll(pixels, shift, (0, 1))
        moved = through_jpeg(moved, _quality(rng), subsampling=subsampling)
        pixels = np.ascontiguousarray(np.roll(moved, -shift, (0, 1)))
    return luma_of(through_jpeg(pixels, _quality(rng), subsampling=subsampling))


def _webp(pixels: Pixels, rng: np.random.Generator) -> Luma:
    return luma_of(_through(pixels, "WEBP", quality=_quality(rng), method=2))


def _noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return add_noise(pixels, NOISE * _severity(rng, 2), rng, grey=rng.random() < 0.5)


def _noise(pixels: Pixels, rng: np.random.Generator) -> Luma:
    return luma_of(_noisy(pixels, rng))


def _noise_and_jpeg(pixels: Pixels, rng: np.random.Generator) -> Luma:
    return _jpeg(_noisy(pixels, rng), rng)


def film(pixels: Pixels, rng: np.random.Generator) -> Luma:
    """A frame that leans on others, before and behind, or one time in four a key frame.

    Some have grain.
    """
    if rng.random() < 0.3:
        pixels = add_noise(pixels, rng.uniform(0, NOISE / 2), rng, grey=True)
    step = rng.integers(-DRIFT, DRIFT + 1, 2)
    frames, shown = (1, 0) if rng.random() < 0.25 else (FRAMES, int(rng.integers(1, FRAMES)))
    shifts = [tuple(((shown - i) * step).tolist()) for i in range(frames)]
    return through_x264(pixels, int(rng.integers(CRF[0], CRF[1] + 1)), shifts, shown)


def _undamaged(pixels: Pixels, rng: np.random.Generator) -> Luma:
    return luma_of(pixels)


# Shares of what happens to a picture once it is small.
KINDS: tuple[tuple[float, Callable[[Pixels, np.random.Generator], Luma]], ...] = (
    (0.48, _jpeg),
    (0.12, _noise),
    (0.08, _noise_and_jpeg),
    (0.05, _webp),
    (0.20, film),
    (0.07, _undamaged),
)


def _fixed_noise(sigma: float) -> Damage:
    return lambda pixels: luma_of(add_noise(pixels, sigma, np.random.default_rng(0), grey=False))


def _fixed_jpeg(quality: int) -> Damage:
    return lambda pixels: luma_of(through_jpeg(pixels, quality))


def _fixed_film(crf: int) -> Damage:
    return lambda pixels: through_x264(pixels, crf, [(2, 4), (1, 2), (0, 0)])


# What happens to small pictures by what a network is trained for; nothing for other kinds.
DAMAGES: dict[str, Callable[[Pixels, np.random.Generator], Luma]] = {"real": damage, "film": film}

# What validation damages held-out pictures by, on top of a bicubic reduction.
CLEAN_CASE: dict[str, Damage] = {"clean": luma_of}
CASES: dict[str, dict[str, Damage]] = {
    "real": {
        **CLEAN_CASE,
        **{f"jpeg{quality}": _fixed_jpeg(quality) for quality in (95, 85, 70, 50, 30)},
        **{f"noise{sigma}": _fixed_noise(sigma) for sigma in (5, 15)},
        "crf28": _fixed_film(28),
    },
    "film": {**CLEAN_CASE, **{f"crf{crf}": _fixed_film(crf) for crf in (18, 23, 28, 33)}},
}
