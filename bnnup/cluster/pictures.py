"""Pictures over a cluster: whole ones by its workers, enormous ones tile by tile by all of them."""

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnup.cluster.workers import Outcome, Workers, connected
from bnnup.errors import BnnupError, ClusterError, MediaError
from bnnup.folders.batch import Batch
from bnnup.folders.enlarger import Enlarger, PictureProgress
from bnnup.folders.ledger import NAME, Ledger
from bnnup.folders.networks import Networks
from bnnup.folders.reader import Reader
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Known, Stream, Task
from bnnup.folders.work import Work
from bnnup.folders.writer import remove_rest
from bnnup.system import paths
from bnnup.upscale.upscaler import Upscaler

LARGE = 40_000_000  # pixels of a picture that is cut up
QUEUED = 2  # pictures in a worker: while one is enlarged, another is fetched or stored
SMALLEST, LARGEST = 256, 1024  # input pixels a tile, each way
TILES = 4  # for each worker, so that none is idle for long at the end


@dataclass(frozen=True)
class Part:
    """A tile of an enormous picture on its way: pixels, and the network for them."""

    model: str
    scale: int
    pixels: NDArray[Any]


Unit = Task | Part
Crew = Workers[Unit, Any]


@contextmanager
def over_cluster(
    address: str,
    settings: Settings,
    machine: Machine,
    *,
    source: Path | None = None,
    target: Path | None = None,
    progress: PictureProgress | None = None,
    waiting: Callable[[int], None] = lambda workers: None,
) -> Iterator["ClusterBatch"]:
    """A ``Runner`` on the cluster at ``address``; ``waiting`` hears how many workers there are.

    ``source`` and ``target`` are the folders of pictures and of results: where a worker
    does not see one, ClusterError says what to do.
    """
    for place in (source, target):
        if place is not None:
            check_shared(place)
    threads = machine.threads or 1
    make = partial(
        PictureWorker,
        settings,
        replace(machine, threads=threads, largest=LARGE),
        settings.fingerprint(),
        {each: path.read_bytes() for each, path in settings.models().items()},
        None if source is None else paths.absolute(source),
        None if target is None else paths.absolute(target),
    )
    with connected(address), Workers[Unit, Any](make, threads=threads, queued=QUEUED) as workers:
        yield ClusterBatch(settings, machine, workers, progress, waiting)


class PictureWorker:
    """Pictures and tiles on one of the cluster's machines.

    ``models`` are files by name and scale, which the machine need not have.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        fingerprint: str,
        models: dict[tuple[str, int], bytes],
        source: str | None,
        target: str | None,
    ) -> None:
        self._models = models
        self._networks = Networks(settings, machine, self._load)
        self._enlarger = Enlarger(self._networks)
        self._batch = Batch(Reader(settings, machine, fingerprint), self._enlarger)
        if source is not None:
            check_visible(source)
        if target is not None:
            check_visible(target, NAME)

    def __call__(self, unit: Unit) -> Any:
        if isinstance(unit, Part):
            return self._networks.named(unit.model, unit.scale).enlarge_tile(unit.pixels)
        (work,) = self._batch.run([unit])
        if work.status == "failed" and work.again:
            raise OSError(work.error)
        return work

    def stop(self) -> None:
        """Gives up the picture that is being enlarged."""
        self._enlarger.stop()

    def _load(self, name: str, scale: int) -> Upscaler:
        if (name, scale) not in self._models:
            return self._networks.load(name, scale)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            path.write_bytes(self._models[name, scale])
            try:
                return self._networks.load(str(path), scale)
            except BnnupError as error:  # as it would be said where the file is
                raise type(error)(str(error).replace(str(path), name)) from None


def check_shared(place: Path) -> None:
    """ClusterError if no other process can see a place."""
    if paths.is_private(place):
        raise ClusterError(f"{place} is in this process only; use a mount, or s3://")


def check_visible(place: str, mark: str = "") -> None:
    """ClusterError if this machine does not see a folder, and in it the file ``mark``."""
    here = socket.gethostname()
    try:
        path = paths.to_path(place)
    except MediaError as error:
        raise ClusterError(f"the worker on {here}: {error}") from error
    if paths.is_local(path) and not (path / mark).exists():
        raise ClusterError(
            f"the worker on {here} does not see {place}: mount it there under the same name, or "
            "use a place that all machines see, like s3://"
        )


class ClusterBatch:
    """Runs tasks on the workers of a cluster: works come as they are finished.

    ``waiting`` is told how many workers there are, ``progress`` how far the pictures are
    that are cut up for all of them.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        workers: Crew,
        progress: PictureProgress | None = None,
        waiting: Callable[[int], None] = lambda workers: None,
    ) -> None:
        self.workers, self._waiting = workers, waiting
        self._here = Networks(settings, machine)
        enlarger = Enlarger(Networks(settings, machine, self._spread), progress)
        self._batch = Batch(Reader(settings, machine), enlarger)

    def prepare(self) -> None:
        """As ``Runner`` says."""
        self._batch.prepare()

    def run(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None = None,
        *,
        force: bool = False,
        only_plan: bool = False,
    ) -> Iterator[Work]:
        """As ``Runner`` says; without ``ledger`` each picture is cut up for all workers."""
        if ledger is None or only_plan:
            yield from self._batch.run(tasks, ledger, force=force, only_plan=only_plan)
            return
        feed = _Feed(ledger.announced(tasks, force=force))
        large: list[Task] = []
        try:
            for outcome in self.workers.run(feed, waiting=self.wait):
                work = feed.take_back(outcome)
                if work.status == "stale":
                    feed.again.append(_begun(work.task, ledger))
                elif work.status == "large":
                    large.append(work.task)
                else:
                    target = work.task.target
                    assert target is not None and not isinstance(target, Stream)
                    if work.status == "done":
                        ledger.finish(target, work.key, work.bytes, model=work.choice.model)
                    ledger.settle(work.task, work.status)
                    yield work
        finally:
            if feed.given:
                self.workers.close()
            for task in feed.given:
                remove_rest(task)
        yield from self._batch.run(large, ledger, force=force)
        self.wait()

    def wait(self) -> None:
        """Tells how many workers there are."""
        self._waiting(self.workers.alive)

    def _spread(self, name: str, scale: int) -> Upscaler:
        return SpreadUpscaler(self._here.named(name, scale), name, self)


class SpreadUpscaler(Upscaler):
    """An upscaler whose tiles are enlarged by workers, a few at a time on their way."""

    def __init__(self, upscaler: Upscaler, name: str, batch: ClusterBatch) -> None:
        super().__init__(
            upscaler.model,
            backend=upscaler.backend,
            tile=upscaler.tile,
            memory=upscaler.memory,
            alpha=upscaler.alpha,
        )
        self._name, self._batch = name, batch

    def tile_side(self, shape: tuple[int, ...], halo: int) -> int:
        side = super().tile_side(shape, halo)
        if self.tile is not None:
            return side
        height, width = (length // self.scale for length in shape[:2])
        wanted = TILES * self._batch.workers.room()
        side = min(side, LARGEST)
        while side > SMALLEST and ceil(height / side) * ceil(width / side) < wanted:
            side //= 2
        return side

    def _enlarge_tiles(self, tiles: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """``memory`` holds those that are on their way, at both sizes."""
        tiles = iter(tiles)
        first = next(tiles)
        window = max(2, self.memory // (first.nbytes * (1 + self.scale**2)))
        units = (
            Part(self._name, self.scale, np.ascontiguousarray(tile))
            for tile in chain([first], tiles)
        )
        workers = self._batch.workers
        for outcome in workers.run(units, ordered=True, window=window, waiting=self._batch.wait):
            if outcome.result is None:
                raise MediaError(f"a part could not be enlarged: {outcome.error}")
            yield outcome.result


class _Feed:
    """Tasks, and those that are to be done over; ``given`` are those that workers have."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self.again: deque[Task] = deque()
        self.given: set[Task] = set()

    def __iter__(self) -> Iterator[Unit]:
        return self

    def __next__(self) -> Unit:
        task = self.again.popleft() if self.again else next(self._tasks)
        self.given.add(task)
        return task

    def take_back(self, outcome: Outcome[Unit, Any]) -> Work:
        """What became of a picture, also if its workers never told."""
        task = outcome.unit
        assert isinstance(task, Task)
        self.given.discard(task)
        if isinstance(outcome.result, Work):
            return outcome.result
        remove_rest(task)
        return Work(task, "failed", outcome.error)


def _begun(task: Task, ledger: Ledger) -> Task:
    """A task whose result may now be written over."""
    target = task.target
    assert target is not None and not isinstance(target, Stream)
    ledger.begin(target)
    return replace(task, known=Known(begun=True))
