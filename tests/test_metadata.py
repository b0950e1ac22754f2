"""What files say besides their pixels: carried to the byte, set right, or left out with a remark.

Readers that did not write it have the last word: Pillow's directories, ElementTree, tifffile,
and ExifTool where there is one.
"""

import json
import shutil
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from bnnup.errors import MediaError
from bnnup.pictures import exif as own_exif
from bnnup.pictures import icc, ifd, photoshop, xmp
from bnnup.pictures.change import Change
from bnnup.pictures.fit import fit
from bnnup.pictures.formats import Encoding, format_of
from bnnup.pictures.metadata import for_size
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import peek, read_picture
from bnnup.pictures.write import encode, write_picture

WIDTH, HEIGHT = 24, 16
EXIF, INTEROP = 34665, 40965
needs_exiftool = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="ExifTool is not installed"
)


def scene(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 9, x * 9, y * 3 + x * 5], -1).astype(np.uint8)


def save(path: Path, **options: Any) -> Path:
    Image.fromarray(scene()).save(path, **options)
    return path


def enlarge(source: Path, target: Path, factor: int = 2) -> Picture:
    """What the program does with a picture, with pixels repeated in place of a network."""
    picture = read_picture(source)
    pixels = picture.pixels.repeat(factor, 0).repeat(factor, 1)
    info = for_size(picture.info, pixels.shape[1], pixels.shape[0])
    write_picture(Picture(pixels, info, picture.format), target)
    return picture


def told(path: Path, *options: str) -> dict[str, Any]:
    """What ExifTool says, by group and name."""
    command = ["exiftool", "-j", "-n", "-G1", "-a", *options, str(path)]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def tiff_block(order: str, *directories: list[tuple[int, int, bytes]]) -> bytes:
    """EXIF by hand: a main directory, and one that its last tag points to."""
    place, content = 8, b""
    for number, entries in enumerate(directories):
        rest, table = b"", b""
        end = place + 2 + 12 * len(entries) + 4
        for tag, kind, value in entries:
            size = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}[kind]
            field = value.ljust(4, b"\0")
            if len(value) > 4:
                field = struct.pack(order + "I", end + len(rest))
                rest += value + bytes(len(value) % 2)
            if tag == EXIF:
                field = b"next"
            table += struct.pack(order + "HHI", tag, kind, len(value) // size) + field
        head = struct.pack(order + "H", len(entries)) + table + bytes(4) + rest
        place += len(head)
        content += head.replace(b"next", struct.pack(order + "I", place)) if number == 0 else head
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + content


# EXIF

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
    main = {34264: own_exif.Value(12, matrix.tobytes()), 34735: own_exif.Value(3, keys)}
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


# XMP


def packet(body: str, attributes: str = "", **spaces: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        f'22-rdf-syntax-ns#"><rdf:Description rdf:about="" {names} {attributes}>{body}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def values(content: bytes) -> dict[str, str]:
    """Properties by name without their namespace, attributes and elements alike."""
    found = {}
    for element in ElementTree.fromstring(content).iter():
        for name, text in [*element.attrib.items(), (element.tag, (element.text or "").strip())]:
            found[name.rpartition("}")[2]] = text
    return found


@pytest.mark.parametrize("as_attributes", [False, True], ids=["elements", "attributes"])
@pytest.mark.parametrize("prefix", ["GPano", "other"])
def test_panoramas_stay_as_wide_as_they_are(prefix: str, as_attributes: bool) -> None:
    stated = {"FullPanoWidthPixels": 96, "CroppedAreaTopPixels": 7, "ProjectionType": "flat"}
    body = "".join(f"<{prefix}:{k}>{v}</{prefix}:{k}>" for k, v in stated.items())
    attributes = " ".join(f'{prefix}:{k}="{v}"' for k, v in stated.items())
    content = packet(
        "" if as_attributes else body,
        attributes if as_attributes else "",
        **{prefix: "http://ns.google.com/photos/1.0/panorama/"},
    )
    changed, lost = xmp.changed(content, Change((96, 64), (192, 192)))
    assert changed is not None
    found = values(changed)
    assert found["FullPanoWidthPixels"] == "192"
    assert found["CroppedAreaTopPixels"] == "21"
    assert found["ProjectionType"] == "flat"
    assert lost == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("as_attributes", [False, True], ids=["elements", "attributes"])
def test_faces_are_where_they_are(orientation: int, as_attributes: bool) -> None:
    area = {"x": 0.3, "y": 0.4, "w": 0.1, "h": 0.2}
    body = "".join(f"<a:{name}>{value}</a:{name}>" for name, value in area.items())
    attributes = " ".join(f'a:{name}="{value}"' for name, value in area.items())
    inside = f"<r:Area {attributes}/>" if as_attributes else f"<r:Area>{body}</r:Area>"
    size = (
        '<r:AppliedToDimensions d:w="50" d:h="40"/><m:Rectangle>0.25, 0.3, 0.1, 0.2</m:Rectangle>'
    )
    content = packet(
        inside + size,
        r="http://www.metadataworkinggroup.com/schemas/regions/",
        a="http://ns.adobe.com/xmp/sType/Area#",
        d="http://ns.adobe.com/xap/1.0/sType/Dimensions#",
        m="http://ns.microsoft.com/photo/1.2/t/Region#",
    )
    across = orientation >= 5
    new = (80, 100) if across else (100, 80)
    changed, _ = xmp.changed(content, Change((50, 40), new, orientation))
    assert changed is not None
    root = ElementTree.fromstring(changed)
    found = {}
    for element in root.iter():
        for name, text in [*element.attrib.items(), (element.tag, element.text)]:
            if "sType/Area#" in name:
                found[name[-1]] = float(text or 0)
    x, y = Change((50, 40), new, orientation).point(0.3 * 50, 0.4 * 40)
    assert (found["x"] * new[0], found["y"] * new[1]) == pytest.approx((x, y))
    assert (found["w"], found["h"]) == ((0.2, 0.1) if across else (0.1, 0.2))
    stated = values(changed)
    assert (stated["w"], stated["h"]) in {
        (str(new[0]), str(new[1])),
        ("0.1", "0.2"),
        ("0.2", "0.1"),
    }
    left, top, width, height = (float(part) for part in stated["Rectangle"].split(","))
    middle = (left + width / 2) * new[0], (top + height / 2) * new[1]
    assert middle == pytest.approx((x, y))


GONE = {
    "gain map": ("http://ns.adobe.com/hdr-gain-map/1.0/", "<p:Version>1.0</p:Version>"),
    "film": ("http://ns.google.com/photos/1.0/camera/", "<p:MotionPhoto>1</p:MotionPhoto>"),
    "main packet": ("http://ns.adobe.com/xmp/note/", "<p:HasExtendedXMP>A0</p:HasExtendedXMP>"),
    "preview": ("http://ns.adobe.com/xap/1.0/", "<p:Thumbnails><p:a>x</p:a></p:Thumbnails>"),
    "depth": ("http://ns.google.com/photos/1.0/depthmap/", "<p:Near>1</p:Near>"),
}


@pytest.mark.parametrize("what", GONE)
def test_what_lay_elsewhere_is_left_out_with_a_remark(tmp_path: Path, what: str) -> None:
    space, body = GONE[what]
    content = packet(body + "<k:format>kept</k:format>", p=space, k="http://purl.org/dc/")
    save(tmp_path / "in.jpg", xmp=content)
    picture = enlarge(tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert what in " ".join(picture.notes)
    with Image.open(tmp_path / "out.jpg") as image:
        found = image.info["xmp"]
    assert values(found)["format"] == "kept"
    assert body.encode() not in found


def test_a_container_of_what_follows_the_picture_is_left_out() -> None:
    content = packet(
        '<c:Directory><c:Item i:Semantic="MotionPhoto" i:Length="99"/></c:Directory>',
        'g:MicroVideo="1" g:MicroVideoOffset="4711" g:Brand="kept"',
        c="http://ns.google.com/photos/1.0/container/",
        i="http://ns.google.com/photos/1.0/container/item/",
        g="http://ns.google.com/photos/1.0/camera/",
    )
    changed, _ = xmp.changed(content, Change((4, 4), (8, 8)))
    assert changed is not None
    assert values(changed)["Brand"] == "kept"
    assert b"4711" not in changed
    assert b"Semantic" not in changed


def test_xmp_that_says_nothing_of_pixels_stays_to_the_byte() -> None:
    content = (
        packet("<!-- a remark --><d:title>ä &amp; ö</d:title>  ", d="http://purl.org/dc/") + b"  "
    )
    assert xmp.changed(content, Change((4, 4), (8, 8))) == (content, [])


def test_text_survives_a_rewriting() -> None:
    content = packet(
        "<t:Orientation>1</t:Orientation><d:title>a &lt;b&gt; &amp; “c” &#10;ü</d:title>",
        'd:quoted="&quot;&lt;&#10;&gt;"',
        t="http://ns.adobe.com/tiff/1.0/",
        d="http://purl.org/dc/elements/1.1/",
    )
    changed, _ = xmp.changed(content, Change((4, 4), (8, 8)))
    assert changed is not None
    before, after = values(content), values(changed)
    assert before.pop("Orientation") == "1"
    assert after == before


@pytest.mark.parametrize(
    "content",
    [b"<x:xmpmeta", b"Orientation", packet("<t:Orientation>"), b'<!DOCTYPE x [<!ENTITY a "b">]>'],
)
def test_xmp_that_is_no_xml_is_left_out_with_a_remark(tmp_path: Path, content: bytes) -> None:
    save(tmp_path / "in.png")
    chunk = b"XML:com.adobe.xmp\0\0\0\0\0" + content + b" Orientation"
    insert(tmp_path / "in.png", b"iTXt", chunk)
    picture = enlarge(tmp_path / "in.png", tmp_path / "out.png")
    assert "XMP" in " ".join(picture.notes)
    with Image.open(tmp_path / "out.png") as image:
        assert "xmp" not in image.info


# What stands around the pixels of PNG


def insert(path: Path, kind: bytes, content: bytes, checksum: int | None = None) -> None:
    """Puts a chunk right after the header."""
    png = path.read_bytes()
    found = zlib.crc32(kind + content) if checksum is None else checksum
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", found)
    path.write_bytes(png[:33] + chunk + png[33:])


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
    if checksum is not None or name in ("bomb", "profile-cut-off"):
        assert "left out" in " ".join(picture.notes)


def test_text_in_png_stays(tmp_path: Path) -> None:
    path = save(tmp_path / "in.png")
    insert(path, b"tEXt", b"Author\0J\xfcrgen")
    insert(path, b"iTXt", b"Title\0\0\0de\0Titel\0" + "Überschrift".encode())
    insert(path, b"zTXt", b"Workflow\0\0" + zlib.compress(b"{}" * (1 << 20)))
    enlarge(path, tmp_path / "out.png")
    content = (tmp_path / "out.png").read_bytes()
    assert b"tEXtAuthor\0J\xfcrgen" in content
    assert "Titel\0Überschrift".encode() in content
    assert zlib.compress(b"{}" * (1 << 20)) in content
    picture = Picture(scene(), read_picture(path).info)
    assert "text, which JPEG" in " ".join(read_after(picture, tmp_path / "out.jpg").notes)


def read_after(picture: Picture, path: Path) -> Picture:
    """What becomes of a picture on its way into a file."""
    return fit(picture, Encoding(format_of(path)), path.name)


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
    adapted = np.linalg.inv(np.array(opened.chromatic_adaptation[0])) @ columns.T
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
        image = pillow_heif.from_pillow(Image.fromarray(scene()))
        image.save(path, color_primaries=12, transfer_characteristics=13)
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
    after = read_after(read_picture(path), tmp_path / "out.jpg")
    assert "icc_profile" not in after.info
    assert "GRAY" in " ".join(after.notes)


def test_the_same_profile_is_made_at_any_time() -> None:
    made = icc.to_profile(((b"cICP", bytes((12, 13, 0, 1))),), grey=False)
    assert made is not None
    assert made[24:36] == icc.srgb()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)


# IPTC and comments

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
    after = read_after(picture, tmp_path / f"out.{ending}")
    assert key not in after.info
    assert len(after.notes) == 1
    assert after.notes[0].startswith("left out")
    write_picture(picture, tmp_path / f"out.{ending}")


# Parsers and hostile input

BYTES = [
    b" ",
    b"\n",
    b"<",
    b">",
    b"&",
    b'"',
    b"=",
    b"a",
    b"0",
    b"\0",
    b"\xff",
    b"#",
    b"/",
    b"-",
    b"8BIM",
]
BYTES += [b"II", b"<a>", b"<a/>", b"Orientation ", b"1 ", b"\x1c\x02"]
PARSERS = """
import sys
from io import BytesIO
from bnnup.pictures import boxes, exif, jxl, photoshop, png, pnm, xmp
from bnnup.pictures.change import Change
piece = bytes.fromhex(sys.argv[1])
full = (piece * (1 << 20))[: 1 << 20]
change = Change((4, 6), (12, 8), 6)
start = b'<x xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"'
for content in (full, start + b">" + full + b"</x>", start + b' a="' + full, start + full):
    xmp.orientation(content)
    xmp.changed(content, change)
for head in (b"", b"II*\\0\\x08\\0\\0\\0", b"MM\\0+\\0\\x08\\0\\0" + bytes(7) + b"\\x10"):
    found = exif.Exif.parse(head + full)
    if found is not None:
        found.changed(change)[0].serialize()
for head in (b"", b"P5", b"P2 4 4 255 ", b"P6 4"):
    pnm.white(BytesIO(head + full))
    try:
        pnm.read_pnm(BytesIO(head + full))
    except (ValueError, OverflowError):
        pass
photoshop.parse(photoshop.MARK + full)
list(boxes.boxes(full)), list(boxes.inside(full, b"meta", b"iprp")), boxes.jpeg2000_bits(full)
jxl.read_header(b"\\xff\\x0a" + full), jxl.read_xmp(jxl.SIGNATURE + full)
png.read_surroundings(BytesIO(png.SIGNATURE + full))
chunk = len(full).to_bytes(4) + b"zTXt" + full + bytes(4)
png.read_surroundings(BytesIO(png.SIGNATURE + chunk))
"""


@pytest.mark.parametrize("piece", BYTES, ids=repr)
def test_a_megabyte_of_anything_is_parsed_in_no_time(piece: bytes) -> None:
    """Whatever took time that grows with the square of it would take hours."""
    command = [sys.executable, "-c", PARSERS, piece.hex()]
    subprocess.run(command, check=True, timeout=100, capture_output=True)


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
