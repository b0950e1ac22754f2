"""Files that are not what their names say: each is reported, and the others are done."""

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from conftest import Run
from folders import contents, lines, save
from PIL import Image


def png(width: int, height: int, *, bits: int = 8, kind: int = 2, pixels: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def malformed() -> dict[str, bytes]:
    """Files that are not what their names say, by name."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    files = {}
    for format_name in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000"):
        whole = BytesIO()
        Image.fromarray(pixels).save(whole, format_name)
        content = whole.getvalue()
        ending = {"JPEG": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}.get(format_name, format_name)
        for percent in (0, 2, 30, 60, 90):
            cut = content[: len(content) * percent // 100]
            files[f"cut-{percent:02}.{ending.lower()}"] = cut
    rows = b"".join(b"\0" + row.tobytes() * 2 for row in pixels)
    deep = png(50, 40, bits=16, pixels=rows)
    files |= {f"deep-{percent}.png": deep[: len(deep) * percent // 100] for percent in (40, 95)}
    little = png(4, 4, pixels=(b"\0" + bytes(12)) * 4)
    return files | {
        "text.jpg": b"hello\n" * 100,
        "page.webp": b"<!doctype html><title>404</title>",
        "zeros.png": bytes(10_000),
        "zeros.tif": bytes(10_000),
        "bomb.png": png(60_000, 60_000),
        "bomb-deep.png": png(60_000, 60_000, bits=16),
        "wide.png": png((1 << 31) - 1, 1),
        "no-width.png": png(0, 4),
        "no-pixels.png": png(4, 4),
        "few-pixels.png": png(400, 400, pixels=bytes(50)),
        "few-deep-pixels.png": png(400, 400, bits=16, pixels=bytes(50)),
        "kind.png": png(4, 4, kind=5),
        "checksum.png": little[:20] + b"\xff" + little[21:],
        "places.tif": b"II*\0\xff\xff\xff\x7f",
        "loop.tif": b"II*\0\x08\0\0\0" + bytes(2) + b"\x08\0\0\0",
        "archive.png": b"PK\x03\x04" + bytes(500),
    }


def test_malformed_files_are_reported_and_passed_over(run: Run, tmp_path: Path, tiny: Path) -> None:
    files = malformed()
    assert len(files) >= 40
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    save(folder / "good.jpg")
    (folder / "misnamed.jpg").write_bytes(png(4, 4, pixels=(b"\0" + bytes(12)) * 4))
    (folder / "folder.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    done = run("upscale", folder, "-o", out, "-m", tiny, "--json")
    assert done.code == 1
    rows = {Path(str(row["input"])).name: row for row in lines(done.out)}
    assert {name for name, row in rows.items() if row["status"] == "failed"} == set(files)
    assert {name for name, row in rows.items() if row["status"] == "done"} == {
        "good.jpg",
        "misnamed.jpg",
    }
    for name in files:
        assert name in str(rows[name]["error"])
        assert "\n" not in str(rows[name]["error"])
    assert sorted(contents(out)) == ["good.jpg", "misnamed.jpg"]
    assert f"{len(files)} failed" in done.err
