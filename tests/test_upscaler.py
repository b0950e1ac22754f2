"""Upscaling arrays and images: same kind back, exact sizes, and tiles that nobody can see."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

import bnnup
from bnnup.errors import BackendError, MediaError, ModelNotFoundError
from bnnup.model.file import Model
from bnnup.model.operations import Bicubic, Convolution, PixelShuffle
from bnnup.model.program import Program
from bnnup.pixels import transparency
from bnnup.upscale.upscaler import Upscaler

SCALES = (2, 3, 4)
DTYPES = (np.uint8, np.uint16, np.float32)


def white(dtype: Any) -> int:
    return np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).random(shape) * white(dtype)
    return values.astype(dtype)


def bicubic_model(scale: int) -> Model:
    """The least network: nothing is added to bicubic."""
    return Model(Program(scale, (Bicubic("base", "luma", scale),)), {})


def repeating_model(scale: int) -> Model:
    """A network that looks at one pixel only: every pixel becomes scale × scale."""
    operations = (Convolution("copy", "luma", scale**2, 1), PixelShuffle("result", "copy", scale))
    tensors = {
        "copy.weight": np.ones((scale**2, 1, 1, 1), np.float32),
        "copy.bias": np.zeros(scale**2, np.float32),
    }
    return Model(Program(scale, operations), tensors)


def bicubic_by_definition(plane: NDArray[Any], scale: int) -> NDArray[np.float64]:
    """Keys' interpolation, a = −0.5, pixel by pixel from the formula, borders replicated."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    def matrix(length: int) -> NDArray[np.float64]:
        weights = np.zeros((length * scale, length))
        for i in range(length * scale):
            centre = (i + 0.5) / scale - 0.5  # pixel edges of both pictures coincide
            for j in range(int(np.floor(centre)) - 2, int(np.floor(centre)) + 4):
                weights[i, min(max(j, 0), length - 1)] += kernel(centre - j)
        return weights

    result: NDArray[np.float64] = matrix(plane.shape[0]) @ plane @ matrix(plane.shape[1]).T
    return result


# Kinds and sizes


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)], ids=["grey", "grey-a", "rgb", "rgba"])
def test_arrays_keep_their_kind(
    models: dict[int, Model], scale: int, dtype: Any, channels: tuple[int, ...]
) -> None:
    pixels = noise(5, 8, *channels, dtype=dtype)
    before = pixels.copy()
    result = Upscaler(models[scale])(pixels)
    assert result.dtype == dtype
    assert result.shape == (5 * scale, 8 * scale, *channels)
    assert result.min() >= 0
    assert result.max() <= white(dtype)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("mode", "result"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("CMYK", "RGB"),
        ("I;16", "I;16"),
    ],
)
def test_images_come_back_as_images(models: dict[int, Model], mode: str, result: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(noise(5, 8, dtype=np.uint16))
    else:
        image = Image.fromarray(noise(5, 8, 3)).convert(mode)
    enlarged = Upscaler(models[2])(image)
    assert isinstance(enlarged, Image.Image)
    assert (enlarged.mode, enlarged.size) == (result, (16, 10))


def test_images_keep_what_still_holds(models: dict[int, Model]) -> None:
    image = Image.fromarray(noise(5, 8, 3)).convert("P")
    image.info |= {"icc_profile": b"profile", "dpi": (300, 300), "transparency": 3}
    enlarged = Upscaler(models[2])(image)
    assert enlarged.mode == "RGBA"
    assert enlarged.info == {"icc_profile": b"profile", "dpi": (300, 300)}


def test_views_and_orders_of_memory_do_not_matter(models: dict[int, Model]) -> None:
    upscaler = Upscaler(models[2])
    pixels = noise(9, 7, 3)
    expected = upscaler(pixels)
    np.testing.assert_array_equal(upscaler(np.asfortranarray(pixels)), expected)
    np.testing.assert_array_equal(upscaler(pixels[::-1, ::-1].copy()[::-1, ::-1]), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint32, np.bool_, np.float16])
def test_other_dtypes_are_refused(models: dict[int, Model], dtype: Any) -> None:
    with pytest.raises(TypeError, match=str(np.dtype(dtype))):
        Upscaler(models[2])(np.zeros((4, 4), dtype))


@pytest.mark.parametrize(
    "shape", [(4,), (4, 4, 1), (4, 4, 5), (1, 4, 4, 3), (0, 4), (4, 0, 3), ()], ids=str
)
def test_other_shapes_are_refused(models: dict[int, Model], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        Upscaler(models[2])(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("tile", [0, -1])
def test_a_tile_has_pixels(models: dict[int, Model], tile: int) -> None:
    with pytest.raises(ValueError, match="tile"):
        Upscaler(models[2], tile=tile)


def test_a_model_of_another_scale_is_refused(model_files: Any) -> None:
    with pytest.raises(ModelNotFoundError, match="enlarges ×3, not ×2"):
        bnnup.load(str(model_files / "tiny-x3.safetensors"), scale=2)


def test_load_finds_a_file(model_files: Any) -> None:
    assert bnnup.load(str(model_files / "tiny-x3.safetensors"), scale=3).scale == 3


# Colour and alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_rgb_stays_grey_and_is_the_grey_result(models: dict[int, Model], dtype: Any) -> None:
    upscaler = Upscaler(models[2])
    grey = noise(40, 50, dtype=dtype)
    result = upscaler(np.repeat(grey[..., None], 3, axis=2))
    expected = upscaler(grey)
    tolerance = 1e-6 if dtype == np.float32 else 0
    for channel in range(3):
        np.testing.assert_allclose(result[..., channel], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("alpha", [0, 1], ids=["transparent", "opaque"])
def test_flat_alpha_stays_flat(
    models: dict[int, Model], dtype: Any, channels: int, alpha: int
) -> None:
    pixels = noise(12, 9, channels, dtype=dtype)
    pixels[..., -1] = alpha * white(dtype)
    assert (Upscaler(models[3])(pixels)[..., -1] == alpha * white(dtype)).all()


def test_alpha_has_no_halo_around_an_edge(models: dict[int, Model]) -> None:
    """What is further than a pixel from an edge keeps its alpha, whatever the network says."""
    pixels = noise(20, 20, 4)
    pixels[..., 3] = 0
    pixels[:, 10:, 3] = 255
    alpha = Upscaler(models[2])(pixels)[..., 3]
    assert (alpha[:, : 2 * 9] == 0).all()
    assert (alpha[:, 2 * 11 :] == 255).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_does_not_change_the_colours(models: dict[int, Model], channels: int) -> None:
    """Unless nothing shows through it: that is given the colour around it."""
    upscaler = Upscaler(models[2])
    pixels = noise(9, 11, channels) | np.uint8(1)
    colors = pixels[..., 0] if channels == 2 else pixels[..., :3]
    result = upscaler(pixels)
    result = result[..., 0] if channels == 2 else result[..., :3]
    np.testing.assert_array_equal(result, upscaler(np.ascontiguousarray(colors)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", [3, 1000])
def test_colours_do_not_bleed_from_transparent_pixels(dtype: Any, tile: int) -> None:
    """White beside transparent black stays white wherever anything of it shows."""
    pixels = np.zeros((20, 20, 4), dtype)
    pixels[5:12, 4:9] = white(dtype)
    before = pixels.copy()
    result = Upscaler(bicubic_model(2), tile=tile)(pixels)
    assert 0 < (result[..., 3] > 0).mean() < 1
    assert (result[..., :3][result[..., 3] > 0] == white(dtype)).all()
    np.testing.assert_array_equal(pixels, before)


def test_invisible_colour_does_not_matter() -> None:
    visible = noise(15, 13, 4, seed=2)
    visible[4:9, 3:11, 3] = 0
    other = visible.copy()
    other[4:9, 3:11, :3] = noise(5, 8, 3, seed=3)
    upscaler = Upscaler(bicubic_model(3))
    np.testing.assert_array_equal(upscaler(visible), upscaler(other))


def test_pieces_of_transparency_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(40, 50, 4)
    pixels[..., 3] *= np.random.default_rng(5).random((40, 50)) > 0.7
    whole = transparency.fill_transparent(pixels, 9)
    monkeypatch.setattr(transparency, "PIECE", 7)
    np.testing.assert_array_equal(transparency.fill_transparent(pixels, 9), whole)
    assert (whole != pixels).any()


def test_alpha_by_bicubic(models: dict[int, Model]) -> None:
    pixels = noise(9, 11, 4) | np.uint8(1)
    result = Upscaler(models[2], alpha="bicubic")(pixels)
    np.testing.assert_array_equal(result[..., 3], Upscaler(bicubic_model(2))(pixels)[..., 3])
    np.testing.assert_array_equal(result[..., :3], Upscaler(models[2])(pixels)[..., :3])


# Against bicubic by its definition


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)], ids=["grey", "grey-a", "rgb", "rgba"])
def test_network_of_nothing_but_bicubic(scale: int, channels: tuple[int, ...]) -> None:
    pixels = noise(11, 14, *channels) | np.uint8(1)  # no alpha of 0, which lets colours be replaced
    planes = np.atleast_3d(pixels).astype(np.float64)
    expected = np.stack(
        [bicubic_by_definition(planes[..., i], scale) for i in range(planes.shape[2])], axis=2
    )
    result = np.atleast_3d(Upscaler(bicubic_model(scale), tile=5)(pixels)).astype(float)
    colors = planes.shape[2] - (channels in ((2,), (4,)))
    difference = result[..., :colors] - expected[..., :colors].clip(0, 255)
    # Half a level of rounding; a whole one where merging colours rounds the other way.
    assert np.abs(difference).max() <= 0.51


@pytest.mark.parametrize("scale", SCALES)
def test_no_shift(scale: int) -> None:
    """A ramp stays where it is: the centre of a pixel is the centre of its enlargement."""
    columns = np.arange(5, 25, dtype=np.float32) / np.float32(40)
    result = Upscaler(bicubic_model(scale))(np.tile(columns, (20, 1)))
    centres = (np.arange(20 * scale) + 0.5) / scale - 0.5
    inner = slice(3 * scale, -3 * scale)
    np.testing.assert_allclose(result[7, inner], ((centres + 5) / 40)[inner], atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_level_survives(dtype: Any) -> None:
    """Into float, through a network that copies, and back: not one level is off."""
    levels = np.linspace(0, white(dtype), 65536).astype(dtype).reshape(256, 256)
    result = Upscaler(repeating_model(2))(levels)
    expected = levels.repeat(2, 0).repeat(2, 1)
    if dtype == np.float32:
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_in_a_network_is_black_on_every_machine(dtype: Any) -> None:
    """inf − inf: finite weights do not make finite pictures."""
    program = Program(
        2,
        (
            Convolution("huge", "luma", 2, 1),
            Convolution("huger", "huge", 2, 1),
            Convolution("copy", "huger", 4, 1),
            PixelShuffle("result", "copy", 2),
        ),
    )
    tensors = {k: np.full(s.shape, 3e38, np.float32) for k, s in program.tensors().items()}
    tensors["copy.weight"][:, 1] *= -1
    result = Upscaler(Model(program, tensors))(np.full((3, 3), white(dtype), dtype))
    np.testing.assert_array_equal(result, np.zeros((6, 6), dtype))


# Tiles


TILES = (1, 7, 16)


def sizes(tile: int) -> list[tuple[int, int]]:
    """Around one and two tiles, thin ones, and primes."""
    lengths = [tile - 1, tile, tile + 1, 2 * tile + 1]
    around = [(length, tile + 1) for length in lengths if length]
    primes = (5, 3) if tile == 1 else (13, 11)
    return sorted({(1, 1), (1, 2 * tile + 1), (2 * tile + 1, 1), primes, *around})


CASES = [pytest.param(t, s, id=f"tile{t}-{s[0]}x{s[1]}") for t in TILES for s in sizes(t)]


@pytest.mark.parametrize(("tile", "size"), CASES)
@pytest.mark.parametrize("scale", SCALES)
def test_tiles_do_not_show(
    models: dict[int, Model], tile: int, size: tuple[int, int], scale: int
) -> None:
    pixels = noise(*size, 4, dtype=np.float32)
    whole = Upscaler(models[scale], tile=1000)(pixels)
    np.testing.assert_array_equal(Upscaler(models[scale], tile=tile)(pixels), whole)


@pytest.mark.parametrize("tile", [1, 2, 4])
def test_tiles_do_not_show_where_the_network_looks_nowhere(tile: int) -> None:
    """Chroma and alpha look further than such a network does."""
    pixels = noise(7, 9, 4, dtype=np.float32)
    whole = Upscaler(repeating_model(2), tile=1000)(pixels)
    np.testing.assert_array_equal(Upscaler(repeating_model(2), tile=tile)(pixels), whole)


@pytest.mark.parametrize("tile", [None, 7])
def test_progress_reaches_the_total(models: dict[int, Model], tile: int | None) -> None:
    calls: list[tuple[int, int]] = []
    Upscaler(models[2], tile=tile)(noise(23, 31, 3), lambda *call: calls.append(call))
    assert {total for _, total in calls} == {23 * 31}
    done = [done for done, _ in calls]
    assert done == sorted(set(done))
    assert done[-1] == 23 * 31


def test_the_backend_can_be_chosen(model_files: Path) -> None:
    """Torch sums in float64: the engine's floats may round otherwise, by a hair."""
    pytest.importorskip("torch", reason="torch is not installed")
    luma = np.random.default_rng(1).random((20, 30), np.float32)
    path = str(model_files / "tiny-x2.safetensors")
    engine, torch = (bnnup.load(path, scale=2, backend=name) for name in ("engine", "torch"))
    assert engine.backend.name.startswith("engine, ")
    assert torch.backend.name in ("torch, cpu", "torch, cuda")
    np.testing.assert_allclose(engine.enlarge(luma), torch.enlarge(luma), atol=1e-5)


def test_an_unknown_backend(model_files: Path) -> None:
    with pytest.raises(BackendError, match="known: engine, torch"):
        bnnup.load(str(model_files / "tiny-x2.safetensors"), scale=2, backend="abacus")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(models: dict[int, Model], orientation: int) -> None:
    """As Pillow turns them, with the tag gone, and other tags kept."""
    exif = Image.Exif()
    exif[274], exif[271] = orientation, "Zeiss"
    file = BytesIO()
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8))
    stored.save(file, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(file))
    upscaler = Upscaler(models[2])
    enlarged = upscaler(Image.open(file))
    np.testing.assert_array_equal(np.asarray(enlarged), upscaler(np.asarray(upright)))
    assert enlarged.getexif().get(274, 1) == 1
    assert enlarged.getexif()[271] == "Zeiss"


def test_memory_that_is_allowed_is_not_exceeded(models: dict[int, Model]) -> None:
    upscaler = Upscaler(models[2], memory=1000)
    with pytest.raises(MediaError, match=r"even for the smallest tile.* allowed") as refused:
        upscaler(np.zeros((40, 40), np.uint8))
    assert refused.value.hint == "memory"
