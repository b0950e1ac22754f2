"""Animations keep their frames, times and loops."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from conftest import Run
from PIL import Image

DURATIONS = (100, 250, 40, 100)


def store(path: Path, *, alpha: bool = False, **options: object) -> None:
    """Four frames with a square that wanders; what is around it is grey or transparent."""
    frames = []
    for number in range(4):
        pixels = np.full((16, 24, 4), (90, 90, 90, 0 if alpha else 255), np.uint8)
        pixels[4:12, 2 + 5 * number : 8 + 5 * number] = (200, 30 * number, 60, 255)
        frames.append(Image.fromarray(pixels if alpha else pixels[..., :3]))
    more = {"disposal": 2} if path.suffix == ".gif" else {}
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    settings = {"duration": DURATIONS, "loop": 3, **more, **lossless, **options}
    frames[0].save(path, save_all=True, append_images=frames[1:], **settings)


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize("target", ["gif", "webp", "png"])
@pytest.mark.parametrize("source", ["gif", "webp", "png"])
def test_frames_times_and_loops_stay(
    run: Run, tmp_path: Path, tiny: Path, source: str, target: str, alpha: bool
) -> None:
    path = tmp_path / f"out.{target}"
    store(tmp_path / f"in.{source}", alpha=alpha)
    done = run("upscale", tmp_path / f"in.{source}", "-m", tiny, "-o", path, "--alpha", "bicubic")
    assert done.code == 0, done.err
    with Image.open(path) as image:
        assert image.n_frames == 4
        assert image.size == (48, 32)
        assert image.info["loop"] == 3
        for number in range(4):
            image.seek(number)
            image.load()
            assert image.info["duration"] == DURATIONS[number]
            frame = np.asarray(image.convert("RGBA"))
            centre = frame[16, 2 * (5 + 5 * number)]
            assert centre[3] == 255
            assert frame[1, 1, 3] == (0 if alpha else 255)
            assert frame[1, 46, 3] == (0 if alpha else 255)


def test_each_frame_is_enlarged_as_a_picture_is(run: Run, tmp_path: Path, tiny: Path) -> None:
    store(tmp_path / "in.png")
    assert run("upscale", tmp_path / "in.png", "-m", tiny, "-o", tmp_path / "o.png").code == 0
    frames = imagecodecs.apng_decode((tmp_path / "o.png").read_bytes())
    with Image.open(tmp_path / "in.png") as image:
        for number in range(4):
            image.seek(number)
            image.convert("RGB").save(tmp_path / f"{number}.png")
            run("upscale", tmp_path / f"{number}.png", "-m", tiny)
            expected = imagecodecs.png_decode((tmp_path / f"{number}_x2.png").read_bytes())
            np.testing.assert_array_equal(frames[number], expected)


def test_played_once_stays_once(run: Run, tmp_path: Path, tiny: Path) -> None:
    store(tmp_path / "in.gif", loop=None)
    with Image.open(tmp_path / "in.gif") as image:
        assert "loop" not in image.info
    for ending in "gif", "webp":
        path = tmp_path / f"out.{ending}"
        assert run("upscale", tmp_path / "in.gif", "-m", tiny, "-o", path).code == 0
        with Image.open(path) as image:
            assert image.info.get("loop", 1) == 1


def test_formats_that_stand_still_get_the_first_frame(run: Run, tmp_path: Path, tiny: Path) -> None:
    store(tmp_path / "in.gif")
    done = run("upscale", tmp_path / "in.gif", "-m", tiny, "-o", tmp_path / "out.jpg")
    assert done.code == 0
    assert "only the first of 4 frames" in done.err


def test_a_frame_that_is_broken(run: Run, tmp_path: Path, tiny: Path) -> None:
    store(tmp_path / "in.webp")
    content = (tmp_path / "in.webp").read_bytes()
    (tmp_path / "in.webp").write_bytes(content[: len(content) * 2 // 3])
    done = run("upscale", tmp_path / "in.webp", "-m", tiny)
    assert done.code == 1
    assert "in.webp" in done.err
