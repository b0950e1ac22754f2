"""Pictures over a cluster of two nodes on this machine: the same bytes, whatever happens.

Ray's own test cluster; every node has one core.
"""

import filecmp
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from conftest import Run
from folders import contents, lines, save
from nodes import add_node

from bnnup.cluster import pictures, workers
from bnnup.cluster.pictures import ClusterBatch, PictureWorker, check_visible
from bnnup.cluster.workers import TRIES, Workers, connected
from bnnup.errors import ClusterError
from bnnup.folders.ledger import NAME, open_ledger
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Task, find_tasks
from bnnup.folders.work import Work
from bnnup.upscale.passes import Strip
from bnnup.upscale.size import Size

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


@pytest.fixture
def album(tmp_path: Path) -> Path:
    album = tmp_path / "album"
    for seed, name in enumerate(["a.jpg", "a.png", "b.webp", "日本/ü.tif", "日本/deep/c.gif"]):
        save(album / name, seed)
    save(album / "alpha.png", 9, (30, 20, 4))
    return album


# The same


def test_a_folder(run: Run, nodes: "Cluster", album: Path, tiny: Path) -> None:
    """The same bytes, and each knows what the other has finished."""
    (album / "broken.png").write_bytes(b"broken")
    (album.parent / "away").mkdir()
    model = shutil.copy(tiny, album.parent / "away")  # is sent: workers need not see it
    there, here = album.parent / "there", album.parent / "here"
    done = run("upscale", album, "-o", there, "-m", model, "--cluster", nodes.address)
    assert (done.code, done.out) == (1, "")
    assert f"{there}: 6 done, 1 failed" in done.err
    assert "broken.png is not a picture" in done.err
    run("upscale", album, "-o", here, "-m", tiny)
    assert contents(there) == contents(here)
    assert "6 skipped, 1 failed" in run("upscale", album, "-o", there, "-m", tiny).err
    save(album / "a.png", 77)
    (here / "a.jpg").unlink()
    again = run("upscale", album, "-o", here, "-m", tiny, "--cluster", nodes.address, "--json")
    assert "2 done, 4 skipped, 1 failed" in again.err
    run("upscale", album, "-o", there, "-m", tiny)
    assert contents(there) == contents(here)
    rows = lines(again.out)
    assert rows[-1]["progress"]["finished"] == 7  # type: ignore[index]
    assert rows[-1]["progress"]["workers"] >= 1  # type: ignore[index]
    pictures = [row for row in rows if "input" in row]
    assert sorted(str(row["status"]) for row in pictures) == sorted(
        ["done"] * 2 + ["skipped"] * 4 + ["failed"]
    )


@pytest.mark.parametrize(("ending", "channels"), [("png", 4), ("tif", 3), ("jpg", 3)])
def test_a_picture_in_tiles(
    run: Run, nodes: "Cluster", tmp_path: Path, tiny: Path, ending: str, channels: int
) -> None:
    save(tmp_path / f"a.{ending}", shape=(700, 900, channels))
    command = ["upscale", tmp_path / f"a.{ending}", "-m", tiny, "-o"]
    run(*command, tmp_path / f"here.{ending}")
    done = run(*command, tmp_path / f"there.{ending}", "--cluster", nodes.address, "--json")
    assert done.code == 0, done.err
    assert lines(done.out)[0]["width"] == 1800
    there, here = tmp_path / f"there.{ending}", tmp_path / f"here.{ending}"
    assert filecmp.cmp(there, here, shallow=False)


def test_a_large_picture_in_a_folder(
    run: Run, nodes: "Cluster", album: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record as well, and resumed."""
    monkeypatch.setattr(pictures, "LARGE", 40_000)
    save(album / "a.png", shape=(300, 400, 3))
    there, here = album.parent / "there", album.parent / "here"
    command = ["upscale", album, "-m", tiny, "-o"]
    run(*command, here)
    for expected in "6 done", "6 skipped":
        done = run(*command, there, "--cluster", nodes.address)
        assert done.err.endswith(f"{expected}\n")
    assert contents(there) == contents(here)


# What may happen


def test_the_driver_is_killed(run: Run, nodes: "Cluster", tmp_path: Path, tiny: Path) -> None:
    for seed in range(30):
        save(tmp_path / "in" / f"{seed:02}.png", seed, (300, 400, 3))
    out = tmp_path / "out"
    arguments: list[str | Path] = ["upscale", tmp_path / "in", "-o", out, "-m", tiny]
    over = ["--cluster", nodes.address]
    driver = subprocess.Popen([sys.executable, "-P", "-m", "bnnup", *arguments, *over])
    until = time.monotonic() + 60
    while len([*out.glob("*.png")]) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    assert 5 <= len([*out.glob("*.png")]) < 30
    done = run(*arguments, *over)
    assert done.code == 0
    assert " skipped" in done.err
    assert run(*arguments).err == f"{out}: 30 skipped\n"
    run("upscale", tmp_path / "in", "-o", tmp_path / "undisturbed", "-m", tiny)
    assert contents(out) == contents(tmp_path / "undisturbed")


def works(
    address: str, folder: Path, out: Path, tiny: Path, make: Callable[[], PictureWorker]
) -> Iterator[tuple[Work, ClusterBatch]]:
    """Each picture's end, with workers that ``make`` makes."""
    settings = Settings(Size(factor=2.0), str(tiny))
    with (
        connected(address),
        open_ledger(out) as ledger,
        Workers[Task, Work](make, queued=2) as workers,
    ):
        batch = ClusterBatch(settings, Machine(), workers)  # type: ignore[arg-type]
        for work in batch.run(find_tasks(folder, out), ledger):
            yield work, batch


def test_a_node_is_killed(
    run: Run, nodes: "Cluster", tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PERIOD", 0.2)
    for seed in range(24):
        save(tmp_path / "in" / f"{seed:02}.png", seed, (200, 300, 3))
    settings = Settings(Size(factor=2.0), str(tiny))

    def make() -> PictureWorker:
        class Slow(PictureWorker):
            def __call__(self, unit: object) -> object:
                time.sleep(0.1)
                return super().__call__(unit)  # type: ignore[arg-type]

        return Slow(settings, Machine(threads=1), settings.fingerprint(), {}, None, None)

    extra = add_node(nodes)
    out, seen, killed = tmp_path / "out", [], False
    for work, batch in works(nodes.address, tmp_path / "in", out, tiny, make):
        assert work.status == "done", work.error
        seen.append(work.task.name)
        if batch.workers.alive == 3 and not killed:
            nodes.remove_node(extra, allow_graceful=False)
            killed = True
    assert killed
    assert len(seen) == len(set(seen)) == 24
    run("upscale", tmp_path / "in", "-o", tmp_path / "undisturbed", "-m", tiny)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_poisonous_picture(nodes: "Cluster", album: Path, tiny: Path) -> None:
    """It kills whoever writes it, and leaves nothing behind."""
    settings = Settings(Size(factor=2.0), str(tiny))

    def make() -> PictureWorker:
        from bnnup.folders import writer  # the worker's own

        encode = writer._encode

        def deadly(work: Work, strips: Iterator[Strip], file: IO[bytes]) -> None:
            if work.task.name.endswith("/a.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            encode(work, strips, file)

        writer._encode = deadly
        return PictureWorker(settings, Machine(threads=1), settings.fingerprint(), {}, None, None)

    out = album.parent / "out"
    found = {w.task.name: w for w, _ in works(nodes.address, album, out, tiny, make)}
    failed = {name: work.error for name, work in found.items() if work.status == "failed"}
    assert failed == {str(album / "a.png"): f"its worker died {TRIES} times"}
    assert sorted(contents(out)) == sorted({*contents(album)} - {"a.png"})
    with open_ledger(out) as ledger:
        assert ledger.known(out / "a.png") is None
        assert ledger.known(out / "a.jpg") is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "bnnup", disk], capture_output=True
    ).returncode:
        pytest.skip("may not mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_full_disk_ends_the_job(
    run: Run, nodes: "Cluster", tmp_path: Path, small_disk: Path, tiny: Path, where: str
) -> None:
    # Many more than are on their way at a time: what is finished by then may go unrecorded.
    for seed in range(24):
        save(tmp_path / "in" / f"{seed}.png", seed, (60, 90, 3))
    command = ["upscale", tmp_path / "in", "-o", small_disk / "out", "-m", tiny]
    done = run(*command, *(["--cluster", nodes.address] if where == "there" else []))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "No space left on device; make room there" in done.err
    finished = contents(small_disk / "out")
    assert 0 < len(finished) < 24
    assert not [name for name in finished if name.endswith(".tmp")]
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    again = run(*command)
    assert again.code == 0
    assert " skipped" in again.err
    run("upscale", tmp_path / "in", "-o", tmp_path / "undisturbed", "-m", tiny)
    assert contents(small_disk / "out") == contents(tmp_path / "undisturbed")


# What workers must see


def test_folders_that_workers_do_not_see(tmp_path: Path) -> None:
    check_visible(str(tmp_path))
    check_visible("memory://")
    with pytest.raises(ClusterError, match=r"does not see .*absent: mount it .* s3://"):
        check_visible(str(tmp_path / "absent"))
    with pytest.raises(ClusterError, match="does not see"):  # a folder of the same name only
        check_visible(str(tmp_path), NAME)


def test_an_unseen_folder_ends_the_job(nodes: "Cluster", album: Path, tiny: Path) -> None:
    settings = Settings(Size(factor=2.0), str(tiny))
    absent = str(album.parent / "absent")

    def make() -> PictureWorker:
        return PictureWorker(settings, Machine(threads=1), "", {}, absent, None)

    with pytest.raises(ClusterError, match="does not see"):
        [*works(nodes.address, album, album.parent / "out", tiny, make)]
    assert contents(album.parent / "out") == {}


def test_the_documented_command(
    run: Run, nodes: "Cluster", album: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are relative to where it is typed, which is not where workers are."""
    text = (Path(__file__).parents[1] / "docs" / "pictures.md").read_text("utf-8")
    line = next(line for line in text.splitlines() if "--cluster HOST:6379" in line)
    command = shlex.split(line.replace("HOST:6379", nodes.address), comments=True)
    album.rename(album.parent / "in")
    monkeypatch.chdir(album.parent)
    done = run(*command[1:], "-m", os.path.relpath(tiny))
    assert (done.code, done.err) == (0, f"{album.parent / 'out'}: 6 done\n")
    assert len(contents(album.parent / "out")) == 6


def test_memory_is_of_one_process(run: Run, album: Path, tiny: Path) -> None:
    done = run("upscale", album, "-o", "memory://out", "-m", tiny, "--cluster", "local")
    assert done.code == 1
    assert "this process only" in done.err


def test_ray_is_not_imported_unasked(album: Path, tiny: Path) -> None:
    script = (
        "import atexit, sys, bnnup.cli\n"
        "atexit.register(lambda: print([n for n in ('ray', 'upath') if n in sys.modules]))\n"
        "bnnup.cli.main()\n"
    )
    command: list[str | Path] = [sys.executable, "-P", "-c", script, "upscale", album, "-m", tiny]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "[]\n"
