"""Bicubic, a result and perhaps the original side by side, with scores and crops."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from io import BytesIO
from math import isfinite
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bnnup.errors import MediaError
from bnnup.measure import metrics
from bnnup.pictures.formats import Encoding
from bnnup.pictures.picture import Picture, to_8_bits
from bnnup.pictures.read import read_picture
from bnnup.pictures.write import encode
from bnnup.pixels.resample import resample

Crop = tuple[int, int, int, int]  # left, top, width and height in pixels of the result

CROP = (160, 120)  # width and height of the part that is looked at closely
PANEL = 480  # width of a column of the sheet
GAP, LINE = 16, 26  # pixels around panels, and for a line of text
PAPER, INK, FRAME = (255, 255, 255), (20, 20, 20), (220, 30, 30)
BEHIND = 128  # the grey that transparent pictures are shown on


@dataclass(frozen=True)
class View:
    """One of the pictures, (H, W, 3) uint8, all of one size; scores against the original.

    Where there is none, the result has those ``beside`` bicubic: how much it differs.
    """

    name: str
    pixels: NDArray[np.uint8]
    psnr: float | None = None  # dB
    ssim: float | None = None
    beside: tuple[float, float] | None = None  # PSNR in dB and SSIM

    @property
    def caption(self) -> str:
        if self.beside is not None:
            psnr, ssim = self.beside
            return f"{self.name}  {psnr:.2f} dB  {ssim:.4f} away from bicubic"
        if self.psnr is None or self.ssim is None:
            return self.name
        return f"{self.name}  {self.psnr:.2f} dB  {self.ssim:.4f}"


def load_views(source: Path, result: Path, original: Path | None = None) -> list[View]:
    """Bicubic, the result and, if given, the original; MediaError if they do not match."""
    small, large = (_to_rgb(read_picture(path)) for path in (source, result))
    height, width = large.shape[:2]
    factor = width / small.shape[1]
    if factor <= 1 or abs(height / small.shape[0] / factor - 1) > 0.05:
        raise MediaError(
            f"{result} ({width}×{height}) is not an enlargement of {source} "
            f"({small.shape[1]}×{small.shape[0]})"
        )
    bicubic = np.concatenate(list(resample([small], small.shape, (width, height))))
    views = [View("bicubic", bicubic), View(result.name, large)]
    if original is None:
        border = round(factor)
        if min(height, width) >= metrics.SSIM_WINDOW + 2 * border:
            return [views[0], replace(views[1], beside=metrics.score(large, bicubic, border))]
        return views
    reference = _to_rgb(read_picture(original))
    if reference.shape != large.shape:
        size = f"{reference.shape[1]}×{reference.shape[0]}"
        raise MediaError(f"{original} ({size}) is not as large as {result} ({width}×{height})")
    border = round(factor)
    if min(height, width) < metrics.SSIM_WINDOW + 2 * border:
        raise MediaError(f"{original} is too small to be compared with")
    scored = [
        View(view.name, view.pixels, *metrics.score(view.pixels, reference, border))
        for view in views
    ]
    return [*scored, View("original", reference)]


def to_dict(views: Sequence[View]) -> dict[str, Any]:
    """The scores for JSON: against the original, or how far the result is from bicubic."""
    bicubic, result = views[:2]
    if result.psnr is not None:
        return {"bicubic": _scores(bicubic.psnr, bicubic.ssim)} | {
            "result": _scores(result.psnr, result.ssim)
        }
    return {"from_bicubic": _scores(*(result.beside or (None, None)))}


def _scores(psnr: float | None, ssim: float | None) -> dict[str, Any]:
    """JSON has no infinity: the PSNR of equal pictures is None there, and they are said to be."""
    equal = psnr is not None and not isfinite(psnr)
    return {"psnr": None if equal else psnr, "ssim": ssim, "equal": equal}


def read_crop(text: str) -> Crop:
    """ "10,20,160,120" to (10, 20, 160, 120); ValueError for anything else."""
    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(f"a crop is LEFT,TOP,WIDTH,HEIGHT in pixels of the result, not {text!r}")
    left, top, width, height = (int(number) for number in numbers)
    if not (width and height):
        raise ValueError("a crop has at least one pixel")
    return left, top, width, height


def find_crop(views: Sequence[View]) -> Crop:
    """The part of which bicubic and the result differ the most."""
    bicubic, result = (view.pixels.astype(np.int16).mean(axis=2) for view in views[:2])
    difference = np.abs(bicubic - result)
    height, width = difference.shape
    wide, high = min(CROP[0], width), min(CROP[1], height)
    corners = [
        (left, top)
        for top in range(0, height - high + 1, max(high // 2, 1))
        for left in range(0, width - wide + 1, max(wide // 2, 1))
    ]
    left, top = max(
        corners, key=lambda at: difference[at[1] : at[1] + high, at[0] : at[0] + wide].sum()
    )
    return left, top, wide, high


def draw_sheet(views: Sequence[View], crop: Crop) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: a column per view, of caption, enlarged crop and the whole picture."""
    left, top, width, height = crop
    full_height, full_width = views[0].pixels.shape[:2]
    if left + width > full_width or top + height > full_height:
        raise MediaError(f"the crop reaches beyond the picture of {full_width}×{full_height}")
    zoom = max(PANEL // width, 1)
    close = (width * zoom, height * zoom)
    whole = (PANEL, max(round(full_height * PANEL / full_width), 1))
    column = max(PANEL, close[0])
    sheet_width = GAP + len(views) * (column + GAP)
    sheet_height = LINE + close[1] + whole[1] + 3 * GAP
    sheet = Image.new("RGB", (sheet_width, sheet_height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for number, view in enumerate(views):
        x, y = GAP + number * (column + GAP), GAP
        draw.text((x, y), view.caption, INK, font)
        picture = Image.fromarray(view.pixels)
        part = picture.crop((left, top, left + width, top + height))
        sheet.paste(part.resize(close, Image.Resampling.NEAREST), (x, y := y + LINE))
        sheet.paste(picture.resize(whole, Image.Resampling.LANCZOS), (x, y := y + close[1] + GAP))
        shrink = whole[0] / full_width
        corners = [x + left * shrink, y + top * shrink]
        corners += [corners[0] + width * shrink, corners[1] + height * shrink]
        draw.rectangle(corners, outline=FRAME, width=2)
    return np.asarray(sheet)


def make_page(views: Sequence[View]) -> str:
    """A self-contained HTML page, with a slider between two of the views."""
    template = Template(
        resources.files("bnnup.measure").joinpath("compare.html").read_text("utf-8")
    )
    height, width = views[0].pixels.shape[:2]
    options = [
        f'<option value="{number}">{html.escape(view.caption)}</option>'
        for number, view in enumerate(views)
    ]
    images = [
        f'<img id="view{number}" alt="{html.escape(view.caption)}" src="{_data_url(view.pixels)}">'
        for number, view in enumerate(views)
    ]
    return template.substitute(
        title=html.escape(views[1].name),
        width=width,
        height=height,
        options="".join(options),
        images="\n".join(images),
    )


def _data_url(pixels: NDArray[np.uint8]) -> str:
    file = BytesIO()
    encode([pixels], pixels.shape, {}, Encoding("PNG"), file)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _to_rgb(picture: Picture) -> NDArray[np.uint8]:
    """Any picture as (H, W, 3) uint8; what is transparent, on grey."""
    pixels = to_8_bits(picture.pixels)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    planes = pixels.reshape(*pixels.shape[:2], channels)
    colors = planes[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = planes[..., -1:].astype(np.uint32)
        colors = ((colors * alpha + BEHIND * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colors, (*pixels.shape[:2], 3)))
