"""What a cluster gains and what Ray costs, with simulated machines of one core on this one.

    python -m benchmarks.cluster [--sizes 0.1 1 12] [--model NAME] [--seconds S] [--json]
    python -m benchmarks.cluster --entries 1000000 [--json]

The first form enlarges pictures of so many megapixels twofold, JPEG to JPEG, three times:
in a plain process, by one worker and by two, each held to a core of its own. The share
lost to Ray is that by which one worker takes longer than the process; the times are
those that passed, and those that cores worked in the processes that enlarge. Pictures are
made of noise, as smooth as photographs; as many as take the process about S seconds.

The second form lists a million pictures of a source that makes them when they are read,
and has them "enlarged" by workers that repeat pixels and write nothing: listing, record,
scheduling and Ray are the real ones. Needs two cores and pip install '.[cluster]'.
"""

import argparse
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import numpy as np
from fsspec.spec import AbstractFileSystem
from numpy.typing import NDArray
from PIL import Image

from benchmarks.nodes import claimer, cluster
from bnnup.cluster.pictures import QUEUED, ClusterBatch, PictureWorker
from bnnup.cluster.workers import Workers, connected
from bnnup.folders.batch import Batch
from bnnup.folders.ledger import open_ledger
from bnnup.folders.reader import Reader
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Stream, Task, find_tasks
from bnnup.folders.work import Work
from bnnup.pictures import read
from bnnup.system import paths
from bnnup.upscale.size import Size

ROOT = Path(__file__).parents[1]
CORES = 2
FOLDER = 1000  # entries of a simulated folder
PROTOCOL = "simulated"


# Pictures


def make_picture(megapixels: float, seed: int) -> NDArray[np.uint8]:
    """Noise of several scales, 3:2; uint8 (H, W, 3)."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    size = round(height * 1.5), height
    noise = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for fineness in (64, 16, 4, 1):
        coarse = noise.integers(
            0, 256, (-(-size[1] // fineness), -(-size[0] // fineness), 3), np.uint8
        )
        layer = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        picture += np.asarray(layer, np.float32) * fineness
    return np.clip(picture / 85 * 1.5 - 64, 0, 255).astype(np.uint8)


def fill(folder: Path, megapixels: float, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        picture = Image.fromarray(make_picture(megapixels, number % 4))
        picture.save(folder / f"{number:05}.jpg", quality=92)


def pinned(settings: Settings, claims: str) -> Callable[[], PictureWorker]:
    """Makes workers that hold to a core that no other has."""
    claim = claimer(Path(claims), CORES)

    def make() -> PictureWorker:
        claim()
        machine = Machine(threads=1)
        return PictureWorker(settings, machine, settings.fingerprint(), {}, None, None)

    return make


@dataclass(frozen=True)
class Cost:
    """Seconds that passed, and seconds that cores worked in the processes that enlarge."""

    seconds: float
    worked: float


def worked(claims: str) -> float:
    """Seconds that workers have taken of their cores so far."""
    ticks = 0
    for stat in Path(claims).glob("*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def time_process(settings: Settings, folder: Path, out: Path, core: int) -> Cost:
    """A plain process on one core; it has enlarged one picture before."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    batch = Batch.of(settings, Machine(threads=1))
    try:
        tasks = [*find_tasks(folder, out)]
        with open_ledger(out) as ledger:
            finish([*batch.run(tasks[:1], ledger)])
            began, before_work = time.perf_counter(), time.process_time()
            finish([*batch.run(tasks[1:], ledger)])
            return Cost(time.perf_counter() - began, time.process_time() - before_work)
    finally:
        os.sched_setaffinity(0, before)


def time_workers(settings: Settings, folder: Path, out: Path, count: int) -> Cost:
    """``count`` workers, which are all there before."""
    with TemporaryDirectory() as claims, open_ledger(out) as ledger:
        make = pinned(settings, claims)
        with Workers[Any, Any](make, queued=QUEUED) as workers:
            batch = ClusterBatch(settings, Machine(threads=1), workers)
            tasks = [*find_tasks(folder, out)]
            while workers.alive < count:
                finish([*batch.run(tasks[:1], ledger, force=True)])
            began, before_work = time.perf_counter(), worked(claims)
            finish([*batch.run(tasks[1:], ledger)])
            return Cost(time.perf_counter() - began, worked(claims) - before_work)


def finish(works: list[Work]) -> None:
    for work in works:
        if work.status != "done":
            sys.exit(f"{work.task.name}: {work.status} {work.error}")


def measure_pictures(megapixels: float, model: str, seconds: float) -> dict[str, Any]:
    settings = Settings(Size(factor=2.0), model)
    with TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "first", megapixels, 3)
        pace = time_process(settings, folder / "first", folder / "0", 0).seconds / 2
        count = max(2, round(seconds / pace / 2)) * 2  # for two workers as well
        fill(folder / "in", megapixels, count + 1)
        alone = time_process(settings, folder / "in", folder / "a", 0)
        with cluster(1) as address, connected(address):
            one = time_workers(settings, folder / "in", folder / "b", 1)
        with cluster(2) as address, connected(address):
            two = time_workers(settings, folder / "in", folder / "c", 2)
        for path in (folder / "a").glob("*.jpg"):
            for other in ("b", "c"):
                if path.read_bytes() != (folder / other / path.name).read_bytes():
                    sys.exit(f"{path.name} differs")
    return {
        "megapixels": megapixels,
        "pictures": count,
        "process": [round(alone.seconds, 2), round(alone.worked, 2)],
        "one_worker": [round(one.seconds, 2), round(one.worked, 2)],
        "two_workers": [round(two.seconds, 2), round(two.worked, 2)],
        "two_against_one": round(one.seconds / two.seconds, 2),
        "lost_to_ray": round(1 - alone.seconds / one.seconds, 4),
        "of_it_worked": round(1 - alone.worked / one.worked, 4),
    }


# A list without end


class Simulated(AbstractFileSystem):  # type: ignore[misc]
    """Folders of FOLDER pictures, which are made when they are read; ``entries`` in all."""

    protocol = PROTOCOL
    entries = 0

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path).strip("/")
        if path.count("/") == 0:
            count = -(-self.entries // FOLDER)
            names = [f"{path}/{number:06}" for number in range(count)]
            return [{"name": name, "size": 0, "type": "directory"} for name in names]
        start = int(path.rpartition("/")[2]) * FOLDER
        numbers = range(min(FOLDER, self.entries - start))
        return [{"name": f"{path}/{n:04}.png", "size": 1, "type": "file"} for n in numbers]

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        pixels = np.full((9, 12, 3), hash(path) % 256, np.uint8)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return BytesIO(self.cat_file(path))


def simulated() -> Callable[[Task], Work]:
    """A worker that reads, repeats pixels and writes nothing."""
    fsspec.register_implementation(PROTOCOL, Simulated, clobber=True)
    reader = Reader(Settings(Size(factor=2.0)), Machine())

    def work(task: Task) -> Work:
        assert not isinstance(task.source, Stream)
        with paths.open_binary(task.source) as file:
            key = reader.key(file)
            picture = read.decode(file, task.name)
        large = np.kron(picture.pixels, np.ones((2, 2, 1), np.uint8))
        return Work(task, "done", key=key, bytes=large.nbytes, size=large.shape[1::-1])

    return work


def imported(root: str) -> Callable[[], Callable[[Task], Work]]:
    """Makes such workers where this file is not on the path."""

    def make() -> Callable[[Task], Work]:
        import sys

        sys.path.insert(0, root)
        from benchmarks.cluster import simulated

        return simulated()

    return make


def megabytes() -> float:
    """The most that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure_list(entries: int) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # UPath's, of a place that it does not know
    Simulated.entries = entries
    fsspec.register_implementation(PROTOCOL, Simulated, clobber=True)
    memory = []
    with (
        TemporaryDirectory() as name,
        cluster(CORES) as address,
        connected(address),
        open_ledger(Path(name)) as ledger,
    ):
        with Workers[Any, Any](imported(str(ROOT)), queued=16) as workers:
            batch = ClusterBatch(Settings(Size(factor=2.0)), Machine(), workers)
            tasks = find_tasks(paths.to_path(f"{PROTOCOL}://all"), Path(name))
            began = time.perf_counter()
            for count, work in enumerate(batch.run(tasks, ledger), 1):
                if work.status != "done":
                    sys.exit(f"{work.task.name}: {work.status} {work.error}")
                if count == 1:
                    began = time.perf_counter()
                if count % (entries // 10) == 0:
                    memory.append(round(megabytes()))
                    print(f"{count} done, {memory[-1]} MB", file=sys.stderr)
            seconds = time.perf_counter() - began
        with opened_again(Path(name)) as loaded:
            pass
    return {
        "entries": count,
        "seconds": round(seconds, 1),
        "units_per_second": round(count / seconds),
        "driver_megabytes_by_tenth": memory,
        "record_load_seconds": round(loaded, 1),
    }


@contextmanager
def opened_again(folder: Path) -> Iterator[float]:
    """Seconds that a later run takes to read the record."""
    began = time.perf_counter()
    with open_ledger(folder, read_only=True):
        yield time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.1, 1, 12])
    parser.add_argument("--model", default="edsr-small")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--entries", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = (
        [measure_list(options.entries)]
        if options.entries
        else [measure_pictures(size, options.model, options.seconds) for size in options.sizes]
    )
    for row in rows:
        text = json.dumps(row) if options.json else ", ".join(f"{k}: {v}" for k, v in row.items())
        print(text)


if __name__ == "__main__":
    main()
