"""What stands around the pixels of PNG, and what colours mean, in PNG and elsewhere."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from stored import HEIGHT, WIDTH, enlarge, fitted, insert, save, scene, tiff_block

from bnnup.errors import MediaError
from bnnup.pictures import icc
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import peek, read_picture

ODD_CHUNKS = {
    "checksum": (b"tEXt", b"Title\0x", 1),
    "text-of-megabytes": (b"zTXt", b"Title\0\0" + zlib.compress(bytes(20 << 20)), None),
    "profile-of-megabytes": (b"iCCP", b"p\0\0" + zlib.compress(bytes(3 << 20)), None),
    "profile-cut-off": (b"iCCP", b"p\0\0" + zlib.compress(bytes(3 << 20))[:99], None),
    "no-keyword": (b"zTXt", b"Title", None),
    "bomb": (b"zTXt", b"Title\0\0" + zlib.compress(bytes(200 << 20)), None),
    "short": (b"gAMA", b"\0", None),
    "checksum-of-profile": (b"iCCP", b"p\0\0" + zlib.compress(b"profile"), 7),
    "exif-of-garbage": (b"eXIf", b"\xff" * 99, None),
    "unknown": (b"abCd", b"whatever", 3),
}


@pytest.mark.parametrize("name", ODD_CHUNKS)
def test_no_chunk_around_them_costs_the_pixels(tmp_path: Path, name: str) -> None:
    kind, content, checksum = ODD_CHUNKS[name]
    path = save(tmp_path / "in.png")
    insert(path, kind, content, checksum)
    picture = enlarge(path, tmp_path / "out.png")
    np.testing.assert_array_equal(picture.pixels, scene())
    with path.open("rb") as file:
        assert peek(file, "in.png").width == WIDTH
    assert imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).shape[0] == 2 * HEIGHT
    with Image.open(tmp_path / "out.png") as image:
        image.load()
    if checksum is not None or "megabytes" in name or name in ("bomb", "profile-cut-off"):
        assert "left out" in " ".join(picture.notes)


def test_text_in_png_stays(tmp_path: Path) -> None:
    path = save(tmp_path / "in.png")
    insert(path, b"tEXt", b"Author\0J\xfcrgen")
    insert(path, b"iTXt", b"Title\0\0\0de\0Titel\0" + "Überschrift".encode())
    insert(path, b"zTXt", b"Workflow\0\0" + zlib.compress(b"{}" * (1 << 18)))
    enlarge(path, tmp_path / "out.png")
    content = (tmp_path / "out.png").read_bytes()
    assert b"tEXtAuthor\0J\xfcrgen" in content
    assert "Titel\0Überschrift".encode() in content
    assert zlib.compress(b"{}" * (1 << 18)) in content
    picture = Picture(scene(), read_picture(path).info)
    assert "text, which JPEG" in " ".join(fitted(picture, tmp_path / "out.jpg").notes)


@pytest.mark.parametrize(
    ("kind", "size"),
    [(b"gAMA", 4), (b"cHRM", 32), (b"sRGB", 1), (b"cICP", 4), (b"mDCV", 24), (b"cLLI", 8)],
)
def test_what_colours_mean_stays_in_png(tmp_path: Path, kind: bytes, size: int) -> None:
    content = bytes(range(1, size + 1))
    path = save(tmp_path / "in.png")
    insert(path, kind, content)
    enlarge(path, tmp_path / "out.png")
    assert kind + content in (tmp_path / "out.png").read_bytes()


def chromaticities(profile: bytes) -> NDArray[np.float64]:
    """x and y of a profile's red, green and blue, before its adaptation to D50."""
    opened = ImageCms.getOpenProfile(BytesIO(profile)).profile
    columns = np.array(
        [getattr(opened, f"{name}_colorant")[0] for name in ("red", "green", "blue")]
    )
    adaptation = opened.chromatic_adaptation
    assert adaptation is not None
    adapted = np.linalg.inv(np.array(adaptation[0])) @ columns.T
    return np.asarray((adapted[:2] / adapted.sum(axis=0)).T)


P3 = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]


@pytest.mark.parametrize("ending", ["jpg", "tif", "webp", "avif"])
@pytest.mark.parametrize("kind", ["cICP", "cHRM"])
def test_elsewhere_it_becomes_a_profile(tmp_path: Path, ending: str, kind: str) -> None:
    path = save(tmp_path / "in.png")
    if kind == "cICP":
        insert(path, b"cICP", bytes((12, 13, 0, 1)))
    else:
        numbers = [0.3127, 0.3290, *np.ravel(P3)]
        insert(path, b"cHRM", struct.pack(">8I", *(round(n * 100_000) for n in numbers)))
    enlarge(path, tmp_path / f"out.{ending}")
    with Image.open(tmp_path / f"out.{ending}") as image:
        profile = image.info["icc_profile"]
    np.testing.assert_allclose(chromaticities(profile), P3, atol=0.002)


def test_a_gamma_becomes_a_profile(tmp_path: Path) -> None:
    path = save(tmp_path / "in.png")
    insert(path, b"gAMA", struct.pack(">I", 100_000))  # linear light
    enlarge(path, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        half = Image.new("RGB", (1, 1), (128, 128, 128))
        source = ImageCms.getOpenProfile(BytesIO(image.info["icc_profile"]))
    shown = ImageCms.profileToProfile(half, source, ImageCms.createProfile("sRGB"))
    assert shown is not None
    assert shown.getpixel((0, 0)) == pytest.approx((188, 188, 188), abs=2)  # of half the light


@pytest.mark.parametrize("points", [None, (1, 13), (2, 2)], ids=str)
def test_srgb_needs_no_profile(tmp_path: Path, points: tuple[int, int] | None) -> None:
    path = save(tmp_path / "in.png")
    if points is None:
        insert(path, b"gAMA", struct.pack(">I", 45455))
    else:
        insert(path, b"cICP", bytes((*points, 0, 1)))
    enlarge(path, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("curve", [16, 18], ids=["PQ", "HLG"])
def test_hdr_is_kept_or_refused(tmp_path: Path, curve: int) -> None:
    path = save(tmp_path / "in.png")
    insert(path, b"cICP", bytes((9, curve, 0, 1)))
    enlarge(path, tmp_path / "out.png")
    assert b"cICP" + bytes((9, curve, 0, 1)) in (tmp_path / "out.png").read_bytes()
    with pytest.raises(MediaError, match=r"HDR.*write out\.png"):
        enlarge(path, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("ending", ["avif", "heic"])
def test_code_points_of_avif_and_heic_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"in.{ending}"
    if ending == "avif":
        coded = imagecodecs.avif_encode(scene(), primaries=12, transfer=13, matrix=6)
        path.write_bytes(bytes(coded))
    else:
        heif = pillow_heif.from_pillow(Image.fromarray(scene()))
        heif.save(path, color_primaries=12, transfer_characteristics=13)
    enlarge(path, tmp_path / "out.png")
    assert b"cICP" + bytes((12, 13, 0, 1)) in (tmp_path / "out.png").read_bytes()
    enlarge(path, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        np.testing.assert_allclose(chromaticities(image.info["icc_profile"]), P3, atol=0.002)


def test_a_profile_of_other_colours_is_left_out(tmp_path: Path) -> None:
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = grey[:16] + b"GRAY" + grey[20:]
    path = save(tmp_path / "in.png")
    insert(path, b"iCCP", b"p\0\0" + zlib.compress(grey))
    after = fitted(read_picture(path), tmp_path / "out.jpg")
    assert "icc_profile" not in after.info
    assert "GRAY" in " ".join(after.notes)


def test_the_same_profile_is_made_at_any_time() -> None:
    made = icc.to_profile(((b"cICP", bytes((12, 13, 0, 1))),), grey=False)
    assert made is not None
    assert made[24:36] == icc.srgb()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)


def test_a_profile_in_bmp_is_found(tmp_path: Path) -> None:
    profile = icc.to_profile(((b"cICP", bytes((12, 13, 0, 1))),), grey=False)
    assert profile is not None
    pixels = scene()[::-1, :, ::-1].tobytes()  # from the bottom up, blue first
    header = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    header += (
        bytes(16)
        + b"DEBM"
        + bytes(48)
        + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    )
    content = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 124) + header + pixels + profile
    (tmp_path / "in.bmp").write_bytes(content)
    picture = enlarge(tmp_path / "in.bmp", tmp_path / "out.jpg")
    np.testing.assert_array_equal(picture.pixels, scene())
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"] == profile


def test_boxes_of_jpeg_2000_are_found(tmp_path: Path) -> None:
    profile = icc.to_profile(((b"cICP", bytes((12, 13, 0, 1))),), grey=False)
    assert profile is not None
    content = save(tmp_path / "in.jp2").read_bytes()
    at = content.index(b"colr") - 4
    (size,) = struct.unpack_from(">I", content, at)
    color = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile
    content = content[:at] + color + content[at + size :]
    head = content.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", content, head)
    content = content[:head] + struct.pack(">I", size + len(color) - 15) + content[head + 4 :]
    block = tiff_block("<", [(315, 2, b"Ansel\0")])
    uuid = b"uuid" + b"JpgTiffExif->JP2" + block
    content = content.replace(b"jp2c", b"....")  # after the other boxes
    codestream = content.index(b"....") - 4
    content = content[:codestream] + struct.pack(">I", len(uuid) + 4) + uuid + content[codestream:]
    (tmp_path / "in.jp2").write_bytes(content.replace(b"....", b"jp2c"))
    enlarge(tmp_path / "in.jp2", tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif()[315] == "Ansel"
    after = fitted(read_picture(tmp_path / "in.jp2"), tmp_path / "out.jp2")
    assert len(after.notes) == 2  # which JPEG 2000 is not written with


@pytest.mark.parametrize("ending", ["jxl"])
def test_profiles_that_cannot_be_written_are_refused(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / "in.png")
    insert(path, b"cICP", bytes((12, 13, 0, 1)))
    with pytest.raises(MediaError, match=r"profile has no place.*write out\.png"):
        enlarge(path, tmp_path / f"out.{ending}")
    insert(path, b"iCCP", b"p\0\0" + zlib.compress(icc.srgb()))
    plain = save(tmp_path / "plain.png", icc_profile=icc.srgb())
    enlarge(plain, tmp_path / f"out.{ending}")
