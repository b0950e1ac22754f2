"""XMP: the same to the byte, or what it says of pixels set right; ElementTree reads it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from stored import enlarge, insert, save

from bnnup.pictures import xmp
from bnnup.pictures.change import Change


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


@pytest.mark.parametrize("orientation", [1, 6])
def test_regions_of_iptc_are_scaled_or_left_out(orientation: int) -> None:
    body = "<i:ImageRegion><i:rbX>12</i:rbX><i:rbH>0.25</i:rbH></i:ImageRegion>"
    content = packet(body, i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/")
    changed, lost = xmp.changed(content, Change((40, 40), (80, 80), orientation))
    assert changed is not None
    if orientation == 1:
        assert (values(changed)["rbX"], values(changed)["rbH"]) == ("24", "0.25")
    else:
        assert b"rbX" not in changed
        assert "IPTC" in " ".join(lost)
