"""Picture files: every mode, upright, with their metadata; broken ones are one clear error."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from bnnup.errors import MediaError
from bnnup.pictures.formats import Encoding, format_of
from bnnup.pictures.picture import Picture, from_pixels, to_pixels
from bnnup.pictures.read import read_picture
from bnnup.pictures.write import check_fits, write_picture
from bnnup.system.files import check_writable

ORIENTATION, MAKER = 0x0112, 0x010F
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# What a camera does to an upright scene so that turning by each orientation mends it.
STORED = {
    1: lambda scene: scene,
    2: lambda scene: scene[:, ::-1],
    3: lambda scene: scene[::-1, ::-1],
    4: lambda scene: scene[::-1],
    5: lambda scene: scene.swapaxes(0, 1),
    6: lambda scene: np.rot90(scene),
    7: lambda scene: scene[::-1, ::-1].swapaxes(0, 1),
    8: lambda scene: np.rot90(scene, -1),
}


def scene(*shape: int, dtype: type = np.uint8, seed: int = 0) -> NDArray[Any]:
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype, endpoint=True)


def exif(**tags: Any) -> Image.Exif:
    made = Image.Exif()
    for name, value in tags.items():
        made[{"orientation": ORIENTATION, "maker": MAKER}[name]] = value
    return made


# Metadata


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied_once(tmp_path: Path, ending: str, orientation: int) -> None:
    upright = np.kron(scene(2, 3, 3), np.ones((16, 16, 1), np.uint8))  # blocks survive JPEG
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = tmp_path / f"in.{ending}"
    options: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    stored.save(path, exif=exif(orientation=orientation), **options)

    picture = read_picture(path)
    assert picture.pixels.shape == upright.shape
    tolerance = 40 if ending == "jpg" else 0
    assert np.abs(picture.pixels.astype(int) - upright).mean() <= tolerance / 4

    for again in "once", "twice":
        target = tmp_path / f"{again}.{ending}"
        write_picture(picture, target)
        with Image.open(target) as image:
            assert image.getexif().get(ORIENTATION, 1) == 1
        picture = read_picture(target)
        assert picture.pixels.shape == upright.shape


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_other_exif_tags_stay(tmp_path: Path, ending: str, orientation: int) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    tags = exif(orientation=orientation, maker="Voigtländer & Sohn"[:5])
    Image.fromarray(scene(4, 5, 3)).save(source, exif=tags)
    write_picture(read_picture(source), target)
    with Image.open(target) as image:
        assert image.getexif()[MAKER] == "Voigt"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_colour_profile_stays(tmp_path: Path, ending: str) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    Image.fromarray(scene(4, 5, 3)).save(source, icc_profile=SRGB)
    write_picture(read_picture(source), target)
    with Image.open(target) as image:
        assert image.info["icc_profile"] == SRGB


def test_profile_of_inks_does_not_describe_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 3), (255, 0, 0, 0)).save(tmp_path / "in.jpg", icc_profile=SRGB)
    picture = read_picture(tmp_path / "in.jpg")
    assert picture.pixels.shape == (3, 4, 3)
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp"])
def test_density_stays(tmp_path: Path, ending: str) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    Image.fromarray(scene(4, 5, 3)).save(source, dpi=(300, 300))
    write_picture(read_picture(source), target)
    with Image.open(target) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_metadata_goes_along_to_another_format(tmp_path: Path) -> None:
    tags = exif(orientation=8, maker="Zeiss")
    image = Image.fromarray(scene(4, 5, 3))
    image.save(tmp_path / "in.jpg", exif=tags, icc_profile=SRGB, dpi=(72, 72))
    for ending in "png", "webp", "tif":
        target = tmp_path / f"out.{ending}"
        write_picture(read_picture(tmp_path / "in.jpg"), target)
        with Image.open(target) as written:
            assert written.info["icc_profile"] == SRGB
            assert written.getexif()[MAKER] == "Zeiss"
            assert written.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize("garbage", [b"Exif\0\0XX*\0", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_garbled_exif_costs_the_exif_at_most(tmp_path: Path, garbage: bytes) -> None:
    source = tmp_path / "in.jpg"
    Image.fromarray(scene(4, 5, 3)).save(source, exif=garbage)
    picture = read_picture(source)
    assert picture.pixels.shape == (4, 5, 3)
    write_picture(picture, tmp_path / "out.jpg")


def test_orientation_holds_where_other_tags_are_garbled(tmp_path: Path) -> None:
    """Pillow reads this EXIF, but cannot write it again: the maker is a number as text."""
    tags = exif(orientation=6, maker="Zeiss").tobytes()
    ascii_entry = tags.index(b"\x01\x0f\x00\x02")
    garbled = bytearray(tags)
    garbled[ascii_entry + 1] = 0x1A  # now the horizontal resolution, which is no text
    Image.fromarray(scene(4, 6, 3)).save(tmp_path / "in.jpg", exif=bytes(garbled))
    assert read_picture(tmp_path / "in.jpg").pixels.shape == (6, 4, 3)


@pytest.mark.parametrize("density", [(0, 0), (-1, -1), (float("nan"), 72), (1e9, 1e9)], ids=str)
def test_senseless_density_is_dropped(
    tmp_path: Path, density: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(scene(4, 5, 3)).save(path)
    original = Image.open

    def with_density(path: Path) -> Image.Image:
        image = original(path)
        image.load()
        image.info["dpi"] = density
        return image

    monkeypatch.setattr(Image, "open", with_density)
    assert "dpi" not in read_picture(path).info


# How pictures are written


def test_jpeg_is_written_with_full_chroma_at_quality_95(tmp_path: Path) -> None:
    write_picture(Picture(scene(32, 32, 3)), tmp_path / "out.jpg")
    reference = BytesIO()
    Image.fromarray(scene(32, 32, 3)).save(reference, "JPEG", quality=95)
    with Image.open(tmp_path / "out.jpg") as image, Image.open(reference) as expected:
        assert isinstance(image, JpegImageFile)
        assert isinstance(expected, JpegImageFile)
        sampling = [(horizontal, vertical) for _, horizontal, vertical, _ in image.layer]
        assert sampling == [(1, 1)] * 3
        assert image.quantization == expected.quantization


@pytest.mark.parametrize(
    ("ending", "shape", "dtype"),
    [
        ("png", (5, 4), np.uint8),
        ("png", (5, 4, 2), np.uint8),
        ("png", (5, 4, 3), np.uint8),
        ("png", (5, 4, 4), np.uint8),
        ("png", (5, 4), np.uint16),
        ("PNG", (1, 1, 3), np.uint8),
        ("png", (70, 4, 2), np.uint16),
        ("png", (5, 4, 3), np.uint16),
        ("png", (65, 4, 4), np.uint16),
        ("tif", (5, 4), np.uint16),
        ("tif", (64, 4, 3), np.uint16),
        ("tif", (130, 4, 4), np.uint16),
        ("tiff", (5, 4, 4), np.uint8),
        ("bmp", (5, 4, 3), np.uint8),
        ("ppm", (5, 4, 3), np.uint8),
        ("jp2", (5, 4), np.uint16),
        ("tga", (5, 4, 4), np.uint8),
        ("dds", (5, 4, 4), np.uint8),
        ("qoi", (5, 4, 4), np.uint8),
        ("sgi", (5, 4, 4), np.uint8),
    ],
)
def test_lossless_formats_hold_every_value(
    tmp_path: Path, ending: str, shape: tuple[int, ...], dtype: type
) -> None:
    pixels = scene(*shape, dtype=dtype)
    path = tmp_path / f"画像 ü {shape}.{ending}"
    fits(Picture(pixels), path.name, 1)
    write_picture(Picture(pixels), path)
    back = read_picture(path).pixels
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, pixels)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ["webp", "gif", "avif", "jpg", "bmp", "tga"])
def test_sixteen_bits_are_not_cut_to_eight(tmp_path: Path, ending: str) -> None:
    """Pillow would clip them to 255 and write a white picture."""
    path = tmp_path / f"out.{ending}"
    with pytest.raises(MediaError, match=r"16 bits; write out\.png"):
        write_picture(Picture(scene(4, 5, dtype=np.uint16)), path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["jpg", "bmp", "ppm", "pcx"])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_not_lost(tmp_path: Path, ending: str, channels: int) -> None:
    with pytest.raises(MediaError, match=r"transparency; write out\.png"):
        write_picture(Picture(scene(4, 5, channels)), tmp_path / f"out.{ending}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "gif", "tga", "jp2"])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_written(tmp_path: Path, ending: str, channels: int) -> None:
    pixels = np.full((8, 8, channels), 255, np.uint8)
    pixels[:4, :, -1] = 0
    write_picture(Picture(pixels), tmp_path / f"out.{ending}")
    np.testing.assert_array_equal(
        read_picture(tmp_path / f"out.{ending}").pixels[..., -1], pixels[..., -1]
    )


def fits(picture: Picture, name: str, scale: int) -> None:
    """check_fits for a picture enlarged into a file."""
    height, width = (scale * length for length in picture.pixels.shape[:2])
    check_fits(picture, (width, height), Encoding(format_of(Path(name))), name)


def test_results_too_large_for_a_format_are_known_beforehand() -> None:
    wide = Picture(np.zeros((1, 5000, 3), np.uint8))
    fits(wide, "out.webp", 3)
    with pytest.raises(MediaError, match=r"20000×4"):  # WebP ends at 16383
        fits(wide, "out.webp", 4)
    fits(wide, "out.png", 4)


def test_what_a_format_cannot_hold_is_known_beforehand() -> None:
    with pytest.raises(MediaError, match="transparency"):
        fits(Picture(scene(4, 5, 4)), "out.jpg", 2)
    with pytest.raises(MediaError, match="16 bits"):
        fits(Picture(scene(4, 5, dtype=np.uint16)), "out.jpg", 2)
    with pytest.raises(MediaError, match="cannot hold 10×8"):
        fits(Picture(scene(4, 5, 3), {"dpi": (float("nan"),) * 2}), "out.png", 2)


# Modes


def stripes(mode: str) -> Image.Image:
    """A black column beside a white one."""
    image = Image.new("L", (2, 2))
    image.putdata([0, 255, 0, 255])
    with_alpha = {"RGBa": "RGBA", "La": "LA"}  # premultiplied modes are reached from these only
    return image.convert(with_alpha.get(mode, mode)).convert(mode)


def in_two_colors() -> Image.Image:
    """Of palette type: a red column beside a blue one."""
    image = stripes("L").point([0] * 128 + [1] * 128, "L")
    image.putpalette([255, 0, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize(
    ("mode", "channels"),
    [
        ("1", 1),
        ("L", 1),
        ("LA", 2),
        ("La", 2),
        ("P", 1),  # its palette is grey
        ("PA", 4),
        ("RGB", 3),
        ("RGBX", 3),
        ("RGBA", 4),
        ("RGBa", 4),
        ("CMYK", 3),
        ("YCbCr", 3),
        ("HSV", 3),
    ],
)
def test_every_mode_becomes_grey_or_rgb(mode: str, channels: int) -> None:
    pixels = to_pixels(stripes(mode))
    assert pixels.dtype == np.uint8
    assert pixels.shape == ((2, 2) if channels == 1 else (2, 2, channels))
    colors = np.atleast_3d(pixels)
    colors = colors[..., : channels - 1] if channels in (2, 4) else colors
    np.testing.assert_allclose(colors[:, 0], 0, atol=1)
    np.testing.assert_allclose(colors[:, 1], 255, atol=1)
    if channels in (2, 4):
        assert (pixels[..., -1] == 255).all()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_sixteen_bits_of_either_byte_order(mode: str) -> None:
    image = Image.frombytes(mode, (2, 1), b"\x12\x34\xff\xfe")
    expected = [[0x1234, 0xFFFE]] if mode == "I;16B" else [[0x3412, 0xFEFF]]
    pixels = to_pixels(image)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(("mode", "value"), [("I", 7), ("F", 1.5), ("F", float("nan"))])
def test_values_without_a_range_are_one_clear_error(
    tmp_path: Path, mode: str, value: float
) -> None:
    path = tmp_path / "in.tif"
    Image.new(mode, (3, 2), value).save(path)
    with pytest.raises(MediaError, match=r"in\.tif.*16 bit"):
        read_picture(path)


@pytest.mark.parametrize(
    ("image", "key", "shape", "alpha"),
    [
        (stripes("1"), 0, (2, 2, 2), [0, 255]),
        (stripes("L"), 255, (2, 2, 2), [255, 0]),
        (stripes("RGB"), (0, 0, 0), (2, 2, 4), [0, 255]),
        (stripes("P"), bytes([0, *range(1, 256)]), (2, 2, 2), [0, 255]),
        (stripes("P"), 0, (2, 2, 2), [0, 255]),
        (in_two_colors(), bytes([0, 255]), (2, 2, 4), [0, 255]),
        (in_two_colors(), 0, (2, 2, 4), [0, 255]),
    ],
    ids=["1-bit", "grey", "rgb", "greys", "greys-index", "palette-alphas", "palette-index"],
)
def test_transparent_colour_becomes_alpha(
    tmp_path: Path, image: Image.Image, key: Any, shape: tuple[int, ...], alpha: list[int]
) -> None:
    path = tmp_path / "in.png"
    image.save(path, transparency=key)
    pixels = read_picture(path).pixels
    assert pixels.shape == shape
    np.testing.assert_array_equal(pixels[..., -1], [alpha, alpha])


@pytest.mark.parametrize(
    ("shape", "dtype", "mode"),
    [
        ((2, 3), np.uint8, "L"),
        ((2, 3, 2), np.uint8, "LA"),
        ((2, 3, 3), np.uint8, "RGB"),
        ((2, 3, 4), np.uint8, "RGBA"),
        ((2, 3), np.uint16, "I;16"),
    ],
)
def test_pixels_to_image_and_back(shape: tuple[int, ...], dtype: type, mode: str) -> None:
    pixels = scene(*shape, dtype=dtype)
    image = from_pixels(pixels)
    assert (image.mode, image.size) == (mode, (3, 2))
    np.testing.assert_array_equal(to_pixels(image), pixels)


# What is no picture, and what is no place for one


def encoded(format_name: str) -> bytes:
    file = BytesIO()
    Image.fromarray(scene(64, 64, 3)).save(file, format_name)
    return file.getvalue()


JPEG, PNG = encoded("JPEG"), encoded("PNG")
BROKEN = {
    "empty.png": b"",
    "text.jpg": b"hello\n" * 20,
    "html.webp": b"<!doctype html><title>404</title>",
    "half.png": PNG[: len(PNG) // 2],
    "half.jpg": JPEG[: len(JPEG) // 2],
    "half.webp": encoded("WEBP")[:500],
    "half.avif": encoded("AVIF")[:500],
    "half.tif": encoded("TIFF")[:300],
    "half.gif": encoded("GIF")[:1000],
    "header.png": PNG[:33],
    "header.jpg": JPEG[:4],
    "garbled.png": PNG[:60] + bytes(200) + PNG[260:],
}


@pytest.mark.parametrize(("name", "content"), BROKEN.items(), ids=BROKEN)
def test_broken_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        read_picture(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "DDS"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # of tags that make no sense
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_bytes_are_read_or_one_clear_error(tmp_path: Path, format_name: str) -> None:
    rng = np.random.default_rng(1)
    sound = BytesIO()
    image = Image.fromarray(scene(12, 9, 3))
    image.save(sound, format_name, exif=exif(orientation=6, maker="Zeiss"), dpi=(72, 72))
    path = tmp_path / "in.bin"
    for _ in range(150):
        damaged = bytearray(sound.getvalue())
        for position in rng.integers(0, min(len(damaged), 600), 3):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            picture = read_picture(path)
        except MediaError as error:
            assert str(path) in str(error)
        else:
            assert picture.pixels.dtype in (np.uint8, np.uint16)


def test_misnamed_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    path.write_bytes(PNG)
    np.testing.assert_array_equal(read_picture(path).pixels, scene(64, 64, 3))


def test_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(PNG)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(MediaError, match="too large"):
        read_picture(path, megapixels=0.002)
    read_picture(path, megapixels=0.005)
    assert before == Image.MAX_IMAGE_PIXELS  # which is everybody's in the process


@pytest.mark.parametrize("name", ["absent.png", "."], ids=["missing", "folder"])
def test_no_file_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "force", "reason"),
    [
        ("there.png", False, "exists"),
        ("folder.png", True, "is a folder"),
        ("absent/out.png", True, "no folder"),
        ("out.xyz", True, "ending"),
        ("out", True, "ending"),
        (".png", True, "ending"),
        ("out.psd", True, "ending"),  # Pillow reads it, but does not write it
    ],
)
def test_place_that_cannot_be_written_to(
    tmp_path: Path, name: str, force: bool, reason: str
) -> None:
    (tmp_path / "there.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(MediaError, match=reason):
        format_of(tmp_path / name)
        check_writable(tmp_path / name, force=force)


def test_place_that_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    check_writable(tmp_path / "there.png", force=True)
    check_writable(tmp_path / "new.JPG", force=False)
    check_writable(Path("new.png"), force=False)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_folder_without_permission_is_known_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MediaError, match="cannot be written"):
        check_writable(tmp_path / "out.png", force=False)


def test_names_as_long_as_the_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("p" * 251 + ".png")
    write_picture(Picture(scene(2, 2)), path)
    assert read_picture(path).pixels.shape == (2, 2)


@pytest.mark.parametrize("name", ["absent/out.png", "file/out.png", "p" * 300 + ".png"])
def test_failed_write_is_one_clear_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="cannot write"):
        write_picture(Picture(scene(2, 2)), tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]


def test_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.webp"
    path.write_bytes(b"precious")
    with pytest.raises(MediaError, match="16383"):
        write_picture(Picture(np.zeros((1, 20_000, 3), np.uint8)), path)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"precious"
