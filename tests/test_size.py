"""Any size: which networks run, what is left to reduce, and how well that is done."""

import io
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from numpy.typing import NDArray
from PIL import Image

from bnnup.pixels.resample import resample
from bnnup.upscale.size import LARGEST, Size, plan_passes, read_box


@pytest.mark.parametrize(
    ("size", "input_size", "result", "label"),
    [
        (Size(factor=2), (30, 20), (60, 40), "x2"),
        (Size(factor=2.5), (31, 21), (78, 53), "x2.5"),
        (Size(factor=1.001), (3, 1), (3, 1), "x1.001"),
        (Size(width=3840), (1000, 667), (3840, 2561), "w3840"),
        (Size(height=5), (1000, 1), (5000, 5), "h5"),
        (Size(fit=(3840, 2160)), (1000, 500), (3840, 1920), "3840x2160"),
        (Size(fit=(3840, 2160)), (500, 1000), (1080, 2160), "3840x2160"),
        (Size(megapixels=24), (2000, 1500), (5657, 4243), "24mp"),
        (Size(width=1), (9999, 3), (1, 1), "w1"),
    ],
)
def test_sizes(
    size: Size, input_size: tuple[int, int], result: tuple[int, int], label: str
) -> None:
    assert size.of(*input_size) == result
    assert size.label == label


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"factor": 2.0, "width": 3},
        {"factor": 1.0},
        {"factor": 64.5},
        {"factor": float("nan")},
        {"factor": float("inf")},
        {"factor": -2.0},
        {"width": 0},
        {"fit": (0, 5)},
        {"megapixels": float("inf")},
    ],
    ids=str,
)
def test_sizes_that_are_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Size(**fields)


@pytest.mark.parametrize("text", ["", "3840", "3840x", "x2160", "3840x2160x3", "-1x5", "1.5x2"])
def test_boxes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="3840x2160"):
        read_box(text)


def test_boxes() -> None:
    assert read_box("3840x2160") == read_box("3840X2160") == read_box("3840×2160") == (3840, 2160)


@pytest.mark.parametrize(
    ("factor", "scales"),
    [
        (0.3, ()),
        (1, ()),
        (1.01, (2,)),
        (2, (2,)),
        (2.5, (3,)),
        (4, (4,)),
        (4.1, (2, 3)),
        (6, (2, 3)),
        (8, (2, 4)),
        (10, (3, 4)),
        (16, (4, 4)),
        (17, (2, 3, 3)),
        (64, (4, 4, 4)),
    ],
)
def test_passes(factor: float, scales: tuple[int, ...]) -> None:
    assert plan_passes(factor) == scales


def test_passes_always_reach() -> None:
    for factor in np.linspace(1.01, LARGEST, 500):
        assert factor <= prod(plan_passes(factor)) <= max(2, 2 * factor)
    with pytest.raises(ValueError, match="64"):
        plan_passes(64.01)


# The reduction


def noise(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    high = np.iinfo(dtype).max
    return np.random.default_rng(1).integers(0, high, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    "size", [(200, 344), (75, 129), (301, 516), (302, 519), (1, 1), (301, 517)]
)
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
def test_reduction_is_that_of_the_whole_picture(
    size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    """However it is cut into strips; Pillow reduces the whole one."""
    pixels = noise(517, 301, *channels)
    cuts: list[list[int]] = [[], [100, 101, 400], list(range(7, 517, 7))]
    results = [
        np.concatenate(list(resample(np.split(pixels, at), pixels.shape, size))) for at in cuts
    ]
    for result in results:
        np.testing.assert_array_equal(result, results[0])
    for i, plane in enumerate(np.moveaxis(np.atleast_3d(pixels), -1, 0)):
        image = Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        expected = np.asarray(image).clip(0, 255)
        assert np.abs(np.atleast_3d(results[0])[..., i] - expected).max() <= 0.501


def test_reduction_keeps_sixteen_bits() -> None:
    ramp = np.broadcast_to(np.arange(10_000, 10_300, dtype=np.uint16)[:, None, None], (300, 7, 3))
    result = next(resample([ramp], ramp.shape, (7, 120)))
    assert result.dtype == np.uint16
    assert len(np.unique(result)) == 120


# The command line


@pytest.mark.parametrize(
    ("options", "model", "size", "name"),
    [
        (["-s", "1.5"], 2, (18, 14), "photo_x1.5.jpg"),
        (["-s", "2.0"], 2, (24, 18), "photo_x2.jpg"),
        (["-s", "2.5"], 3, (30, 23), "photo_x2.5.jpg"),
        (["--width", 40], 4, (40, 30), "photo_w40.jpg"),
        (["--height", 18], 2, (24, 18), "photo_h18.jpg"),
        (["--fit", "100x30"], 4, (40, 30), "photo_100x30.jpg"),
        (["--megapixels", "0.0004"], 2, (23, 17), "photo_0.0004mp.jpg"),
        (["--width", 6], 2, (6, 5), "photo_w6.jpg"),
        (["-s", "16"], 4, (192, 144), "photo_x16.jpg"),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else None,
)
def test_result_has_the_size_that_was_asked_for(
    run: Run,
    folder: Path,
    model_files: Path,
    options: list[object],
    model: int,
    size: tuple[int, int],
    name: str,
) -> None:
    network = model_files / f"tiny-x{model}.safetensors"
    done = run("upscale", folder / "photo.jpg", "-m", network, *options)
    assert done.code == 0, done.err
    with Image.open(folder / name) as image:
        assert image.size == size
    assert ("warning" in done.err) == ("16" in options)


def test_many_passes_are_the_passes_one_after_the_other(
    run: Run,
    folder: Path,
    model_files: Path,
) -> None:
    network = model_files / "tiny-x4.safetensors"
    run("upscale", folder / "photo.jpg", "-m", network, "-s", 4, "-o", folder / "4.png")
    run("upscale", folder / "4.png", "-m", network, "-s", 4, "-o", folder / "4-4.png")
    run("upscale", folder / "photo.jpg", "-m", network, "-s", 16, "-o", folder / "16.png")
    with Image.open(folder / "4-4.png") as two, Image.open(folder / "16.png") as one:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


# Pipes


class Stream(io.StringIO):
    """A text stream over bytes, as sys.stdin and sys.stdout are."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.bytes = io.BytesIO(content)

    @property
    def buffer(self) -> io.BytesIO:
        return self.bytes


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_standard_input_and_output(
    run: Run,
    folder: Path,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    content = (folder / "photo.jpg").read_bytes()
    assert run("upscale", folder / "photo.jpg", "-m", tiny, "-o", folder / f"o.{ending}").code == 0
    monkeypatch.setattr(sys, "stdin", Stream(content))
    monkeypatch.setattr(sys, "stdout", stream := Stream())
    options = [] if ending == "jpg" else ["--format", ending]
    assert run("upscale", "-", "-m", tiny, *options).code == 0
    assert stream.getvalue() == ""
    assert stream.buffer.getvalue() == (folder / f"o.{ending}").read_bytes()


def test_standard_input_to_a_file(
    run: Run,
    folder: Path,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Stream((folder / "photo.jpg").read_bytes()))
    assert run("upscale", "-", "-m", tiny, "-o", folder / "out.png").code == 0
    with Image.open(folder / "out.png") as image:
        assert image.size == (24, 18)


def test_no_picture_on_standard_input(
    run: Run,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Stream(b"hello"))
    done = run("upscale", "-", "-m", tiny, "-o", "-")
    assert done.code == 1
    assert "standard input is not a picture" in done.err
