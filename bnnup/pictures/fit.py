"""What a format can hold of a picture; whatever is lost is remarked on, or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import MediaError
from bnnup.pictures import icc
from bnnup.pictures.formats import Encoding, Format
from bnnup.pictures.metadata import NAMES, Info, left_out
from bnnup.pictures.picture import Picture

Color = tuple[int, int, int]  # red, green and blue in 8 bits
ROWS = 256  # worked on at a time: memory


def fit(
    picture: Picture, encoding: Encoding, name: str, background: Color | None = None
) -> Picture:
    """The picture as a format can hold it, with remarks on what of it that cannot be.

    What is transparent is laid on ``background`` where the format knows no transparency.
    MediaError if it cannot hold the pixels; ``name`` stands in it.
    """
    kind, pixels, moving = encoding.kind, picture.pixels, picture.animation
    notes = [note for note in (encoding.note(),) if note]
    if moving is not None and kind.animation is None:
        notes.append(f"only the first of {moving.count} frames")
        moving = None
    if pixels.shape[2:] in ((2,), (4,)) and not kind.alpha:
        pixels = _without_alpha(pixels, background)
    check_kind(pixels, kind, name)
    if kind.bits == 1:
        notes.append(f"{kind.name} holds black and white only: greys become one or the other")
    if pixels.dtype == np.uint16 and 8 < kind.bits < 16 and picture.format != kind.name:
        notes.append(f"{kind.name} holds {kind.bits} of its 16 bits")
    info, remarks = _fitting_info(picture.info, kind, pixels, name)
    said = (*picture.notes, *notes, *remarks)
    return replace(picture, pixels=pixels, info=info, notes=said, animation=moving)


def check_kind(pixels: NDArray[Any], kind: Format, name: str) -> None:
    """MediaError if a format cannot hold pixels of such a kind."""
    channels, instead = pixels.shape[2:], f"write {Path(name).stem}.png instead"
    if channels in ((2,), (4,)) and not kind.alpha:
        raise MediaError(f"{kind.name} cannot hold transparency; {instead}")
    if channels and not kind.color_bits:
        raise MediaError(f"{kind.name} cannot hold colour; {instead}")
    if pixels.dtype == np.uint16 and (kind.color_bits if channels else kind.bits) == 8:
        raise MediaError(f"{kind.name} cannot hold 16 bits; {instead}")


def _without_alpha(pixels: NDArray[Any], background: Color | None) -> NDArray[Any]:
    """Colours alone where nothing is transparent, or on a background; else as it is."""
    white = np.iinfo(pixels.dtype).max
    opaque = bool((pixels[..., -1] == white).all())
    if not opaque and background is None:
        return pixels
    colors = pixels[..., :-1]
    if not opaque:
        behind = np.array(background) * (white // 255)
        if colors.shape[2] == 1 and len(set(background or ())) > 1:
            colors = np.broadcast_to(colors, (*pixels.shape[:2], 3))
        colors = _over(colors, pixels[..., -1:], behind[: colors.shape[2]])
    return np.ascontiguousarray(colors if colors.shape[2] == 3 else colors[..., 0])


def _over(colors: NDArray[Any], alpha: NDArray[Any], behind: NDArray[Any]) -> NDArray[Any]:
    white, result = np.iinfo(colors.dtype).max, np.empty_like(colors)
    for top in range(0, len(colors), ROWS):
        rows = slice(top, top + ROWS)
        over = alpha[rows].astype(np.uint64)
        mixed = colors[rows] * over + behind.astype(np.uint64) * (white - over)
        result[rows] = (mixed + white // 2) // white
    return result


def _fitting_info(
    info: Info, kind: Format, pixels: NDArray[Any], name: str
) -> tuple[Info, list[str]]:
    info = dict(info)
    lost: list[str] = []
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if "color" in info and not _holds(kind, info["color"]):
        _turn_color_into_profile(info, kind, name, grey=channels < 3)
    if "icc_profile" in info:
        _check_profile(info, kind, channels, lost, name)
    for key in [key for key in NAMES if key in info]:
        if key not in kind.keeps and not _kept_elsewhere(info, key, kind):
            lost.append(f"{NAMES[key]}, which {kind.name} has no place for")
            del info[key]
        elif key in kind.limits and len(info[key]) > kind.limits[key]:
            lost.append(f"{NAMES[key]} of {len(info[key]) / 1e3:.0f} kB, too large for {kind.name}")
            del info[key]
    return info, left_out(lost)


def _holds(kind: Format, color: icc.Chunks) -> bool:
    """Whether a format has a place for what colours mean: HEIF for code points alone."""
    return "color" in kind.keeps and (kind.name == "PNG" or b"cICP" in dict(color))


def _kept_elsewhere(info: Info, key: str, kind: Format) -> bool:
    """Whether the density goes into EXIF."""
    return key == "dpi" and "exif" in kind.keeps


def _turn_color_into_profile(info: Info, kind: Format, name: str, *, grey: bool) -> None:
    color = info.pop("color")
    if "icc_profile" in info and not icc.brightness(color):
        return
    try:
        profile = icc.to_profile(color, grey=grey)
    except ValueError as error:
        raise MediaError(
            f"what its colours mean, {error}, has no place in {kind.name}; "
            f"write {Path(name).stem}.png instead"
        ) from error
    if profile is not None:
        info["icc_profile"] = profile


def _check_profile(info: Info, kind: Format, channels: int, lost: list[str], name: str) -> None:
    profile = info["icc_profile"]
    if not icc.fits(profile, channels):
        space = profile[16:20].decode("latin-1").strip() or "nothing known"
        lost.append(f"the colour profile, which is for {space} and not for these colours")
        del info["icc_profile"]
    elif "icc_profile" not in kind.keeps and icc.is_srgb(profile):
        del info["icc_profile"]  # what is without one is taken for sRGB
    elif kind.name == "JXL":
        raise MediaError(
            f"its colour profile has no place in the JPEG XL that is written; "
            f"write {Path(name).stem}.png instead"
        )
