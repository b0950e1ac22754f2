"""Planes of film: meaning of codes, chroma's place, and what need not be computed again."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnnup.model.file import Model
from bnnup.nn import EDSR, export
from bnnup.pixels import bicubic
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.frame_upscaler import FrameUpscaler, changed_areas, rectangles
from bnnup.video.planes import Plane, PlaneFormat, read_pix_fmt


@dataclass
class Bicubic:
    """Stands in for a network: the same bits in every tile, and a count of the pixels seen."""

    scale: int
    pixels: int = 0
    name: str = "bicubic"
    threads: int = 1

    def run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        self.pixels += luma.size
        return bicubic.enlarge(luma, self.scale)

    def memory(self, height: int, width: int) -> int:
        return 0


def make_upscaler(scale: int = 2, tile: int | None = None) -> Upscaler:
    model = Model(*export(EDSR(scale, blocks=1, channels=8).eval(), scale))
    return Upscaler(model, backend=Bicubic(scale), tile=tile)


def random_frame(form: PlaneFormat, height: int, width: int, seed: int = 0) -> list[Plane]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, form.largest + 1, shape, form.dtype) for shape in form.shapes(height, width)
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gray", PlaneFormat(8, None, True)),
        ("gray12le", PlaneFormat(12, None, True)),
        ("yuv420p", PlaneFormat(8, (1, 1), False)),
        ("yuvj422p", PlaneFormat(8, (0, 1), True, "center")),
        ("yuv444p16le", PlaneFormat(16, (0, 0), False)),
        ("yuv411p", PlaneFormat(8, (0, 2), False)),
        ("yuva420p", PlaneFormat(8, (1, 1), False, alpha=True)),
        ("rgb24", None),
        ("yuv420p10be", None),
        ("yuv420p32le", None),
        ("yuv400p", None),
    ],
)
def test_names(name: str, expected: PlaneFormat | None) -> None:
    assert read_pix_fmt(name) == expected


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [True, False])
def test_luma_is_the_picture_paths(bits: int, full: bool) -> None:
    """Codes between black and white become what the picture path makes of the same luma."""
    upscaler = make_upscaler()
    form = PlaneFormat(bits, None, full)
    (codes,) = random_frame(form, 13, 17)
    (enlarged,) = FrameUpscaler(upscaler, form)([codes])
    luma = (codes.astype(np.float32) - np.float32(form.black)) / np.float32(form.span)
    expected = upscaler.backend.run(luma) * np.float32(form.span) + np.float32(form.black)
    expected = np.floor(expected + np.float32(0.5)).clip(0, form.largest)
    np.testing.assert_array_equal(enlarged, expected)
    if full and bits in (8, 16):
        np.testing.assert_array_equal(enlarged, upscaler.enlarge(codes))


def test_codes_beyond_black_and_white_survive() -> None:
    form = PlaneFormat(8, None, full_range=False)
    plane = np.full((4, 4), 250, np.uint8)
    np.testing.assert_array_equal(FrameUpscaler(make_upscaler(), form)([plane])[0], 250)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("subsampling", [(1, 1), (0, 1), (0, 0), (0, 2)])
def test_odd_sides(scale: int, subsampling: tuple[int, int]) -> None:
    form = PlaneFormat(8, subsampling, False)
    enlarged = FrameUpscaler(make_upscaler(scale), form)(random_frame(form, 7, 9))
    assert [plane.shape for plane in enlarged] == form.shapes(7 * scale, 9 * scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("location", "offset"), [("left", -0.25), ("center", 0), ("topleft", -0.25)]
)
def test_chroma_stays_where_it_belongs(scale: int, location: str, offset: float) -> None:
    """A ramp tells where each sample reads: at the same place of the picture as before."""
    form = PlaneFormat(16, (1, 1), False, location)
    ramp = np.tile(np.arange(32, dtype=np.uint16) * 1000, (32, 1))
    _, chroma, _ = FrameUpscaler(make_upscaler(scale), form)(
        [np.zeros((64, 64), np.uint16), ramp, ramp]
    )
    place = (np.arange(32 * scale) + 0.5 + offset) / scale - 0.5 - offset
    inside = slice(3 * scale, -3 * scale)
    np.testing.assert_allclose(chroma[16][inside], 1000 * place[inside], atol=1)


@pytest.mark.parametrize(
    ("location", "offset"), [("left", (0.5, 0)), ("center", (0.5, 0.5)), ("bottomleft", (1, 0))]
)
def test_luma_is_seen_where_chroma_lies(location: str, offset: tuple[float, float]) -> None:
    """A plane that rises evenly tells where it is read."""
    y, x = np.mgrid[:12, :16]
    seen = PlaneFormat(16, (1, 1), False, location).at_chroma((1000 * y + 10 * x).astype(np.uint16))
    rows, columns = (2 * np.mgrid[:6, :8].T + offset).T
    np.testing.assert_allclose(seen[1:-1, 1:-1], (1000 * rows + 10 * columns)[1:-1, 1:-1])
    assert (
        PlaneFormat(8, (1, 1), False, location).at_chroma(np.full((5, 7), 9)).tolist()
        == [[9.0] * 4] * 3
    )


@pytest.mark.parametrize("scale", [2, 3])
def test_chroma_of_films_follows_luma(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours change where luma does; the network, had it been perfect, shows where."""
    y, x = np.mgrid[: 48 * scale, : 64 * scale]
    inside = np.hypot(y - 24 * scale, x - 32 * scale) < 15 * scale + 0.3
    form = PlaneFormat(8, (1, 1), False)
    large = np.where(inside, 180, 60).astype(np.uint8)
    original = np.where(form.at_chroma(large) > 120, 150, 110).astype(np.uint8)

    def small(plane: Plane) -> Plane:
        parts = plane.reshape(len(plane) // scale, scale, -1, scale).mean((1, 3))
        return np.asarray(np.floor(parts + 0.5), np.uint8)

    upscaler = make_upscaler(scale)
    perfect = (large.astype(np.float32) - np.float32(16)) / np.float32(219)
    monkeypatch.setattr(upscaler.backend, "run", lambda luma: perfect)
    frame = [small(plane) for plane in (large, original, original)]
    _, cb, cr = FrameUpscaler(upscaler, form)(frame)
    plain = bicubic.enlarge(frame[1].astype(np.float32), scale, form.shift(scale))
    errors = [np.mean((result - original.astype(float)) ** 2) for result in (cb, plain)]
    assert errors[0] < 0.5 * errors[1]
    np.testing.assert_array_equal(cb, cr)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_rectangles_cover_marks_once(rows: int, columns: int, random: Random) -> None:
    marks = np.array([[random.random() < 0.5 for _ in range(columns)] for _ in range(rows)])
    covered = np.zeros(marks.shape, int)
    for area in rectangles(marks):
        covered[area] += 1
    np.testing.assert_array_equal(covered, marks)


def test_reuse_is_exact_and_counted() -> None:
    upscaler = make_upscaler(tile=96)
    form = PlaneFormat(8, (1, 1), False)
    enlarge = FrameUpscaler(upscaler, form)
    frame = random_frame(form, 300, 400)
    rng = np.random.default_rng(1)
    for step in range(6):
        expected = FrameUpscaler(make_upscaler(), form)(frame)
        for plane, other in zip(enlarge(frame), expected, strict=True):
            np.testing.assert_array_equal(plane, other)
        frame = [plane.copy() for plane in frame]
        for _ in range(step):
            y, x = rng.integers(300), rng.integers(400)
            frame[0][y : y + 5, x : x + 5] += 1
    assert 0 < enlarge.reused < enlarge.pixels == 6 * 300 * 400


def test_repeated_frames_cost_nothing() -> None:
    upscaler = make_upscaler()
    form = PlaneFormat(8, None, False)
    enlarge = FrameUpscaler(upscaler, form)
    (plane,) = random_frame(form, 40, 50)
    for _ in range(3):
        enlarge([plane.copy()])
    assert isinstance(upscaler.backend, Bicubic)
    assert upscaler.backend.pixels == plane.size
    assert enlarge.reused == 2 * plane.size


def test_everything_changed_is_one_area() -> None:
    plane = np.zeros((200, 300), np.uint8)
    assert changed_areas(plane + 1, plane, 34) == [(slice(0, 200), slice(0, 300))]
