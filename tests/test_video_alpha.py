"""Transparency is enlarged where the result can hold it, and otherwise said to be lost."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (pip install '.[video]')")

from conftest import Run
from films import ffmpeg, ffprobe, needs_ffmpeg, planes
from numpy.typing import NDArray

from bnnup.upscale.upscaler import Upscaler
from bnnup.video.enlarge import Options, enlarge_video

pytestmark = needs_ffmpeg

# A film with a soft disc that grows.
DISC = "a='clip(255-20*(hypot(X-32,Y-18)-6-N),0,255)'"
SOURCE = f"-f lavfi -i testsrc2=s=64x36:r=25:d=0.12,format=yuva444p,geq=lum='p(X,Y)':{DISC}"


def make(path: Path, codec: str) -> None:
    ffmpeg(f"{SOURCE} -c:v {codec} {path}")


def pix_fmt(path: Path) -> str:
    (film,) = ffprobe(path, "-show_streams")["streams"]
    return str(film["pix_fmt"])


def alphas(path: Path) -> list[NDArray[np.float64]]:
    """0 to 1."""
    frames = [frame[3] for frame in planes(path)]
    bits = 8 if frames[0].dtype == np.uint8 else int(pix_fmt(path).rpartition("p")[2][:2])
    return [frame / ((1 << bits) - 1) for frame in frames]


@pytest.mark.parametrize("form", ["yuva420p", "yuva422p", "yuva444p10le"])
def test_alpha_is_enlarged_as_a_grey_picture_is(
    form: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    before, after, opaque = (tmp_path / name for name in ("in.mkv", "out.mkv", "opaque.mkv"))
    make(before, f"ffv1 -pix_fmt {form}")
    result = enlarge_video(upscaler, before, after, Options(codec="ffv1"))
    assert result.warnings == []
    assert pix_fmt(after) == form
    largest = 255 if form.endswith("p") else 1023
    for small, large in zip(planes(before), planes(after), strict=True):
        expected = upscaler.backend.run(small[3].astype(np.float32) / np.float32(largest))
        wanted = np.floor(expected * largest + np.float32(0.5)).clip(0, largest)
        np.testing.assert_allclose(large[3], wanted, atol=1)
    ffmpeg(f"-i {before} -pix_fmt {form.replace('yuva', 'yuv')} -c:v ffv1 {tmp_path}/plain.mkv")
    enlarge_video(upscaler, tmp_path / "plain.mkv", opaque, Options(codec="ffv1"))
    for with_alpha, without in zip(planes(after), planes(opaque), strict=True):
        for plane, same in zip(with_alpha[:3], without, strict=True):
            np.testing.assert_array_equal(plane, same)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("in.webm", "libvpx-vp9 -pix_fmt yuva420p -lossless 1"),
        ("in.webm", "libvpx -pix_fmt yuva420p -b:v 4M -auto-alt-ref 0"),
        ("in.mov", "prores_ks -pix_fmt yuva444p10le -profile:v 4444 -alpha_bits 16"),
        ("in.mov", "qtrle -pix_fmt argb"),
    ],
)
@pytest.mark.parametrize("target", ["out.mov", "%d.png"])
def test_alpha_of_films_goes_where_it_is_held(
    name: str, codec: str, target: str, run: Run, bicubic: Path, tmp_path: Path
) -> None:
    before = tmp_path / name
    make(before, codec)
    (tmp_path / "original").mkdir()
    ffmpeg(f"{SOURCE} -pix_fmt yuva444p -c:v ffv1 {tmp_path}/original.mkv")
    options = ["--codec", "prores"] if target == "out.mov" else []
    if "qtrle" in codec:  # R'G'B'
        options += ["--pix-fmt", "yuva444p10le"]
    done = run("video", before, "-m", bicubic, "-o", tmp_path / target, *options)
    assert (done.code, "transparency" in done.err) == (0, False)
    if target == "out.mov":
        made = alphas(tmp_path / target)
    else:
        pictures = [imagecodecs.imread(tmp_path / f"{number}.png") for number in (1, 2, 3)]
        made = [picture[..., 3] / np.iinfo(picture.dtype).max for picture in pictures]
    for small, large in zip(alphas(tmp_path / "original.mkv"), made, strict=True):
        assert large.shape == (72, 128)
        assert np.abs(large.reshape(36, 2, 64, 2).mean((1, 3)) - small).mean() < 0.02


@pytest.mark.parametrize("codec", ["ffv1 -pix_fmt yuva420p", "prores_ks -pix_fmt yuva444p10le"])
def test_where_it_is_not_held_films_become_opaque_and_say_so(
    codec: str, run: Run, tiny: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "in.mov", tmp_path / "out.mp4"
    if "ffv1" in codec:
        before = tmp_path / "in.mkv"
    make(before, codec)
    done = run("video", before, "-m", tiny, "-o", after)
    assert done.code == 0
    assert "transparency was left out; ffv1 in .mkv, prores in .mov" in done.err
    assert "a" not in pix_fmt(after)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_of_numbered_pictures(dtype: type, run: Run, bicubic: Path, tmp_path: Path) -> None:
    white = int(np.iinfo(dtype).max)
    pixels: NDArray[Any] = np.empty((18, 32, 4), dtype)
    pixels[...] = (white, white // 2, 0, white)
    pixels[:, 16:, 3] = white // 4
    imagecodecs.imwrite(tmp_path / "1.png", pixels)
    assert run("video", tmp_path / "%d.png", "-m", bicubic, "-o", tmp_path / "b%d.png").code == 0
    larger = imagecodecs.imread(tmp_path / "b1.png")
    assert (larger.dtype, larger.shape) == (np.dtype(dtype), (36, 64, 4))
    error = np.abs(larger[10:26, 4:20].astype(int) - pixels[0, 0]).max()
    assert error <= white / 1000 + 1
    assert np.abs(larger[10:26, 44:60].astype(int) - pixels[0, -1]).max() <= white / 1000 + 1
