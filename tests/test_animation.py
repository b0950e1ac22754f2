"""Animations keep their frames, times and loops."""

import struct
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from conftest import Run
from numpy.typing import NDArray
from PIL import Image

from bnnup.errors import MediaError, StoppedError
from bnnup.pictures.animation import Animation
from bnnup.pictures.apng import read_frames
from bnnup.pictures.formats import Encoding
from bnnup.pictures.png import SIGNATURE, packed, write_chunk
from bnnup.pictures.read import decode, peek, read_picture
from bnnup.pictures.write import encode_animation

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
    settings: dict[str, Any] = {"duration": DURATIONS, "loop": 3, **more, **lossless, **options}
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
        assert frame_count(image) == 4
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


def frame_count(image: Any) -> int:
    return int(image.n_frames)


def film(count: int, *shape: int, dtype: type = np.uint8) -> Iterator[NDArray[Any]]:
    """Frames with a square that wanders over noise."""
    noise = np.random.default_rng(0).integers(0, 200, shape, dtype)
    for number in range(count):
        frame = noise.copy()
        frame[2:6, number % (shape[1] - 4) :][:, :4] = np.iinfo(dtype).max
        yield frame


def write(frames: Iterator[NDArray[np.uint8]], animation: Animation, name: str) -> bytes:
    """What becomes of frames on their way into a file."""
    file, first = BytesIO(), next(frames)

    def strips() -> Iterator[NDArray[np.uint8]]:
        yield first
        yield from frames

    encode_animation(strips(), first.shape, animation, {}, Encoding(name), file)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 2), (12, 20, 3), (12, 20, 4)], ids=str)
def test_sixteen_bits_of_apng_stay(
    run: Run, tmp_path: Path, bicubic: Path, shape: tuple[int, ...]
) -> None:
    frames = np.stack([*film(4, *shape, dtype=np.uint16)])
    animation = Animation(b"", 0, DURATIONS, 2, False)
    (tmp_path / "in.png").write_bytes(write(iter(frames), animation, "PNG"))
    np.testing.assert_array_equal(
        imagecodecs.apng_decode((tmp_path / "in.png").read_bytes()), frames
    )
    picture = read_picture(tmp_path / "in.png")
    assert picture.animation is not None
    assert (picture.animation.durations, picture.animation.loop) == (DURATIONS, 2)
    np.testing.assert_array_equal(np.stack([*picture.animation.frames()]), frames)
    assert run("upscale", tmp_path / "in.png", "-m", bicubic, "-o", tmp_path / "o.png").code == 0
    result = imagecodecs.apng_decode((tmp_path / "o.png").read_bytes())
    assert (result.dtype, result.shape) == (np.dtype(np.uint16), (4, 24, 40, *shape[2:]))
    done = run("upscale", tmp_path / "in.png", "-m", bicubic, "-o", tmp_path / "o.gif")
    assert "cannot hold 16 bits" in done.err


PLACES = [(0, 0), (2, 1), (5, 3)]


def three_parts() -> list[NDArray[np.uint8]]:
    """A whole frame, and two smaller ones with transparent and half transparent pixels."""
    rng = np.random.default_rng(1)
    parts = [rng.integers(0, 256, (*size, 4), np.uint8) for size in ((8, 9), (3, 4), (5, 2))]
    parts[0][..., 3] = 255
    parts[1][:2, :, 3], parts[1][2, :, 3] = 0, 255
    return parts


def assembled(parts: list[NDArray[Any]], disposal: int, blend: int) -> bytes:
    """An APNG of parts at their places."""
    file, number, bits = BytesIO(), 0, 8 * parts[0].itemsize
    file.write(SIGNATURE)
    write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", 9, 8, bits, 6, 0, 0, 0))
    write_chunk(file, b"acTL", struct.pack(">II", 3, 0))
    for part, corner in zip(parts, PLACES, strict=True):
        size = part.shape[1], part.shape[0]
        control = struct.pack(">IIIIIHHBB", number, *size, *corner, 1, 10, disposal, blend)
        write_chunk(file, b"fcTL", control)
        data = b"".join(packed([part], part.shape, part.dtype))
        count = struct.pack(">I", number + 1) if number else b""
        write_chunk(file, b"fdAT" if number else b"IDAT", count + data)
        number += 2 if number else 1
    write_chunk(file, b"IEND", b"")
    return file.getvalue()


@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_frames_of_sixteen_bits_take_each_others_place(disposal: int) -> None:
    """As Pillow has it for the same file in 8 bits."""
    parts = three_parts()
    deep = [part.astype(np.uint16) * 257 for part in parts]
    frames = [*read_frames(assembled(deep, disposal, 0))]
    with Image.open(BytesIO(assembled(parts, disposal, 0))) as image:
        for number, frame in enumerate(frames):
            image.seek(number)
            np.testing.assert_array_equal(frame, np.asarray(image.convert("RGBA")) * np.uint16(257))


def test_frames_of_sixteen_bits_are_laid_over_each_other() -> None:
    """As Pillow composes the same parts in 8 bits."""
    parts = three_parts()
    frames = read_frames(assembled([part.astype(np.uint16) * 257 for part in parts], 0, 1))
    canvas = Image.new("RGBA", (9, 8))
    for part, corner, frame in zip(parts, PLACES, frames, strict=True):
        canvas.alpha_composite(Image.fromarray(part), corner)
        np.testing.assert_allclose(frame / 257, np.asarray(canvas), atol=1.01)


@pytest.mark.parametrize("name", ["PNG", "GIF", "WEBP", "AVIF"])
def test_frames_are_never_held_all_at_once(name: str) -> None:
    """60 frames of 0.4 MB, of which Pillow's encoders would gather a list."""
    shape, count = (256, 512, 3), 60
    frame, seen = np.zeros(shape, np.uint8), []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number in range(count):
            seen.append(number)
            frame[:, 8 * number :] = 4 * number
            yield frame.copy()

    tracemalloc.start()
    content = write(frames(), Animation(b"", 0, (40.0,) * count, 0, False), name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == count
    assert peak < 10 * frame.nbytes + 4 * len(content)
    with Image.open(BytesIO(content)) as image:
        assert frame_count(image) == count


def test_only_what_differs_is_stored_and_shown() -> None:
    frames = np.stack([*film(6, 40, 60, 3)])
    frames[4] = frames[3]
    content = write(iter(frames), Animation(b"", 0, (50.0,) * 6, 0, False), "PNG")
    np.testing.assert_array_equal(imagecodecs.apng_decode(content), frames)
    once = write(iter(frames[:1].repeat(6, 0)), Animation(b"", 0, (50.0,) * 6, 0, False), "PNG")
    assert len(content) < len(once) * 1.3


def test_pauses_of_any_length_stay(run: Run, tmp_path: Path, bicubic: Path) -> None:
    times = (655_350.0, 900_000.0, 20.0)
    for name, ending in ("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp"):
        content = write(film(3, 12, 20, 3), Animation(b"", 0, times, None, False), name)
        found = decode(BytesIO(content), f"in.{ending}").animation
        assert found is not None
        assert sum(found.durations) == sum(times)
    (tmp_path / "in.gif").write_bytes(
        write(film(3, 12, 20, 3), Animation(b"", 0, times, 0, False), "GIF")
    )
    assert run("upscale", tmp_path / "in.gif", "-m", bicubic).code == 0
    with Image.open(tmp_path / "in_x2.gif") as image:
        total = 0
        for number in range(frame_count(image)):
            image.seek(number)
            total += image.info["duration"]
    assert total == sum(times)


def test_the_limit_is_of_all_frames_together(run: Run, tmp_path: Path, tiny: Path) -> None:
    store(tmp_path / "in.gif")
    with (tmp_path / "in.gif").open("rb") as file:
        assert peek(file, "in.gif").frames == 4
        with pytest.raises(MediaError, match="in 4 frames"):
            peek(file, "in.gif", megapixels=3 * 16 * 24 / 1e6)
    done = run("upscale", tmp_path / "in.gif", "-m", tiny, "--max-megapixels", "0.001")
    assert done.code == 1
    assert "in 4 frames" in done.err


def test_nobody_waits_for_all_frames_to_be_read(tmp_path: Path) -> None:
    store(tmp_path / "in.webp")
    looks = []

    def go_on() -> None:
        looks.append(0)
        if len(looks) == 2:
            raise StoppedError

    with (tmp_path / "in.webp").open("rb") as file, pytest.raises(StoppedError):
        decode(file, "in.webp", go_on=go_on)
    assert len(looks) == 2


def test_colours_of_gif_are_kept_where_they_are_few() -> None:
    frames = np.stack([*film(3, 12, 20, 3)]) // 64 * 64
    content = write(iter(frames), Animation(b"", 0, (50.0,) * 3, 0, False), "GIF")
    found = decode(BytesIO(content), "in.gif").animation
    assert found is not None
    np.testing.assert_array_equal(np.stack([*found.frames()]), frames)
