"""Enormous pictures: known before they start, streamed where that is possible."""

import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from conftest import Run
from numpy.typing import NDArray
from PIL import Image

from bnnup.folders import estimate as estimating
from bnnup.folders.estimate import estimate
from bnnup.pictures import tiff, write
from bnnup.pictures.formats import Encoding
from bnnup.system import memory


def test_streamed_formats_need_no_room_for_the_result() -> None:
    streamed, whole = (
        estimate(16_000, 12_000, (2,), (32_000, 24_000), name, 400 << 20)
        for name in ("PNG", "JPEG")
    )
    assert streamed < 2.5e9
    assert whole > streamed + 1e9


def test_passes_and_depth_count() -> None:
    def of(*scales: int, bits: int = 8) -> int:
        return estimate(1000, 1000, scales, (4000, 4000), "PNG", 0, bits)

    assert of(4) == of(2) == 8_000_000
    assert of(2, 2) == 4_000_000 * 5
    assert of(4, bits=16) == 12_000_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "available", lambda: 500 << 20)


def test_what_cannot_fit_is_refused_before_it_is_decoded(
    run: Run, tmp_path: Path, tiny: Path, little_memory: None
) -> None:
    Image.new("L", (8000, 6000)).save(tmp_path / "in.png")
    content = (tmp_path / "in.png").read_bytes()
    (tmp_path / "in.png").write_bytes(content[:200])  # the header is sound
    done = run("upscale", tmp_path / "in.png", "-m", tiny, "-o", tmp_path / "out.jpg")
    assert done.code == 1
    assert "GB of memory" in done.err
    assert "PNG and TIFF take the least" in done.err


def test_dry_run_estimates(run: Run, tmp_path: Path, tiny: Path) -> None:
    Image.new("L", (1000, 1000)).save(tmp_path / "in.png")
    done = run("upscale", tmp_path / "in.png", "-m", tiny, "--dry-run")
    assert done.code == 0
    assert "2000×2000, about 427 MB of memory" in done.err


def test_what_is_free_is_a_part_of_all() -> None:
    assert 0 < memory.available() <= psutil.virtual_memory().total


def test_files_that_a_container_keeps_in_memory_are_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count as its own, though they make room when it is needed."""
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    megabyte = 2**20
    (tmp_path / "memory.max").write_text(f"{60 * megabyte}\n")
    (tmp_path / "memory.current").write_text(f"{59 * megabyte}\n")
    assert memory.available() == megabyte
    (tmp_path / "memory.stat").write_text(f"anon 7\nactive_file 9\ninactive_file {40 * megabyte}\n")
    assert memory.available() == 41 * megabyte
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 60 * megabyte


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_streamed_formats_never_hold_the_result(name: str) -> None:
    """40 megapixels, 120 MB of pixels, in strips of 0.6 MB."""

    def strips() -> Iterator[NDArray[np.uint8]]:
        for _ in range(400):
            yield np.zeros((25, 4000, 3), np.uint8)

    class Sink(BytesIO):
        def write(self, content: object) -> int:
            return len(content) if self.tell() else super().write(content)  # type: ignore[arg-type]

    tracemalloc.start()
    write.encode(strips(), (10_000, 4000, 3), {}, Encoding(name), Sink())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("shape", [(130, 5), (70, 5, 4), (3, 5, 3)], ids=str)
def test_tiff_beyond_four_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """A file is BigTIFF when it might become as large as that, here at once."""
    monkeypatch.setattr(tiff, "CLASSIC_END", 0)
    pixels = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    exif = Image.Exif()
    exif[271] = "Voigt"
    exif[34665] = {40962: 1, 40963: 1}
    info = {"exif": exif.tobytes(), "dpi": (300.0, 300.0)}
    with (tmp_path / "out.tif").open("w+b") as file:
        write.encode(np.split(pixels, [1, 2]), shape, info, Encoding("TIFF"), file)
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.is_bigtiff
        np.testing.assert_array_equal(written.asarray(), pixels)
        assert written.pages.first.tags[271].value == "Voigt"
        assert written.pages.first.tags[34665].value["PixelYDimension"] == shape[0]
    with Image.open(tmp_path / "out.tif") as image:
        image.load()
        assert image.size == (5, shape[0])
