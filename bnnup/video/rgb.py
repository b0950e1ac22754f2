"""Enlarged frames of Y'CbCr as pictures have them: R'G'B' or grey, in full range, upright."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bnnup.errors import MediaError
from bnnup.video.film import FULL_RANGE, UNKNOWN, Colors, Film
from bnnup.video.frames import DEEP_WHITE, filters_for, from_planes, mapped, to_planes
from bnnup.video.planes import PlaneFormat

# libav's matrices, by its numbers and as its scaler calls them.
MATRICES = {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
EXACT = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
RGB = 0  # libav's AVCOL_SPC_RGB


class ToRgb:
    """Makes pictures of a film's enlarged frames, in one of libav's formats, like rgb24.

    Pixels turn as players turn the film. MediaError if its colours are not known.
    """

    def __init__(self, film: Film, pix_fmt: str) -> None:
        self._film = film
        self._pix_fmt = pix_fmt
        self._matrix = matrix_of(film)
        self._graph: Graph | None = None
        self._codes = _codes(film.form, pix_fmt)
        self._alpha = _codes(replace(film.form, full_range=True), pix_fmt)

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        form, colors = self._film.form, self._film.colors
        if form.subsampling is None and self._codes is not None:
            frame = from_planes([self._codes[to_planes(frame, form)[0]]], self._pix_fmt)
        graph = self._graph = self._graph or filters_for(
            frame, *self._conversion(), *_turn(self._film.matrix)
        )
        frame.pts = 0  # frames are counted when they are encoded
        graph.vpush(frame)
        picture = graph.vpull()
        if form.subsampling is not None and self._codes is not None:
            picture = mapped(picture, self._codes, self._alpha)
        picture.color_primaries, picture.color_trc = colors.primaries, colors.transfer
        return picture

    def _conversion(self) -> Iterator[tuple[str, str]]:
        """Filters and their options."""
        form = self._film.form
        if form.subsampling is None:
            return
        ranges = f"in_range={'pc' if form.full_range else 'tv'}:out_range=pc"
        colors = f"in_color_matrix={self._matrix}:in_chroma_loc={form.location}"
        yield "scale", f"{ranges}:{colors}:{EXACT}"
        yield "format", self._pix_fmt


def _codes(form: PlaneFormat, pix_fmt: str) -> NDArray[Any] | None:
    """What codes have to become: of grey, which libav's scaler leaves in its range, and of more
    than 8 bits, which it makes too dark. Else None."""
    deep = pix_fmt.endswith(("le", "be"))
    dtype = np.dtype(f"{'>' if pix_fmt.endswith('be') else '<'}u2" if deep else "u1")
    largest = np.iinfo(dtype).max
    if form.subsampling is None:
        codes = (np.arange(form.largest + 1) - form.black) / form.span
    elif deep:
        white = form.largest << 16 - form.bits if form.full_range else DEEP_WHITE
        codes = np.arange(largest + 1) / white
    else:
        return None
    found: NDArray[Any] = np.rint(codes.clip(0, 1) * largest).astype(dtype)
    return found


def rgb_colors(colors: Colors) -> Colors:
    """What R'G'B' says of its colours, of what Y'CbCr says."""
    return Colors(RGB, colors.primaries, colors.transfer, FULL_RANGE, None)


def matrix_of(film: Film) -> str:
    """How Y'CbCr was made of R'G'B': what the film says, or what players take for granted."""
    number = film.colors.meant(film.width, film.height).space
    if number == UNKNOWN:
        return MATRICES[1]
    if number not in MATRICES and film.form.subsampling is not None:
        raise MediaError(
            f"nothing here makes R'G'B' by the film's matrix (number {number} of ITU-T H.273); "
            "choose a film as the output"
        )
    return MATRICES.get(number, "")


def _turn(matrix: tuple[int, ...] | None) -> Iterator[tuple[str, str]]:
    """Filters that show pictures as libav's display matrix says: in quarter turns, and mirrored."""
    if matrix is None:
        return
    across, down = matrix[0], matrix[4]
    if not across:
        yield "transpose", "cclock_flip"  # rows become columns
        across, down = matrix[3], matrix[1]
    if across < 0:
        yield "hflip", ""
    if down < 0:
        yield "vflip", ""
