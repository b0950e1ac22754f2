"""Formats of the table: what each holds comes back, and what it does not is said."""

from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from conftest import Run
from PIL import Image
from values import HEIGHT, WIDTH, as_bits, ramp

from bnnup.errors import MediaError
from bnnup.pictures.formats import TABLE, Encoding, endings
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import decode, peek, read_picture
from bnnup.pictures.write import write_picture

# HEIC, JPEG XL, JPEG 2000, ICO


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)], ids=str)
def test_jpeg_xl_without_loss(tmp_path: Path, channels: tuple[int, ...], bits: int) -> None:
    stored = as_bits(ramp(*channels), bits)
    write_picture(Picture(stored), tmp_path / "out.jxl", Encoding("JXL", lossless=True))
    np.testing.assert_array_equal(read_picture(tmp_path / "out.jxl").pixels, stored)
    other = imagecodecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    np.testing.assert_array_equal(other, stored)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("ending", ["jxl", "heic"])
def test_new_formats_are_near(tmp_path: Path, ending: str, bits: int) -> None:
    stored = as_bits(ramp(3), bits)
    write_picture(Picture(stored), tmp_path / f"out.{ending}")
    picture = read_picture(tmp_path / f"out.{ending}")
    assert picture.pixels.dtype == stored.dtype
    np.testing.assert_allclose(picture.pixels / (2.0**bits - 1), ramp(3), atol=0.06)


def test_ten_bits_of_heic_are_read(tmp_path: Path) -> None:
    stored = as_bits(ramp(3), 16)
    image = pillow_heif.from_bytes("RGB;16", (WIDTH, HEIGHT), stored.tobytes())
    image.save(tmp_path / "in.heic", quality=-1, chroma=444)
    with (tmp_path / "in.heic").open("rb") as file:
        assert peek(file, "in").bits == 16
    pixels = read_picture(tmp_path / "in.heic").pixels
    np.testing.assert_allclose(pixels / 65535, ramp(3), atol=2 / 1023)


def test_heic_is_upright_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    pillow_heif.register_heif_opener()
    Image.fromarray(as_bits(ramp(3), 8)).save(
        tmp_path / "in.heic", exif=exif.tobytes(), quality=-1, chroma=444
    )
    picture = read_picture(tmp_path / "in.heic")
    assert picture.pixels.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(picture.pixels - np.rot90(as_bits(ramp(3), 8), -1).astype(int)).max() < 8
    write_picture(picture, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.getexif().get(274, 1) == 1


@pytest.mark.parametrize("size", [16, 20, 48, 128, 200])
def test_an_icon_is_as_large_as_it_says(tmp_path: Path, size: int) -> None:
    stored = np.full((size, size, 4), 200, np.uint8)
    write_picture(Picture(stored), tmp_path / "out.ico")
    with Image.open(tmp_path / "out.ico") as image:
        assert image.size == (size, size)
        assert image.info["sizes"] == {(size, size)}


def test_an_icon_ends_at_256(run: Run, tmp_path: Path, tiny: Path) -> None:
    Image.new("RGB", (150, 9)).save(tmp_path / "in.png")
    done = run("upscale", tmp_path / "in.png", "-m", tiny, "-o", tmp_path / "out.ico")
    assert done.code == 1
    assert "its sides have at most 256" in done.err


def test_endings_of_jpeg_2000_say_what_is_inside(tmp_path: Path) -> None:
    stored = as_bits(ramp(3), 8)
    for ending, start in ("jp2", b"\0\0\0\x0cjP"), ("j2k", b"\xff\x4f"):
        write_picture(Picture(stored), tmp_path / f"out.{ending}")
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)
        np.testing.assert_array_equal(read_picture(tmp_path / f"out.{ending}").pixels, stored)


def test_bits_that_are_not_read_are_noted(tmp_path: Path) -> None:
    deep = as_bits(ramp(3), 10)
    (tmp_path / "in.avif").write_bytes(bytes(imagecodecs.avif_encode(deep, bitspersample=10)))
    (tmp_path / "in.jp2").write_bytes(bytes(imagecodecs.jpeg2k_encode(deep, bitspersample=10)))
    for ending in "avif", "jp2":
        assert "10 bits are read as 8" in " ".join(read_picture(tmp_path / f"in.{ending}").notes)


# Alpha where there is no place for it


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_alpha_is_no_alpha(tmp_path: Path, channels: int, bits: int) -> None:
    stored = as_bits(ramp(channels), bits)
    stored[..., -1] = 2**bits - 1
    write_picture(Picture(stored), tmp_path / "out.ppm")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "out.ppm").pixels, np.squeeze(stored[..., :-1])
    )


@pytest.mark.parametrize(
    ("color", "expected"), [("white", (255, 227, 227)), ("#000080", (100, 0, 64))]
)
def test_a_background_takes_the_place_of_transparency(
    run: Run, tmp_path: Path, bicubic: Path, color: str, expected: tuple[int, ...]
) -> None:
    half = Image.new("RGBA", (12, 8), (200, 0, 0, 128))
    if color == "white":
        half = Image.new("RGBA", (12, 8), (255, 200, 200, 130))
    half.save(tmp_path / "in.png")
    target = tmp_path / "out.bmp"
    done = run("upscale", tmp_path / "in.png", "-m", bicubic, "-o", target, "--background", color)
    assert done.code == 0, done.err
    with Image.open(target) as image:
        assert image.getpixel((12, 8)) == pytest.approx(expected, abs=2)


def test_a_background_that_is_no_colour_is_a_wrong_command_line(run: Run, tmp_path: Path) -> None:
    done = run("upscale", tmp_path, "--background", "greenish")
    assert done.code == 2
    assert "not a colour" in done.err


# JPEG without its end


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_mark_is_whole(tmp_path: Path, progressive: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, progressive=progressive)
    content = file.getvalue()
    picture = decode(BytesIO(content[:-2]), "in.jpg")
    np.testing.assert_array_equal(picture.pixels, decode(BytesIO(content), "in.jpg").pixels)
    assert "end mark" in " ".join(picture.notes)
    for lost in 20, 50, 500:
        with pytest.raises(MediaError):
            decode(BytesIO(content[:-lost]), "in.jpg")


# Encoders, and the table


def test_mpo_obeys_quality(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    sizes = []
    for quality in 30, None, 100:
        write_picture(Picture(pixels), tmp_path / "out.mpo", Encoding("MPO", quality))
        sizes.append((tmp_path / "out.mpo").stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("name", ["PNG", "TIFF", "GIF"])
def test_quality_that_means_nothing_is_noted(name: str) -> None:
    assert Encoding(name, 50).note()
    assert not Encoding(name).note()


def test_quality_of_lossless_is_noted() -> None:
    assert Encoding("WEBP", 50, lossless=True).note()
    assert not Encoding("WEBP", 50).note()


def test_an_ending_names_one_format() -> None:
    found = [ending for each in TABLE for ending in each.endings]
    assert len(found) == len(set(found)) == len(endings())
    assert all(ending == ending.lower() and ending.startswith(".") for ending in found)
    assert len({each.name for each in TABLE}) == len(TABLE)


@pytest.mark.parametrize("each", [each for each in TABLE if each.written], ids=lambda f: f.name)
def test_every_format_that_is_written_is_read(tmp_path: Path, each: Any) -> None:
    """What the table says a format can hold comes back as what it was."""
    path = tmp_path / f"out{each.endings[0]}"
    kinds = [(), *([(3,)] if each.color_bits else []), *([(2,), (4,)] if each.alpha else [])]
    for channels in kinds:
        bits = max(each.color_bits if channels else each.bits, 8)
        stored = as_bits(ramp(*channels), 16 if bits > 8 else 8)
        if channels in ((2,), (4,)):
            stored[..., -1] = np.iinfo(stored.dtype).max * (ramp() > 0.5)
        if each.bits == 1:
            stored = np.where(ramp() > 0.5, 255, 0).astype(np.uint8)
        write_picture(Picture(stored), path)
        picture = read_picture(path)
        assert picture.format == {"MPO": "JPEG", "PPM": "PGM"}.get(each.name, each.name) or channels
        assert picture.pixels.dtype == stored.dtype
        assert picture.pixels.shape[:2] == stored.shape[:2]


def test_what_else_is_in_a_file_is_noted(tmp_path: Path) -> None:
    frames = (
        as_bits(ramp(3), 8)[None].repeat(3, 0) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    )
    (tmp_path / "film.jxl").write_bytes(bytes(imagecodecs.jpegxl_encode(frames, lossless=True)))
    np.testing.assert_array_equal(read_picture(tmp_path / "film.jxl").pixels, frames[0])
    Image.new("RGBA", (64, 64)).save(tmp_path / "sizes.ico", sizes=[(16, 16), (64, 64)])
    for name, what in ("film.jxl", "frames but the first"), ("sizes.ico", "largest of the sizes"):
        assert what in " ".join(read_picture(tmp_path / name).notes)


def test_a_jpeg_xl_of_a_turned_jpeg_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = BytesIO()
    Image.fromarray(as_bits(ramp(3), 8)).save(file, "JPEG", exif=exif, quality=95)
    (tmp_path / "in.jxl").write_bytes(bytes(imagecodecs.jpegxl_encode_jpeg(file.getvalue())))
    with (tmp_path / "in.jxl").open("rb") as opened:
        header = peek(opened, "in.jxl")
    picture = read_picture(tmp_path / "in.jxl")
    assert picture.pixels.shape[:2] == (header.height, header.width)


def test_compression_that_pillow_does_not_know(tmp_path: Path) -> None:
    stored = as_bits(ramp(3), 8)
    options: dict[str, Any] = {"compression": "webp", "compressionargs": {"lossless": True}}
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb", **options)
    np.testing.assert_array_equal(read_picture(tmp_path / "in.tif").pixels, stored)
