"""Every kind of picture through the command line, looked at by readers that did not write it.

The network is bicubic and nothing else, so that it is known what has to come out.
"""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import Run
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif='
    b'"http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'tiff:Orientation="6" tiff:ImageWidth="23" exif:PixelXDimension="23" dc:format="kept"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
HEIGHT, WIDTH = 17, 23
MAKER, ORIENTATION, ARTIST, SOFTWARE = 271, 274, 315, 305
EXIF, GPS, INTEROP = 34665, 34853, 40965
EXPOSURE, PIXELS_ACROSS, PIXELS_DOWN = 33434, 40962, 40963


def smooth(*channels: int, dtype: Any = np.uint8) -> NDArray[Any]:
    """Waves that no encoder has trouble with; alpha, the last of 2 or 4, is nowhere 0."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 40
    count = channels[0] if channels else 1
    planes = [0.5 + 0.4 * np.sin(5 * x + i) * np.cos(4 * y - i) for i in range(count)]
    pixels = (np.stack(planes, -1) * np.iinfo(dtype).max).astype(dtype)
    return pixels if channels else pixels[..., 0]


def enlarged(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """What bicubic makes of each channel, by Pillow, which differs near the border."""
    planes = [
        np.asarray(
            Image.fromarray(plane.astype(np.float32)).resize(
                (2 * plane.shape[1], 2 * plane.shape[0]), Image.Resampling.BICUBIC
            )
        )
        for plane in np.moveaxis(np.atleast_3d(pixels), -1, 0)
    ]
    return np.stack(planes, -1).astype(np.float64)


# Ways to store a picture: they write a file and say what should be seen in it.


def store_with_pillow(mode: str, ending: str, **options: Any) -> Callable[[Path], Any]:
    def store(folder: Path) -> tuple[Path, NDArray[Any]]:
        image = Image.fromarray(smooth(3)).convert({"PA": "P"}.get(mode, mode))
        if "A" in mode:
            image.putalpha(Image.fromarray(smooth()))
        path = folder / f"in.{ending}"
        image.save(path, **options)
        with Image.open(path) as stored:
            kind = "L" if mode in ("1", "L", "LA") else "RGB"
            return path, np.asarray(stored.convert(kind + ("A" if "A" in mode else "")))

    return store


def png_of(pixels: NDArray[Any], extra: bytes = b"") -> bytes:
    """A PNG by the specification, unfiltered; ``extra`` is whole chunks before the pixels."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[np.atleast_3d(pixels).shape[2]]
    bits = pixels.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def store_deep_png(*channels: int) -> Callable[[Path], Any]:
    def store(folder: Path) -> tuple[Path, NDArray[Any]]:
        pixels = smooth(*channels, dtype=np.uint16)
        (folder / "in.png").write_bytes(png_of(pixels))
        return folder / "in.png", pixels

    return store


def store_tiff(*channels: int, dtype: Any = np.uint16, **options: Any) -> Callable[[Path], Any]:
    def store(folder: Path) -> tuple[Path, NDArray[Any]]:
        pixels = smooth(*channels, dtype=dtype)
        stored = pixels
        if options.get("planarconfig") == "separate":
            stored = np.moveaxis(pixels, -1, 0)
        if options.get("photometric") == "miniswhite":
            stored = np.iinfo(dtype).max - pixels
        alpha = ["unassalpha"] if channels in ((2,), (4,)) else None
        photometric = "rgb" if channels and channels[0] > 2 else "minisblack"
        settings = {"photometric": photometric, "extrasamples": alpha, **options}
        tifffile.imwrite(folder / "in.tif", stored, **settings)
        return folder / "in.tif", pixels

    return store


MODES = {
    "1-bit": store_with_pillow("1", "png"),
    "grey": store_with_pillow("L", "png"),
    "grey-alpha": store_with_pillow("LA", "png"),
    "palette": store_with_pillow("P", "png"),
    "palette-alpha": store_with_pillow("RGBA", "webp", lossless=True, exact=True),
    "rgb": store_with_pillow("RGB", "png"),
    "rgba": store_with_pillow("RGBA", "png"),
    "jpeg": store_with_pillow("RGB", "jpg", quality=95),
    "jpeg-grey": store_with_pillow("L", "jpg", quality=95),
    "jpeg-cmyk": store_with_pillow("CMYK", "jpg", quality=95, subsampling=0),
    "tiff-cmyk": store_with_pillow("CMYK", "tif"),
    "gif": store_with_pillow("P", "gif"),
    "bmp": store_with_pillow("RGB", "bmp"),
    "png-16-grey": store_deep_png(),
    "png-16-grey-alpha": store_deep_png(2),
    "png-16-rgb": store_deep_png(3),
    "png-16-rgba": store_deep_png(4),
    "tiff-16-grey": store_tiff(),
    "tiff-16-white-is-0": store_tiff(photometric="miniswhite"),
    "tiff-16-grey-alpha": store_tiff(2),
    "tiff-16-rgb": store_tiff(3),
    "tiff-16-rgb-big-endian": store_tiff(3, byteorder=">"),
    "tiff-16-rgb-planes": store_tiff(3, planarconfig="separate"),
    "tiff-16-rgb-deflate": store_tiff(3, compression="zlib", predictor=True),
    "tiff-16-rgb-lzw-tiles": store_tiff(3, compression="lzw", tile=(16, 16)),
    "tiff-16-rgba": store_tiff(4),
    "tiff-rgba": store_tiff(4, dtype=np.uint8),
}
READERS: dict[str, Callable[[bytes], Any]] = {
    "png": imagecodecs.png_decode,
    "tif": lambda content: tifffile.imread(BytesIO(content)),
    "jpg": imagecodecs.jpeg8_decode,
    "webp": imagecodecs.webp_decode,
    "avif": imagecodecs.avif_decode,
    "jp2": imagecodecs.jpeg2k_decode,
    "bmp": imagecodecs.bmp_decode,
}
ALPHA, DEEP = {"png", "tif", "webp", "avif", "jp2"}, {"png", "tif"}
TOLERANCE = {"jpg": 6, "webp": 11, "avif": 11}  # of 255


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_to_every_format(
    run: Run,
    tmp_path: Path,
    bicubic: Path,
    mode: str,
    ending: str,
) -> None:
    source, seen = MODES[mode](tmp_path)
    target = tmp_path / f"out.{ending}"
    done = run("upscale", source, "-m", bicubic, "-o", target)
    deep = seen.dtype == np.uint16
    deep_enough = ending in DEEP or (ending == "jp2" and seen.ndim == 2)
    if (deep and not deep_enough) or (seen.shape[2:] in ((2,), (4,)) and ending not in ALPHA):
        assert done.code == 1
        assert "write out.png instead" in done.err
        assert not target.exists()
        return
    assert done.code == 0, done.err
    result = READERS[ending](target.read_bytes())
    expected = enlarged(seen)
    if result.shape[2:] != seen.shape[2:]:  # formats without grey, decoders without a way to say so
        assert ending in ("webp", "avif", "bmp", "jp2")
        result = as_grey(result, seen.shape[2:])
    assert result.dtype == seen.dtype
    assert result.shape == (2 * HEIGHT, 2 * WIDTH, *seen.shape[2:])
    inner = (slice(4, -4), slice(4, -4))
    white = 65535 if deep else 255
    difference = np.abs(np.atleast_3d(result).astype(float) - expected.clip(0, white))[inner]
    # Alpha does not overshoot as bicubic does, which shows in 16 bits, but would not in 8.
    allowed = 25 if deep else TOLERANCE.get(ending, 0) + 1.01
    assert difference.mean() <= allowed / 2
    assert ending in TOLERANCE or difference.max() <= allowed


def as_grey(result: NDArray[Any], channels: tuple[int, ...]) -> NDArray[Any]:
    """Of three equal colours, one; of an opaque alpha, none."""
    if channels == () or channels == (2,):
        colors = result[..., :3].astype(int)
        assert np.abs(colors - colors[..., :1]).max() <= 2
    if result.shape[2:] == (4,) and channels in ((), (3,)):
        assert (result[..., 3] == 255).all()
    if channels == ():
        return result[..., 0]
    return result[..., [0, -1]] if channels == (2,) else result[..., :3]


def test_sixteen_bits_are_real_ones(run: Run, tmp_path: Path, bicubic: Path) -> None:
    """A ramp of less than two 8-bit levels keeps its many steps."""
    ramp = np.broadcast_to(np.arange(30_000, 30_400, dtype=np.uint16)[:, None], (8, 400, 3))
    (tmp_path / "in.png").write_bytes(png_of(ramp))
    assert run("upscale", tmp_path / "in.png", "-m", bicubic, "-o", tmp_path / "o.tif").code == 0
    assert len(np.unique(tifffile.imread(tmp_path / "o.tif"))) == 400


# Metadata


def metadata() -> dict[str, Any]:
    exif = Image.Exif()
    exif[MAKER], exif[ARTIST] = "Voigt", "Ada"
    exif.get_ifd(EXIF).update({EXPOSURE: 0.5, PIXELS_ACROSS: WIDTH, PIXELS_DOWN: HEIGHT})
    exif.get_ifd(EXIF)[INTEROP] = {1: "R98"}
    exif[EXIF] = exif.get_ifd(EXIF)
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 12.0, 0.0)})
    exif[GPS] = exif.get_ifd(GPS)
    exif[ORIENTATION] = 6
    return {"exif": exif, "icc_profile": SRGB, "dpi": (240, 240)}


def store_with_metadata(path: Path, **more: Any) -> None:
    options = metadata() | more
    if path.suffix == ".png":
        path.write_bytes(png_of(smooth(3), png_metadata(options["exif"])))
        return
    if path.suffix == ".tif":  # Pillow writes tags of the picture, so they are given as such
        exif = options.pop("exif")
        options["tiffinfo"] = {tag: exif[tag] for tag in (MAKER, ARTIST, ORIENTATION)}
        options["tiffinfo"] |= {EXIF: exif.get_ifd(EXIF), GPS: exif.get_ifd(GPS), 700: XMP}
    else:
        options["xmp"] = XMP
        options["exif"].update({282: 240, 283: 240, 296: 2})  # for formats with no other place
    Image.fromarray(smooth(3)).save(path, **options)


def png_metadata(exif: Image.Exif) -> bytes:
    return (
        chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB))
        + chunk(b"pHYs", struct.pack(">IIB", 9449, 9449, 1))
        + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    )


def exif_in(content: bytes, ending: str) -> bytes:
    """The EXIF block, which is a TIFF without pixels, found without Pillow."""
    if ending == "tif":
        return content
    if ending == "png":
        start = content.index(b"eXIf")
        return content[start + 4 : start + 4 + int.from_bytes(content[start - 4 : start], "big")]
    marker = {"jpg": b"Exif\0\0", "webp": b"EXIF", "avif": b"Exif\0\0"}[ending]
    start = content.rindex(marker) if ending != "jpg" else content.index(marker)
    block = content[start + len(marker) :]
    return block[min(i for i in (block.find(b"II*\0"), block.find(b"MM\0*")) if i >= 0) :]


@pytest.mark.parametrize("target", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("source", ["jpg", "png", "tif", "webp", "avif"])
def test_metadata_is_carried_over(
    run: Run,
    tmp_path: Path,
    bicubic: Path,
    source: str,
    target: str,
) -> None:
    store_with_metadata(tmp_path / f"in.{source}")
    path = tmp_path / f"out.{target}"
    assert run("upscale", tmp_path / f"in.{source}", "-m", bicubic, "-o", path).code == 0
    content = path.read_bytes()
    with Image.open(path) as image:
        assert image.size == (2 * HEIGHT, 2 * WIDTH)  # it lay on its side
        assert image.info["icc_profile"] == SRGB
        if target in ("jpg", "png", "tif"):
            assert image.info["dpi"] == pytest.approx((240, 240), abs=0.1)
    with tifffile.TiffFile(BytesIO(exif_in(content, target))) as block:
        tags = block.pages.first.tags
        assert tags[MAKER].value == "Voigt"
        assert tags[ARTIST].value == "Ada"
        assert ORIENTATION not in tags or tags[ORIENTATION].value == 1
        assert len(block.pages) == 1  # no thumbnail
        exif = tags[EXIF].value
        assert exif["PixelXDimension"] == 2 * HEIGHT
        assert exif["PixelYDimension"] == 2 * WIDTH
        assert exif["ExposureTime"] in (0.5, (1, 2))
        place = exif["InteroperabilityTag"]
        assert b"R98" in exif_in(content, target)[place : place + 18]
        assert tags[GPS].value["GPSLatitudeRef"] == "N"
        if target in ("webp", "avif"):
            assert tags[282].value[0] / tags[282].value[1] == pytest.approx(240, abs=0.1)
    assert b'dc:format="kept"' in content
    assert b"tiff:Orientation" not in content
    assert b'tiff:ImageWidth="34"' in content
    assert b'exif:PixelXDimension="34"' in content


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "avif"])
def test_strip(run: Run, tmp_path: Path, bicubic: Path, ending: str) -> None:
    store_with_metadata(tmp_path / f"in.{ending}")
    path = tmp_path / f"out.{ending}"
    assert run("upscale", tmp_path / f"in.{ending}", "-m", bicubic, "-o", path, "--strip").code == 0
    content = path.read_bytes()
    for remainder in (b"Voigt", b"kept", b"lcms", b"acsp"):
        assert remainder not in content
    with Image.open(path) as image:
        assert image.size == (2 * HEIGHT, 2 * WIDTH)
        assert image.info.get("dpi", (72, 72)) != (240, 240)


def test_thumbnail_is_dropped(run: Run, tmp_path: Path, bicubic: Path) -> None:
    """It would show the small picture, perhaps turned, perhaps of something cut away."""
    exif = metadata()["exif"]
    thumbnail = BytesIO()
    Image.new("RGB", (8, 8), "red").save(thumbnail, "JPEG")
    block = bytearray(exif.tobytes())
    # A second directory at the end, and its place where the first one ends.
    block += bytes(len(block) % 2)
    (count,) = struct.unpack_from(">H", block, 14)
    struct.pack_into(">I", block, 16 + 12 * count, len(block) - 6)
    place = len(block) - 6 + 2 + 2 * 12 + 4
    block += struct.pack(">H", 2)
    block += struct.pack(">HHII", 513, 4, 1, place)
    block += struct.pack(">HHII", 514, 4, 1, len(thumbnail.getvalue()))
    block += bytes(4) + thumbnail.getvalue()
    Image.fromarray(smooth(3)).save(tmp_path / "in.jpg", exif=bytes(block))
    with Image.open(tmp_path / "in.jpg") as image:
        assert 513 in image.getexif().get_ifd(ExifTags.IFD.IFD1)
    assert run("upscale", tmp_path / "in.jpg", "-m", bicubic, "-o", tmp_path / "o.jpg").code == 0
    assert (tmp_path / "o.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


# CMYK


def cmyk_profile() -> bytes:
    """A profile of four inks that are not those which Pillow's formula assumes.

    An 8-bit table of two points a side from CMYK to Lab, with curves that change nothing.
    """
    corners = np.array(
        [
            [255 * (1 - 0.4 * c) * (1 - 0.3 * m) * (1 - 0.1 * y) * (1 - 0.8 * k), 128, 128]
            for c in (0, 1)
            for m in (0, 1)
            for y in (0, 1)
            for k in (0, 1)
        ]
    )
    curve = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    table += curve * 4 + corners.astype(np.uint8).tobytes() + curve * 3
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0" + bytes(3)
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    tags = {b"A2B0": table, b"wtpt": white, b"cprt": text, b"desc": description}
    place, entries, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        entries += name + struct.pack(">II", place + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s", place + len(body), b"lcms", 0x2400000, b"prtr", b"CMYK", b"Lab "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def test_cmyk_is_converted_by_its_profile(
    run: Run,
    tmp_path: Path,
    bicubic: Path,
) -> None:
    """These inks mix to greys, where Pillow's formula sees cyan."""
    image = Image.new("CMYK", (6, 5), (255, 0, 0, 0))
    image.save(tmp_path / "in.tif", icc_profile=cmyk_profile())
    done = run("upscale", tmp_path / "in.tif", "-m", bicubic, "-o", tmp_path / "out.png")
    assert done.code == 0
    assert "note: " in done.err
    assert "converted to sRGB by its profile" in done.err
    pixels = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    assert np.ptp(pixels[5, 5].astype(int)) <= 2
    assert int(pixels[5, 5, 0]) == pytest.approx(143, abs=6)  # L* = 60
    with Image.open(tmp_path / "out.png") as image:
        profile = ImageCms.getOpenProfile(BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_cmyk_without_a_profile_is_noted(
    run: Run,
    tmp_path: Path,
    bicubic: Path,
) -> None:
    Image.new("CMYK", (6, 5), (255, 0, 0, 0)).save(tmp_path / "in.jpg")
    done = run("upscale", tmp_path / "in.jpg", "-m", bicubic, "-o", tmp_path / "out.png")
    assert done.code == 0
    assert "without a profile" in done.err


# How files are encoded


def test_quality_and_lossless(run: Run, tmp_path: Path, bicubic: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")

    def size(name: str, *options: object) -> int:
        path = tmp_path / name
        assert run("upscale", tmp_path / "in.png", "-m", bicubic, "-o", path, *options).code == 0
        return path.stat().st_size

    for ending in "jpg", "webp", "avif":
        assert size(f"low.{ending}", "--quality", 30) < size(f"default.{ending}") / 2
    size("exact.png")
    size("exact.webp", "--lossless")
    np.testing.assert_array_equal(
        imagecodecs.webp_decode((tmp_path / "exact.webp").read_bytes()),
        imagecodecs.png_decode((tmp_path / "exact.png").read_bytes()),
    )


def test_format_by_option(run: Run, tmp_path: Path, bicubic: Path) -> None:
    Image.fromarray(smooth(3)).save(tmp_path / "photo.png")
    done = run("upscale", tmp_path / "photo.png", "-m", bicubic, "--format", "JPG")
    assert done.code == 0
    assert (tmp_path / "photo_x2.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_only_the_first_page_is_noted(run: Run, tmp_path: Path, bicubic: Path) -> None:
    pages = [Image.new("L", (5, 5), value) for value in (0, 90)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    done = run("upscale", tmp_path / "in.tif", "-m", bicubic)
    assert done.code == 0
    assert "the first of 2" in done.err


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp", "gif"])
def test_files_do_not_depend_on_tiles(run: Run, tmp_path: Path, bicubic: Path, ending: str) -> None:
    """Byte for byte: nor on machines, then, whose memory chooses the tiles."""
    pixels = np.random.default_rng(0).integers(0, 256, (150, 41, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"small.{ending}")
    made = []
    for tile in (None, 7, 33, 64, 149):
        target = tmp_path / f"{tile}.{ending}"
        options = [] if tile is None else ["--tile", tile]
        run("upscale", tmp_path / f"small.{ending}", "-o", target, "-m", bicubic, *options)
        made.append(target.read_bytes())
    assert all(content == made[0] for content in made)
