"""What a number in a file means: by its bits and its range, never by the type of an array.

The truth is the array that was written, by tifffile, imagecodecs, pillow-heif or by hand.
"""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import Run
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab
from values import HEIGHT, WIDTH, as_bits, ramp

from bnnup.errors import MediaError
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import decode, peek, read_picture
from bnnup.pictures.write import write_picture


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16, 24, 32])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
def test_bits_of_tiff_give_the_range(tmp_path: Path, bits: int, channels: tuple[int, ...]) -> None:
    stored = as_bits(ramp(*channels), bits)
    path = tmp_path / "in.tif"
    kind = "rgb" if channels else "minisblack"
    if bits in (16, 32):
        tifffile.imwrite(path, stored, photometric=kind)
    else:
        tifffile.imwrite(path, stored, photometric=kind, bitspersample=bits)
    picture = read_picture(path)
    assert picture.pixels.dtype == np.uint16
    expected = stored / (2.0**bits - 1) * 65535
    np.testing.assert_allclose(picture.pixels, expected, atol=0.5 + 1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_stretched(tmp_path: Path, bits: int) -> None:
    stored = as_bits(ramp(), bits)
    rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()) for row in stored]
    entries = [(256, WIDTH), (257, HEIGHT), (258, bits), (262, 1), (273, 8), (277, 1)]
    entries += [(278, HEIGHT), (279, len(np.concatenate(rows)))]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data = np.concatenate(rows).tobytes()
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    content = head + data + struct.pack("<H", len(entries)) + table + bytes(4)
    pixels = decode(BytesIO(content), "in.tif").pixels
    np.testing.assert_array_equal(pixels, stored * (255 // (2**bits - 1)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
def test_floats_of_nought_to_one(tmp_path: Path, channels: tuple[int, ...], dtype: type) -> None:
    stored: NDArray[Any] = ramp(*channels).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb" if channels else None)
    picture = read_picture(tmp_path / "in.tif")
    np.testing.assert_allclose(picture.pixels, stored.astype(float) * 65535, atol=0.5)
    assert picture.pixels.dtype == np.uint16


@pytest.mark.parametrize("beyond", [1.5, -0.25, float("nan"), float("inf")])
def test_other_floats_say_what_they_are(tmp_path: Path, beyond: float) -> None:
    stored = ramp(3).astype(np.float32)
    stored[3, 4, 1] = beyond
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb")
    with pytest.raises(MediaError, match=r"floats range .* 16 bits"):
        read_picture(tmp_path / "in.tif")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.complex64])
def test_what_may_be_negative_is_refused(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((4, 5), dtype))
    with pytest.raises(MediaError, match="may be negative; convert"):
        read_picture(tmp_path / "in.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extras", "alpha"),
    [
        (["unspecified"], None),
        (["unassalpha"], 0),
        (["unspecified", "unassalpha"], 1),
        (["unassalpha", "unspecified", "unspecified"], 0),
    ],
)
@pytest.mark.parametrize("kind", ["rgb", "minisblack"])
def test_further_channels_are_alpha_or_left_out_with_a_remark(
    tmp_path: Path, kind: str, extras: list[str], alpha: int | None, bits: int, planar: str
) -> None:
    colors = 3 if kind == "rgb" else 1
    stored = as_bits(ramp(colors + len(extras)), bits)
    data = stored if planar == "contig" else np.moveaxis(stored, -1, 0)
    tifffile.imwrite(
        tmp_path / "in.tif",
        np.ascontiguousarray(data),
        photometric=kind,
        extrasamples=extras,
        planarconfig=planar,
    )
    picture = read_picture(tmp_path / "in.tif")
    wanted = [*range(colors), *([] if alpha is None else [colors + alpha])]
    expected = stored[..., wanted]
    np.testing.assert_array_equal(np.atleast_3d(picture.pixels), expected)
    spare = len(extras) - (alpha is not None)
    assert bool(spare) == ("besides colours" in " ".join(picture.notes))


@pytest.mark.parametrize("bits", [8, 16])
def test_colour_is_freed_of_the_alpha_it_was_multiplied_by(tmp_path: Path, bits: int) -> None:
    white = 2**bits - 1
    alpha = np.clip(ramp(), 0.2, 1)
    color = ramp(3)
    stored = as_bits(np.dstack([color * alpha[..., None], alpha]), bits)
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    pixels = read_picture(tmp_path / "in.tif").pixels
    np.testing.assert_allclose(pixels[..., :3] / white, color, atol=4 / white)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["cielab", "icclab"])
def test_lab_is_converted(tmp_path: Path, kind: str, bits: int) -> None:
    rgb = 0.1 + 0.8 * ramp(3)
    lab = rgb2lab(rgb, illuminant="D50")
    # scikit-image's D50 is not adapted from sRGB's D65: through XYZ by Bradford instead.
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_d50 = [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
    relative = linear @ np.array(to_d50).T / [0.96422, 1.0, 0.82521]
    roots = np.cbrt(relative)
    assert relative.min() > 0.008856  # where the cube root holds
    lab = np.stack(
        [
            116 * roots[..., 1] - 16,
            500 * (roots[..., 0] - roots[..., 1]),
            200 * (roots[..., 1] - roots[..., 2]),
        ],
        -1,
    )
    step = 1 << (bits - 8)
    if kind == "cielab":
        stored = np.round(lab * [(2**bits - 1) / 100, step, step]).astype(int) % 2**bits
    else:
        light = 255 if bits == 8 else 0xFF00
        stored = np.round(lab * [light / 100, step, step] + [0, 128 * step, 128 * step]).astype(int)
    data = stored.astype(np.uint8 if bits == 8 else np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", data, photometric=kind)
    picture = read_picture(tmp_path / "in.tif")
    scale = np.iinfo(picture.pixels.dtype).max
    np.testing.assert_allclose(picture.pixels / scale, rgb, atol=0.025 if bits == 8 else 0.001)
    assert "sRGB" in " ".join(picture.notes)
    assert "icc_profile" in picture.info


def test_ten_bits_of_inks_are_noted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", as_bits(ramp(4), 16), photometric="separated")
    assert "16 bits are read as 8" in " ".join(read_picture(tmp_path / "in.tif").notes)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("ending", ["jxl", "jp2"])
def test_bits_of_others_give_the_range(tmp_path: Path, ending: str, bits: int) -> None:
    stored = as_bits(ramp(), bits)
    if ending == "jxl":
        content = imagecodecs.jpegxl_encode(stored, bitspersample=bits, lossless=True)
    else:
        content = imagecodecs.jpeg2k_encode(stored, bitspersample=bits, reversible=True)
    (tmp_path / f"in.{ending}").write_bytes(bytes(content))
    pixels = read_picture(tmp_path / f"in.{ending}").pixels
    np.testing.assert_allclose(pixels, stored / (2.0**bits - 1) * 65535, atol=0.5 + 1e-6)


# Damaged TIFFs


def stored_tiff(**options: Any) -> bytearray:
    file = BytesIO()
    tifffile.imwrite(file, as_bits(ramp(3), 16), photometric="rgb", rowsperstrip=4, **options)
    return bytearray(file.getvalue())


def entry(content: bytearray, tag: int) -> int:
    """Where a tag's entry begins."""
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    return next(
        at
        for at in range(place + 2, place + 2 + 12 * count, 12)
        if struct.unpack_from("<H", content, at)[0] == tag
    )


def without_strips(content: bytearray) -> None:
    (place,) = struct.unpack_from("<I", content, entry(content, 279) + 8)
    struct.pack_into("<I", content, place + 4, 0)  # of the second one


def with_fewer_strips(content: bytearray) -> None:
    for tag in 273, 279:
        struct.pack_into("<I", content, entry(content, tag) + 4, 2)


def with_depth(content: bytearray) -> None:
    struct.pack_into("<HHII", content, entry(content, 305), 32997, 4, 1, 10)


def with_short_strips(content: bytearray) -> None:
    (place,) = struct.unpack_from("<I", content, entry(content, 279) + 8)
    kind = struct.unpack_from("<H", content, entry(content, 279) + 2)[0]
    struct.pack_into("<H" if kind == 3 else "<I", content, place, 7)


def with_more_rows(content: bytearray) -> None:
    struct.pack_into("<I", content, entry(content, 257) + 8, HEIGHT * 3)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "damage", [without_strips, with_fewer_strips, with_depth, with_short_strips, with_more_rows]
)
def test_a_damaged_tiff_is_no_picture(compression: str | None, damage: Any) -> None:
    content = stored_tiff(compression=compression)
    decode(BytesIO(bytes(content)), "in.tif")
    damage(content)
    with pytest.raises(MediaError):
        decode(BytesIO(bytes(content)), "in.tif")


def test_a_tiff_cut_off_is_no_picture() -> None:
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(as_bits(ramp(3), 16), photometric="rgb", compression="zlib")
    content = file.getvalue()
    decode(BytesIO(content), "in.tif")
    with pytest.raises(MediaError):
        decode(BytesIO(content[:-100]), "in.tif")


# Netpbm


def pnm(number: int, stored: NDArray[Any], most: int, comment: bytes = b"# by hand\n") -> bytes:
    head = b"P%d\n%s%d %d\n%d\n" % (number, comment, stored.shape[1], stored.shape[0], most)
    if number in (2, 3):
        return head + b" ".join(b"%d" % value for value in stored.ravel()) + b"\n"
    return head + stored.astype(np.uint8 if most < 256 else ">u2").tobytes()


@pytest.mark.parametrize("most", [1, 15, 100, 255, 256, 1000, 4095, 65535])
@pytest.mark.parametrize("number", [2, 3, 5, 6])
def test_white_of_netpbm_is_what_it_says(tmp_path: Path, number: int, most: int) -> None:
    stored = np.floor(ramp(*([3] if number in (3, 6) else [])) * most + 0.5).astype(int)
    (tmp_path / "in.pnm").write_bytes(pnm(number, stored, most))
    picture = read_picture(tmp_path / "in.pnm")
    white = 255 if most < 256 else 65535
    assert picture.pixels.dtype == (np.uint8 if most < 256 else np.uint16)
    np.testing.assert_allclose(picture.pixels, stored / most * white, atol=0.5 + 1e-9)
    with (tmp_path / "in.pnm").open("rb") as file:
        assert peek(file, "in").bits == (8 if most < 256 else 16)


@pytest.mark.parametrize(
    "content", [b"P5 4 4 1000\n" + bytes(9), b"P5 1 1 1000\n\xff\xff", b"P2 1 1 99 -1"]
)
def test_netpbm_that_is_too_short_or_too_bright_is_refused(content: bytes) -> None:
    with pytest.raises(MediaError):
        decode(BytesIO(content), "in.pgm")


@pytest.mark.parametrize("ending", ["pgm", "ppm", "pnm"])
def test_netpbm_is_written_in_sixteen_bits(tmp_path: Path, ending: str) -> None:
    stored = as_bits(ramp() if ending == "pgm" else ramp(3), 16)
    write_picture(Picture(stored), tmp_path / f"out.{ending}")
    number = 5 if ending == "pgm" else 6
    assert (tmp_path / f"out.{ending}").read_bytes() == pnm(number, stored, 65535, b"")


def test_a_bitmap_stays_one(run: Run, tmp_path: Path, bicubic: Path) -> None:
    black = np.zeros((16, 24), bool)
    black[4:12, 8:16] = True
    rows = np.packbits(black, axis=1).tobytes()
    (tmp_path / "in.pbm").write_bytes(b"P4\n24 16\n" + rows)
    done = run("upscale", tmp_path / "in.pbm", "-m", bicubic)
    assert done.code == 0, done.err
    assert "black and white only" in done.err
    with Image.open(tmp_path / "in_x2.pbm") as image:
        assert (image.mode, image.size) == ("1", (48, 32))
        found = ~np.asarray(image)
    assert found[10:22, 18:30].all()
    assert not found[:6].any()


@pytest.mark.parametrize("ending", ["pbm", "pgm"])
def test_colour_is_not_written_as_grey(tmp_path: Path, ending: str) -> None:
    with pytest.raises(MediaError, match=r"cannot hold colour; write out\.png"):
        write_picture(Picture(as_bits(ramp(3), 8)), tmp_path / f"out.{ending}")
