"""Places that are not local: the same results, records and refusals as in a local folder."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from bnnup.folders import naming, tasks
from bnnup.folders.ledger import OBJECTS
from bnnup.folders.naming import name_results
from bnnup.folders.tasks import find_tasks
from bnnup.system import paths


@pytest.fixture
def album(tmp_path: Path, memory: MemoryFileSystem) -> Path:
    """The same pictures in a local folder and in memory://album."""
    album = tmp_path / "album"
    for seed, name in enumerate(["a.jpg", "b.tif", "日本/c d.png", "日本/e.webp"]):
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(pixels).save(album / name)
        memory.pipe_file(f"/album/{name}", (album / name).read_bytes())
    return album


def stored(memory: MemoryFileSystem, place: str) -> dict[str, bytes]:
    """All files but the record's, by path."""
    found = {path.removeprefix(f"{place}/"): memory.cat_file(path) for path in memory.find(place)}
    return {path: content for path, content in found.items() if not path.startswith(OBJECTS)}


def local(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_remote_folder_is_done_as_a_local_one(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path
) -> None:
    run("upscale", album, "-o", album.parent / "big", "-m", tiny)
    done = run("upscale", "memory://album", "-o", "memory://big", "-m", tiny)
    assert (done.code, done.err) == (0, "memory://big: 4 done\n")
    assert stored(memory, "/big") == local(album.parent / "big")


def test_there_and_back(run: Run, album: Path, memory: MemoryFileSystem, tiny: Path) -> None:
    run("upscale", album, "-o", "memory://big", "-m", tiny)
    run("upscale", "memory://album", "-o", f"file://{album.parent / 'big'}", "-m", tiny)
    assert stored(memory, "/big") == local(album.parent / "big")


def test_one_remote_picture(run: Run, album: Path, memory: MemoryFileSystem, tiny: Path) -> None:
    run("upscale", album / "b.tif", "-o", album.parent / "b.tif", "-m", tiny)
    assert run("upscale", "memory://album/b.tif", "-m", tiny).code == 0
    assert memory.cat_file("/album/b_x2.tif") == (album.parent / "b.tif").read_bytes()
    again = run("upscale", "memory://album/b.tif", "-m", tiny)
    assert again.code == 1
    assert "memory://album/b_x2.tif exists" in again.err


def test_what_is_finished_is_skipped(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path
) -> None:
    command = ["upscale", "memory://album", "-o", "memory://big", "-m", tiny]
    run(*command)
    assert run(*command).err == "memory://big: 4 skipped\n"
    memory.pipe_file("/album/a.jpg", memory.cat_file("/album/日本/c d.png"))
    memory.rm("/big/b.tif")
    assert run(*command).err == "memory://big: 2 done, 2 skipped\n"
    assert run(*command, "--force").err == "memory://big: 4 done\n"
    assert len(memory.ls(f"/big/{OBJECTS}")) == 1  # put together


def test_results_beside_their_sources_are_no_sources(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path
) -> None:
    command = ["upscale", "memory://album", "-o", "memory://album", "-m", tiny]
    assert "3 done, 1 failed" in run(*command, "--format", "webp").err  # not e.webp over itself
    first = stored(memory, "/album")
    assert "6 skipped, 1 failed" in run(*command, "--format", "webp").err
    assert stored(memory, "/album") == first


def test_files_of_others_are_not_overwritten(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path
) -> None:
    memory.pipe_file("/big/日本/e.webp", b"precious")
    memory.pipe_file("/album/日本/broken.png", b"broken")
    command = ["upscale", "memory://album", "-o", "memory://big", "-m", tiny]
    done = run(*command)
    assert done.code == 1
    assert "3 done, 2 failed" in done.err
    assert "--force" in done.err
    assert memory.cat_file("/big/日本/e.webp") == b"precious"
    # What failed has not been made: a file of that name is somebody else's.
    memory.pipe_file("/big/日本/broken.png", b"precious, too")
    memory.pipe_file("/album/日本/broken.png", memory.cat_file("/album/日本/c d.png"))
    assert "3 skipped, 2 failed" in run(*command).err
    assert memory.cat_file("/big/日本/broken.png") == b"precious, too"


def test_an_interrupted_job_goes_on(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash leaves it: results without a word on record that they are finished."""
    command = ["upscale", "memory://album", "-o", "memory://big", "-m", tiny]
    with monkeypatch.context() as crash:
        crash.setattr("bnnup.folders.ledger._Objects.close", lambda self: None)
        run(*command)
    assert len(stored(memory, "/big")) == 4
    assert run(*command).err == "memory://big: 4 done\n"
    assert run(*command).err == "memory://big: 4 skipped\n"


def test_dry_run_writes_nothing(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path
) -> None:
    command = ["upscale", "memory://album", "-o", "memory://big", "-m", tiny]
    assert "4 planned" in run(*command, "--dry-run").err
    assert not memory.exists("/big")


def test_a_failed_write_leaves_nothing(
    run: Run, album: Path, memory: MemoryFileSystem, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the bucket says no")

    monkeypatch.setattr(MemoryFileSystem, "put_file", refuse)
    done = run("upscale", album, "-o", "memory://big", "-m", tiny, "--json")
    assert done.code == 1
    errors = [json.loads(line)["error"] for line in done.out.splitlines()]
    assert len(errors) == 4
    assert all("the bucket says no" in error for error in errors)
    assert stored(memory, "/big") == {}


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("s3://bucket/pictures", "pip install s3fs"),
        ("gs://bucket/pictures", "pip install gcsfs"),
        ("nonsense://pictures", "not a place that bnnup can reach"),
    ],
)
def test_places_that_are_not_understood(
    run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch, place: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    done = run("upscale", place, "-o", "memory://big", "-m", tiny)
    assert done.code == 1
    assert remedy in done.err
    assert done.err.count("\n") == 1


def test_files_that_do_not_appear_at_once_are_moved(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ATOMIC", set())
    (tmp_path / "file").write_bytes(b"content")
    paths.upload(str(tmp_path / "file"), paths.to_path("memory://big/a.png"), "token")
    assert stored(memory, "/big") == {"a.png": b"content"}


# Lists without end


def test_large_folders_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same results as of a small one, whatever the order."""
    for name in "a.jpg", "a.png", "a.webp", "a.jpg.png", "B.jpg", "b.bmp", "c.jpg":
        (tmp_path / name).touch()

    def found() -> dict[str, str]:
        tasks = find_tasks(tmp_path, tmp_path / "out", format_name="PNG")
        return {Path(task.name).name: task.target.name for task in tasks if task.target}

    expected = found()
    monkeypatch.setattr(tasks, "MANY", 2)
    assert found() == expected


def test_the_first_picture_comes_before_the_list_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    entries = paths.entries

    def noted(place: Path) -> Iterator[paths.FolderEntry]:
        read.append(place.name)
        return entries(place)

    monkeypatch.setattr(paths, "entries", noted)
    for name in "a", "b", "c":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    first = next(find_tasks(tmp_path, tmp_path / "out"))
    assert first.source == tmp_path / "a" / "1.png"
    assert "b" not in read


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "a.bmp", "a.jpg.bmp"],
        ["A.jpg", "a.jpg", "a.png"],
        ["A.jpg", "a.jpg", "a.jpg.png", "a.JPG.bmp", "a.jpg_.png"],
        ["ä.jpg", "a\u0308.jpg", "Ä.bmp"],
    ],
    ids=str,
)
def test_no_two_results_have_one_name(names: list[str]) -> None:
    """On any file system; and which goes where does not depend on the order."""
    found = dict(name_results(names, "PNG"))
    assert len({naming._folded(result) for result in found.values()}) == len(names)
    assert dict(name_results(names[::-1], "PNG")) == found
