"""Films made by ffmpeg, and what ffprobe says of them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from bnnup.video.transcode import FilmProgress

needs_ffmpeg = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")),
    reason="ffmpeg and ffprobe are not installed (apt-get install ffmpeg)",
)


def ffmpeg(*arguments: object) -> None:
    words = [word for argument in arguments for word in str(argument).split()]
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *words], check=True)


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-loglevel", "error", "-of", "json", *arguments, str(path)]
    said: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return said


def source(size: str = "64x36", seconds: float = 0.4, rate: int = 25) -> str:
    return f"-f lavfi -i testsrc2=s={size}:r={rate}:d={seconds}"


def times(path: Path) -> list[int]:
    frames = ffprobe(path, "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp")
    return [frame["best_effort_timestamp"] for frame in frames["frames"]]


def other_packets(path: Path, film: int = 0) -> list[dict[str, Any]]:
    """Packets of everything but the film, with the hashes of their data."""
    entries = "packet=stream_index,pts,dts,duration,flags,data_hash"
    packets = ffprobe(path, "-show_entries", entries, "-show_data_hash", "md5")["packets"]
    keys = ("stream_index", "pts", "dts", "duration", "flags", "data_hash")
    rows = [{key: p.get(key) for key in keys} for p in packets if p["stream_index"] != film]
    return sorted(rows, key=lambda row: (row["stream_index"], row["pts"] or 0))


def planes(path: Path) -> list[list[np.ndarray]]:
    """The decoded planes of every frame."""
    import av

    from bnnup.video.frames import to_planes
    from bnnup.video.planes import read_pix_fmt

    with av.open(str(path)) as container:
        decoded = []
        for frame in container.decode(video=0):
            form = read_pix_fmt(frame.format.name)
            assert form is not None
            decoded.append([plane.copy() for plane in to_planes(frame, form)])
        return decoded


class Interrupter:
    """Progress that stops the work, as Ctrl-C would, after so many frames."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __call__(self, progress: "FilmProgress") -> None:
        if progress.frames == self.frames:
            raise KeyboardInterrupt
