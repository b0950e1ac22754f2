"""``bnnup pipe`` as programs use it: real pipes, and a real ffmpeg at both ends."""

import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from bnnup.model.file import Model
from bnnup.upscale.upscaler import Upscaler
from bnnup.video import y4m
from bnnup.video.pipe import enlarge_stream

needs_ffmpeg = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")),
    reason="ffmpeg and ffprobe are not installed (apt-get install ffmpeg)",
)
CLEAN = {
    name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "PY_COLORS")
}


@pytest.fixture(scope="module")
def command(model_files: Path) -> list[str]:
    model = str(model_files / "tiny-x2.safetensors")
    return [sys.executable, "-P", "-m", "bnnup", "pipe", "-s", "2", "-m", model]


def run(command: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, timeout=300, env=CLEAN)


def frames_of(command: str) -> bytes:
    return subprocess.run(
        f"ffmpeg -nostdin -loglevel error {command}".split(), capture_output=True, check=True
    ).stdout


def test_stream_is_the_picture_path(models: dict[int, Model]) -> None:
    upscaler = Upscaler(models[2])
    grey = np.random.default_rng(0).integers(0, 256, (3, 9, 14), np.uint8)
    source = b"YUV4MPEG2 W14 H9 F25:1 Cmono\n" + b"".join(b"FRAME\n" + g.tobytes() for g in grey)
    target = BytesIO()
    tally = enlarge_stream(upscaler, BytesIO(source), target)
    assert tally.frames == 3
    larger = [upscaler.enlarge(g).tobytes() for g in grey]
    header = b"YUV4MPEG2 W28 H18 F25:1 Cmono\n"
    assert target.getvalue() == header + b"".join(b"FRAME\n" + frame for frame in larger)


@needs_ffmpeg
@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "yuv420p16le", "gray", "gray10le"]
)
def test_ffmpeg_on_both_ends(command: list[str], pix_fmt: str, tmp_path: Path) -> None:
    source = (
        "ffmpeg -nostdin -loglevel error -f lavfi -i testsrc2=s=50x34:r=10:d=0.5 "
        f"-pix_fmt {pix_fmt} -f yuv4mpegpipe -strict -1 -"
    )
    target = tmp_path / "out.mkv"
    sink = f"ffmpeg -nostdin -loglevel error -i - -c:v ffv1 {target}"
    first = subprocess.Popen(source.split(), stdout=subprocess.PIPE)
    second = subprocess.Popen(command, stdin=first.stdout, stdout=subprocess.PIPE)
    third = subprocess.run(sink.split(), stdin=second.stdout, timeout=300)
    for process in (first, second):
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
    assert third.returncode == 0
    entries = "stream=width,height,pix_fmt,nb_read_frames,r_frame_rate"
    probe = f"ffprobe -loglevel error -count_frames -show_entries {entries} -of csv=p=0 {target}"
    out = subprocess.run(probe.split(), capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"100,68,{pix_fmt},10/1,5"


@needs_ffmpeg
def test_raw_frames(command: list[str]) -> None:
    data = frames_of("-f lavfi -i testsrc2=s=18x10:r=10:d=0.3 -pix_fmt yuv422p -f rawvideo -")
    done = run([*command, "--raw", "18x10:yuv422p"], data)
    assert done.returncode == 0
    assert len(done.stdout) == 4 * len(data)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("packed", "planar"),
    [
        ("nv12", "yuv420p"),
        ("nv21", "yuv420p"),
        ("nv42", "yuv444p"),
        ("p010le", "yuv420p10le"),
        ("p210le", "yuv422p10le"),
        ("p016le", "yuv420p16le"),
    ],
)
def test_packed_chroma_is_what_ffmpeg_makes_of_planes(
    packed: str, planar: str, models: dict[int, Model]
) -> None:
    """Both ways: what ffmpeg packs, and what it unpacks."""
    made = {
        name: frames_of(
            "-f lavfi -i testsrc2=s=18x10:r=10:d=0.2 -sws_flags accurate_rnd+full_chroma_int "
            f"-pix_fmt {planar} -vf format={planar},format={name} -f rawvideo -pix_fmt {name} -"
        )
        for name in (packed, planar)
    }
    larger = {}
    for name, data in made.items():
        target, stream = BytesIO(), y4m.read_raw_format(f"18x10:{name}")
        enlarge_stream(Upscaler(models[2]), BytesIO(data), target, stream)
        larger[name] = target.getvalue()
    unpack = f"ffmpeg -nostdin -loglevel error -f rawvideo -s 36x20 -pix_fmt {packed} -i -"
    back = run(f"{unpack} -f rawvideo -pix_fmt {planar} -".split(), larger[packed])
    assert back.stdout == larger[planar]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the input is empty"),
        (b"not a film\n", "not a YUV4MPEG2"),
        (b"YUV4MPEG2 W2 H2 It C444\n", "interlaced"),
        (b"YUV4MPEG2 W2 H2 C444\nFRAME\n123", "cut within frame 1"),
    ],
)
def test_damage_is_one_line_and_exit_code_1(command: list[str], data: bytes, message: str) -> None:
    done = run(command, data)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_a_reader_that_leaves_ends_it_quietly(command: list[str]) -> None:
    frame = b"FRAME\n" + bytes(3 * 64 * 64)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None and process.stderr is not None
        process.stdin.write(b"YUV4MPEG2 W64 H64 C444\n" + frame * 2)
        process.stdin.flush()
        process.stdout.read(100)
        process.stdout.close()
        try:
            for _ in range(400):
                process.stdin.write(frame)
            process.stdin.close()
        except BrokenPipeError:
            pass
        errors = process.stderr.read().decode()
        assert process.wait(60) == 0
    assert errors == ""
