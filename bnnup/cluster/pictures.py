"""Pictures over a cluster: whole ones by its workers, enormous ones tile by tile by all of them."""

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
from bnnup.folders.batch import Batch, token
from bnnup.folders.ledger import NAME, Ledger
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Known, Task
from bnnup.folders.work import Work
from bnnup.system import paths
from bnnup.system.files import temporary_for
from bnnup.upscale.upscaler import Upscaler

LARGE = 40_000_000  # pixels of a picture that is cut up
QUEUED = 2  # pictures in a worker: while one is enlarged, another is fetched or stored
SMALLEST, LARGEST = 256, 1024  # input pixels a tile, each way
TILES = 4  # for each worker, so that none is idle for long at the end


@dataclass(frozen=True)
class Tile:
    """A part of an enormous picture: pixels with the margin that the network looks at."""

    scale: int
    pixels: NDArray[Any]


Unit = Task | Tile
Crew = Workers[Unit, Any]


@contextmanager
def over_cluster(
    address: str,
    settings: Settings,
    machine: Machine,
    *,
    source: Path | None = None,
    target: Path | None = None,
) -> Iterator["ClusterBatch"]:
    """A ``Batch`` that works on the cluster at ``address``.

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
        {scale: path.read_bytes() for scale, path in settings.models().items()},
        None if source is None else str(source),
        None if target is None else str(target),
    )
    with connected(address), Workers[Unit, Any](make, threads=threads, queued=QUEUED) as workers:
        yield ClusterBatch(settings, machine, workers)


class PictureWorker(Batch):
    """Pictures and tiles on one of the cluster's machines.

    ``models`` are files by scale, which the machine need not have.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        fingerprint: str,
        models: dict[int, bytes],
        source: str | None,
        target: str | None,
    ) -> None:
        super().__init__(settings, machine)
        self._fingerprint = fingerprint
        self._models = models
        if source is not None:
            check_visible(source)
        if target is not None:
            check_visible(target, NAME)

    def __call__(self, unit: Unit) -> Any:
        if isinstance(unit, Tile):
            return self.upscaler(unit.scale).enlarge_tile(unit.pixels)
        (work,) = self.run([unit])
        if work.status == "failed" and work.again:
            raise OSError(work.error)
        return work

    def _load(self, scale: int, name: str | None = None) -> Upscaler:
        if scale not in self._models:
            return super()._load(scale, name)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            path.write_bytes(self._models[scale])
            try:
                return super()._load(scale, str(path))
            except BnnupError as error:  # as it would be said where the file is
                raise type(error)(str(error).replace(str(path), self.settings.model)) from None


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


class ClusterBatch(Batch):
    """Like Batch, on the workers of a cluster: works come as they are finished."""

    def __init__(self, settings: Settings, machine: Machine, workers: Crew) -> None:
        super().__init__(settings, machine)
        self.workers = workers

    def run(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None = None,
        *,
        force: bool = False,
        only_plan: bool = False,
    ) -> Iterator[Work]:
        """As Batch does; without ``ledger`` each picture is cut up for all workers."""
        if ledger is None or only_plan:
            yield from super().run(tasks, ledger, force=force, only_plan=only_plan)
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
                    if work.status == "done" and work.task.target is not None:
                        ledger.finish(work.task.target, work.key, work.bytes)
                    ledger.settle(work.task, work.status)
                    yield work
        finally:
            if feed.given:
                self.workers.close()
            for task in feed.given:
                _remove_rest(task)
        yield from super().run(large, ledger, force=force)

    def wait(self) -> None:
        self.waiting(self.workers.alive)

    def _load(self, scale: int, name: str | None = None) -> Upscaler:
        return SpreadUpscaler(super()._load(scale, name), self)


class SpreadUpscaler(Upscaler):
    """An upscaler whose tiles are enlarged by workers, a few at a time on their way."""

    def __init__(self, upscaler: Upscaler, batch: ClusterBatch) -> None:
        super().__init__(
            upscaler.model,
            backend=upscaler.backend,
            tile=upscaler.tile,
            memory=upscaler.memory,
            alpha=upscaler.alpha,
        )
        self._batch = batch

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
        units = (Tile(self.scale, np.ascontiguousarray(tile)) for tile in chain([first], tiles))
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
        _remove_rest(task)
        return Work(task, "failed", outcome.error)


def _begun(task: Task, ledger: Ledger) -> Task:
    """A task whose result may now be written over."""
    assert task.target is not None and task.known is not None
    ledger.begin(task.target)
    return replace(task, known=Known(begun=True))


def _remove_rest(task: Task) -> None:
    """What a worker that died, or was stopped, may have left of a result."""
    if task.target is not None and paths.is_local(task.target):
        with suppress(OSError):
            temporary_for(task.target, token(task)).unlink(missing_ok=True)
