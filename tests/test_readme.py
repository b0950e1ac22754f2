"""What README.md shows a newcomer works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

README = (ROOT / "README.md").read_text(encoding="utf-8")
ELSEWHERE = ("s3://", "owner/repo", "Set5/HR", "run/", "pictures/")  # not on this machine
ENDLESS = ("bnnup web",)
FFMPEG = shutil.which("ffmpeg")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    uses = [line.partition("  #")[0].strip() for line in lines]
    return [
        line
        for line in uses
        if "bnnup " in line
        and "pip install" not in line
        and not any(x in line for x in ELSEWHERE + ENDLESS)
    ]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the commands name."""
    monkeypatch.chdir(tmp_path)
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join((scripts, os.environ["PATH"])))
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    photo = Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC)
    photo.save("photo.jpg")
    os.mkdir("holiday")
    photo.save("holiday/beach.jpg")
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_a_command(command: str, desk: Path) -> None:
    if "clip.mp4" in command or "ffmpeg" in command:
        pytest.importorskip("av", reason="PyAV is not installed")
        if FFMPEG is None:
            pytest.skip("ffmpeg is not installed")
        sound, film = "sine=d=0.5", "testsrc2=size=64x48:rate=8:duration=0.5"
        made = f"-f lavfi -i {sound} -f lavfi -i {film} -pix_fmt yuv420p"
        for name in "clip.mp4", "in.mkv":
            subprocess.run(f"{FFMPEG} -v error {made} {name}".split(), check=True)
    if command.startswith("bnnup compare"):
        Image.open("photo.jpg").resize((256, 192)).save("photo_x4.jpg")
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(shell, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr


def test_the_python_code(desk: Path) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {"picture": Image.open("photo.jpg")}
    exec(code, names)
    large = names["large"]
    assert isinstance(large, Image.Image)
    assert large.size == (4 * 64, 4 * 48)


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example(script: Path, desk: Path) -> None:
    """By the command that its first line gives."""
    shutil.copytree(ROOT / "examples", desk / "examples")
    (desk / "docs").mkdir()  # where one of them writes
    line = script.read_text(encoding="utf-8").splitlines()[0]
    command = line.strip('"').partition(": python ")[2]
    done = subprocess.run(
        [sys.executable, "-P", *command.split()], capture_output=True, text=True, cwd=desk
    )
    assert done.returncode == 0, done.stderr
    assert (desk / command.split()[-1]).is_file()
