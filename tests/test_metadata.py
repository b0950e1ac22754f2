"""What files say besides their pixels: carried to the byte, set right, or left out with a remark.

Readers that did not write it have the last word: Pillow's directories, tifffile, and ExifTool
where there is one.
"""

import shutil
import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from stored import (
    HEIGHT,
    WIDTH,
    enlarge,
    fitted,
    insert,
    needs_exiftool,
    save,
    scene,
    tiff_block,
    told,
)

from bnnup.pictures import exif as own_exif
from bnnup.pictures import ifd, photoshop
from bnnup.pictures.change import Change
from bnnup.pictures.formats import Encoding
from bnnup.pictures.ifd import TagValue
from bnnup.pictures.picture import Picture
from bnnup.pictures.write import encode, write_picture

EXIF, INTEROP = 34665, 40965


TEXTS = {
    315: "Jürgen Müller".encode(),
    33432: "© 2024 Jürgen".encode(),
    270: "日本語の説明".encode(),
    305: b"latin-1: \xfcbel \xff",
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif", "tif", "heic", "jxl"])
def test_text_in_exif_stays_the_bytes_it_is(tmp_path: Path, ending: str, order: str) -> None:
    notes = bytes(range(256)) * 3  # nobody knows what a maker means
    main = [(tag, 2, text + b"\0") for tag, text in sorted(TEXTS.items())]
    block = tiff_block(order, [*main, (EXIF, 4, bytes(4))], [(37500, 7, notes)])
    save(tmp_path / "in.jpg", exif=b"Exif\0\0" + block)
    enlarge(tmp_path / "in.jpg", tmp_path / f"out.{ending}")
    content = (tmp_path / f"out.{ending}").read_bytes()
    for text in (*TEXTS.values(), notes):
        assert text in content


@needs_exiftool
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif", "heic", "jxl"])
def test_exiftool_reads_what_was_carried(tmp_path: Path, ending: str) -> None:
    main = [(315, 2, TEXTS[315] + b"\0"), (EXIF, 4, bytes(4))]
    inner = [(33434, 5, struct.pack(">II", 1, 250)), (37380, 10, struct.pack(">ii", -1, 3))]
    save(tmp_path / "in.jpg", exif=b"Exif\0\0" + tiff_block(">", main, inner))
    enlarge(tmp_path / "in.jpg", tmp_path / f"out.{ending}")
    found = told(tmp_path / f"out.{ending}", "-charset", "exif=utf8")
    assert found["IFD0:Artist"] == "Jürgen Müller"
    assert found["ExifIFD:ExposureTime"] == 0.004
    assert found["ExifIFD:ExposureCompensation"] == pytest.approx(-1 / 3)
    assert "ExifTool:Warning" not in found


def test_what_exif_says_of_pixels_is_set_right(tmp_path: Path) -> None:
    shorts = struct.pack
    inner = [
        (37396, 3, shorts(">4H", 10, 4, 6, 2)),  # subject: middle, width and height
        (40962, 4, shorts(">I", WIDTH)),
        (40963, 4, shorts(">I", HEIGHT)),
        (41486, 5, shorts(">II", 1000, 3)),  # pixels of the sensor, across and down
        (41487, 5, shorts(">II", 500, 1)),
        (41492, 3, shorts(">2H", 20, 12)),
    ]
    block = tiff_block(">", [(274, 3, shorts(">H", 6)), (EXIF, 4, bytes(4))], inner)
    save(tmp_path / "in.jpg", exif=b"Exif\0\0" + block)
    enlarge(tmp_path / "in.jpg", tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (2 * HEIGHT, 2 * WIDTH)
        found = image.getexif().get_ifd(EXIF)
    # By a quarter to the right: what was at x, y is at height − y, x, and then doubled.
    assert found[37396] == (2 * (HEIGHT - 4), 2 * 10, 2 * 2, 2 * 6)
    assert found[41492] == (2 * (HEIGHT - 12), 2 * 20)
    assert (found[40962], found[40963]) == (2 * HEIGHT, 2 * WIDTH)
    assert (found[41486], found[41487]) == (1000, pytest.approx(2000 / 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_follow_their_pixel(orientation: int) -> None:
    """A point that is marked in the stored picture is found where Pillow turns it to."""
    stored = Image.new("L", (7, 5))
    stored.putpixel((1, 3), 255)
    exif = Image.Exif()
    exif[274] = orientation
    file = BytesIO()
    stored.save(file, "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(file))
    change = Change((7, 5), (2 * turned.width, 2 * turned.height), orientation)
    x, y = change.point(1.5, 3.5)
    assert turned.getpixel((int(x / 2), int(y / 2))) == 255


@pytest.mark.parametrize("point", [False, True], ids=["area", "point"])
def test_places_on_earth_stay(tmp_path: Path, point: bool) -> None:
    keys = (1, 1, 0, 1, 1025, 0, 1, 2 if point else 1)
    tags = [
        (33550, "d", 3, (10.0, 20.0, 0.0), True),
        (33922, "d", 6, (2.0, 1.0, 0.0, 500_000.0, 4_600_000.0, 0.0), True),
        (34735, "H", len(keys), keys, True),
    ]
    tifffile.imwrite(tmp_path / "in.tif", scene(), extratags=tags, photometric="rgb")
    enlarge(tmp_path / "in.tif", tmp_path / "out.tif")

    def corner(path: Path) -> tuple[float, float]:
        """East and north of the picture's upper left corner, by GeoTIFF's formula."""
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            across, down, _ = tags[33550].value
            column, row, _, east, north, _ = tags[33922].value
        shift = 0.5 if point else 0.0
        return east - (column + shift) * across, north + (row + shift) * down

    assert corner(tmp_path / "out.tif") == pytest.approx(corner(tmp_path / "in.tif"))
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert tiff.pages.first.tags[33550].value[:2] == (5.0, 10.0)
        assert tiff.pages.first.tags[34735].value == keys


@pytest.mark.parametrize("point", [False, True], ids=["area", "point"])
def test_a_matrix_to_places_on_earth_is_scaled(point: bool) -> None:
    matrix = np.array([[3, 1, 0, 100], [2, -4, 0, 200], [0, 0, 0, 0], [0, 0, 0, 1]], float)
    keys = struct.pack("<8H", 1, 1, 0, 1, 1025, 0, 1, 2 if point else 1)
    main = {34264: TagValue(12, matrix.tobytes()), 34735: TagValue(3, keys)}
    changed, lost = own_exif.Exif("<", main).changed(Change((10, 10), (30, 20)))  # type: ignore[arg-type]
    after = np.frombuffer(changed.content(34264) or b"").reshape(4, 4)
    shift = 0.5 if point else 0.0
    for x, y in (0.0, 0.0), (4.0, 7.0):  # in pixels from the corner
        before = matrix @ [x - shift, y - shift, 0, 1]
        np.testing.assert_allclose(after @ [3 * x - shift, 2 * y - shift, 0, 1], before)
    assert lost == []


@pytest.mark.parametrize(
    "text", [b"ImageJ=1.53t\nimages=12\nslices=12\n", b'{"shape": [16, 24, 3]}']
)
def test_how_arrays_lay_in_the_file_is_not_carried(tmp_path: Path, text: bytes) -> None:
    tags = [(270, "s", 0, text, True), (315, "s", 0, b"Ansel", True)]
    tifffile.imwrite(tmp_path / "in.tif", scene(), extratags=tags, photometric="rgb", metadata=None)
    picture = enlarge(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert 270 not in tiff.pages.first.tags
        assert tiff.pages.first.tags[315].value == "Ansel"
        assert tiff.asarray().shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert "left out" in " ".join(picture.notes)


def test_a_density_is_kept_as_it_lies(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 8
    save(tmp_path / "in.jpg", exif=exif, dpi=(300, 150))
    enlarge(tmp_path / "in.jpg", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["dpi"] == pytest.approx((150, 300), abs=0.1)


def test_no_density_is_made_up(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", scene(), photometric="rgb")
    enlarge(tmp_path / "in.tif", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert "dpi" not in image.info


IPTC = b"\x1c\x02\x78\0\x06L\xfcbeck\x1c\x02\x50\0\x05Ansel"


def with_iptc(folder: Path, ending: str) -> Path:
    path = folder / f"in.{ending}"
    if ending == "jpg":
        resource = (
            b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0"
        )
        segment = b"\xff\xed" + struct.pack(">H", len(resource) + 2) + resource
        content = save(path).read_bytes()
        path.write_bytes(content[:2] + segment + content[2:])
    elif ending == "tif":
        tags = [(33723, "B", len(IPTC), IPTC, True)]
        tifffile.imwrite(path, scene(), extratags=tags, photometric="rgb")
    else:
        resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0"
        text = b"\niptc\n%8d\n%s\n" % (len(resource), resource.hex().encode())
        save(path)
        insert(path, b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text))
    return path


@pytest.mark.parametrize("target", ["jpg", "tif", "png"])
@pytest.mark.parametrize("source", ["jpg", "tif", "png"])
def test_iptc_stays(tmp_path: Path, source: str, target: str) -> None:
    path = tmp_path / f"out.{target}"
    enlarge(with_iptc(tmp_path, source), path)
    if target == "jpg":
        with Image.open(path) as image:
            assert image.info["photoshop"][0x0404] == IPTC
    elif target == "tif":
        with tifffile.TiffFile(path) as tiff:
            assert bytes(tiff.pages.first.tags[33723].value) == IPTC
    else:
        with Image.open(path) as image:
            text = image.info["Raw profile type iptc"].split()
        assert IPTC in bytes.fromhex("".join(text[2:]))
    if shutil.which("exiftool"):
        assert told(path)["IPTC:By-line"] == "Ansel"


def test_damaged_resources_are_read_as_far_as_they_are_sound() -> None:
    sound = photoshop.MARK + photoshop.serialize(1028, IPTC)
    assert photoshop.parse(sound) == {1028: IPTC}
    for end in range(len(sound)):
        photoshop.parse(sound[:end])


@pytest.mark.parametrize("target", ["jpg", "gif", "png"])
@pytest.mark.parametrize("source", ["jpg", "gif"])
def test_comments_stay(tmp_path: Path, source: str, target: str) -> None:
    path = save(tmp_path / f"in.{source}", comment="made by hand")
    enlarge(path, tmp_path / f"out.{target}")
    with Image.open(tmp_path / f"out.{target}") as image:
        image.load()
        found = image.info["Comment" if target == "png" else "comment"]
    assert found in ("made by hand", b"made by hand")


@pytest.mark.parametrize(
    ("key", "value", "ending"),
    [
        ("comment", b"text", "webp"),
        ("iptc", IPTC, "avif"),
        ("exif", b"Exif\0\0" + tiff_block("<", [(315, 2, b"A\0")]), "bmp"),
        ("icc_profile", b"\0" * 16 + b"RGB " + bytes(108), "tga"),
        ("xmp", b"x" * 70_000, "jpg"),
        ("exif", b"Exif\0\0" + tiff_block("<", [(37500, 7, bytes(70_000))]), "jpg"),
        ("comment", b"c" * 70_000, "jpg"),
    ],
)
def test_what_a_format_has_no_place_for_goes_with_a_remark(
    tmp_path: Path, key: str, value: bytes, ending: str
) -> None:
    picture = Picture(scene(), {key: value})
    after = fitted(picture, tmp_path / f"out.{ending}")
    assert key not in after.info
    assert len(after.notes) == 1
    assert after.notes[0].startswith("left out")
    write_picture(picture, tmp_path / f"out.{ending}")


def test_any_cut_of_exif_is_read_as_far_as_it_is_sound() -> None:
    block = tiff_block(
        "<", [(315, 2, b"Ansel Adams\0"), (EXIF, 4, bytes(4))], [(40962, 4, b"1234")]
    )
    for end in range(len(block)):
        found = own_exif.Exif.parse(block[:end])
        if found is not None:
            found.changed(Change((4, 4), (8, 8)))[0].serialize()


def test_directories_that_point_to_themselves_end() -> None:
    block = bytearray(tiff_block("<", [(EXIF, 4, bytes(4))], [(INTEROP, 4, struct.pack("<I", 8))]))
    found = own_exif.Exif.parse(bytes(block))
    assert found is not None
    assert len(found.serialize() or b"") < 1000


def test_rationals_are_as_near_as_they_can_be() -> None:
    for value in Fraction(1, 3), Fraction(4_000_000_000), Fraction(355, 113) * 1000, Fraction(0):
        (found,) = ifd.rational(value, ">").numbers(">")
        assert float(found) == pytest.approx(float(value), rel=1e-6)
    with pytest.raises(struct.error):
        ifd.rational(Fraction(1 << 33), "<")


def test_info_without_a_size_is_taken_for_the_results(tmp_path: Path) -> None:
    block = b"Exif\0\0" + tiff_block("<", [(315, 2, b"A\0")])
    file = BytesIO()
    encode([scene()], scene().shape, {"exif": block}, Encoding("PNG"), file)
    assert block[6:] in file.getvalue()
