"""Units of work over the machines of a Ray cluster.

The only module that knows Ray, which is imported when a cluster is asked for. A unit
is whatever can be pickled and done twice without harm; a worker is a callable that
takes units, made once in a process of its own on some machine and kept there. It may
have a method ``stop``, called from another thread, that has it give up what it does.
"""

import importlib.util
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bnnup import __version__
from bnnup.backends.choose import engine
from bnnup.errors import (
    BnnupError,
    ClusterError,
    FullError,
    MediaError,
    how_to_install,
    is_full,
    reason,
)

Unit = TypeVar("Unit")
Result = TypeVar("Result")

TRIES = 3  # of a unit
STARTS = 5  # of workers that may fail one after the other
PATIENCE = 60.0  # seconds without a worker in which those that are started may be lost
REACHABLE = 10.0  # seconds in which a cluster answers
GRACE = 10.0  # seconds in which workers give up what they do, before they are killed
PERIOD = 2.0  # seconds between looks at which machines there are
QUIET = {  # Ray's environment, before it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # or the ends of machines are told on standard output
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Outcome(Generic[Unit, Result]):
    """What became of a unit: ``result``, or None and ``error``, after so many ``tries``."""

    unit: Unit
    result: Result | None
    error: str = ""
    tries: int = 1


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Ray for the block: "auto" finds a cluster, "local" starts one here; or an address.

    Raises ClusterError if there is none.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(f"clusters need Ray: {how_to_install('cluster')}")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        # Workers look for modules in the folder that is current now before all others.
        with chdir(Path(__file__).parents[2]):
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster at {address!r}: {reason(error)[:200]}", hint="cluster"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def installed() -> str:
    """What has to be the same on all machines, if their results are to be."""
    return __version__ if engine is not None else f"{__version__} without its engine"


def _check_reachable(address: str) -> None:
    """OSError if nobody listens, which Ray itself finds out after minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), REACHABLE).close()


class Workers(Generic[Unit, Result]):
    """One worker for every ``threads`` cores of the connected cluster, while a block lasts.

    ``make`` is called once in every worker's process; what it raises ends the job.
    Machines may come and go: workers are made for new cores, and lost ones replaced.
    A worker is given ``queued`` units at a time, each in a thread of its own.
    """

    def __init__(
        self, make: Callable[[], Callable[[Unit], Result]], *, threads: int = 1, queued: int = 1
    ) -> None:
        import ray

        self._ray: Any = ray
        self._make = make
        self._threads = threads
        self._queued = queued
        self._remote: Any = ray.remote(_Runner).options(
            num_cpus=threads, max_restarts=0, max_task_retries=0, max_concurrency=queued + 1
        )
        self._workers: dict[_Worker, None] = {}  # in the order in which they were made
        self._free: list[dict[_Worker, None]] = [{} for _ in range(queued)]  # by units they have
        self._failed_starts = 0
        self._looked = 0.0  # when
        self._began = time.monotonic()
        self._done: SimpleQueue[tuple[_Worker, _Job | None, Future[Any]]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all workers, when they have cleaned up after what they were doing."""
        for worker in self._workers:
            if worker.jobs:
                with suppress(Exception):  # it may be dead, or the cluster be gone
                    worker.actor.stop.remote()
        until = time.monotonic() + GRACE
        with suppress(Empty):
            while any(worker.jobs for worker in self._workers):
                left = max(0.0, until - time.monotonic())
                worker, job, _ = self._done.get(timeout=left)
                worker.jobs -= job is not None
        for worker in [*self._workers]:
            self._dismiss(worker)

    @property
    def alive(self) -> int:
        """Workers that take units at the moment."""
        return sum(worker.ready for worker in self._workers)

    def run(
        self,
        units: Iterable[Unit],
        *,
        ordered: bool = False,
        window: int | None = None,
        waiting: Callable[[], None] = lambda: None,
    ) -> Generator[Outcome[Unit, Result], None, None]:
        """The outcome of every unit as soon as it is known, or, if ``ordered``, in their order.

        ``units`` is read no further than the workers can take, and than ``window`` units
        whose outcomes have not been taken. A MediaError is the unit's outcome; any other
        BnnupError ends the job, as does a full disk (FullError). Whatever else a unit
        raises, and the death of its worker, has it tried again, alone on a worker.
        ``waiting`` is called every PERIOD. One run at a time.
        """
        rest = enumerate(units)
        again: deque[_Job] = deque()
        running: set[_Job] = set()
        finished: dict[int, Outcome[Unit, Result]] = {}
        taken = 0
        self._release()
        while True:
            while again and (worker := self._empty_worker(len(again))):
                self._give(worker, again.popleft(), running)
            while (
                more := window is None or len(running) + len(again) + len(finished) < window
            ) and (worker := self._free_worker()):
                item = next(rest, None)
                if item is None:
                    more = False
                    break
                self._give(worker, _Job(*item), running)
            if not (running or again or more):
                return
            if time.monotonic() - self._looked > PERIOD:
                self._recruit()
                waiting()
            try:
                worker, job, future = self._done.get(timeout=PERIOD)
            except Empty:
                continue
            if job is None:
                self._welcome(worker, future)
                continue
            error = future.exception()
            self._take_back(worker, error)
            if job not in running:  # left over from a run that was given up
                continue
            running.remove(job)
            outcome = self._judge(job, error, None if error else future.result())
            if outcome is None:
                again.append(job)
                continue
            finished[job.number if ordered else taken] = outcome
            while taken in finished:
                yield finished.pop(taken)
                taken += 1

    # Workers

    def room(self) -> int:
        """Workers that the machines have cores for."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        if 0 < max(cores, default=0) < self._threads:
            raise ClusterError(
                f"no machine of the cluster has {self._threads} cores", hint="threads"
            )
        return sum(count // self._threads for count in cores)

    def _recruit(self) -> None:
        """A worker for every free place; at least one is asked for, so that clusters may grow."""
        self._looked = time.monotonic()
        for _ in range(max(self.room(), 1) - len(self._workers)):
            worker = _Worker(self._remote.remote(self._make))
            self._workers[worker] = None
            self._watch(worker, None, worker.actor.start.remote())

    def _watch(self, worker: "_Worker", job: "_Job | None", reference: Any) -> None:
        reference.future().add_done_callback(lambda f: self._done.put((worker, job, f)))

    def _welcome(self, worker: "_Worker", future: "Future[Any]") -> None:
        """A worker that is ready, or never will be."""
        error = future.exception()  # of the machine that should have started it
        answer = _Answer(error=_last_line(error)) if error else future.result()
        if answer.stop is not None:
            raise answer.stop
        if answer.error:
            self._dismiss(worker)
            self._failed_starts += error is None
            lost = time.monotonic() - self._began > PATIENCE
            if not self.alive and (lost or self._failed_starts >= STARTS):
                raise ClusterError(f"no worker could be started: {answer.error}")
            return
        if answer.result != installed():
            raise ClusterError(
                f"a machine of the cluster has bnnup {answer.result}, not {installed()}; "
                "install the same version"
            )
        worker.ready, self._failed_starts, self._began = True, 0, time.monotonic()
        self._free[0][worker] = None

    def _free_worker(self) -> "_Worker | None":
        """One of those that have the fewest units, if it can take another."""
        return next((worker for free in self._free for worker in free), None)

    def _empty_worker(self, wanted: int) -> "_Worker | None":
        """A worker without units; until ``wanted`` are, as many get no new ones."""
        kept = [worker for worker in self._workers if worker.kept and not worker.alone]
        while len(kept) < wanted and (worker := self._free_worker() or self._busy_worker()):
            self._free_less(worker)
            worker.kept = True
            kept.append(worker)
        empty = next((worker for worker in kept if not worker.jobs), None)
        if empty is not None:
            empty.alone = True
        return empty

    def _busy_worker(self) -> "_Worker | None":
        return next((w for w in self._workers if w.ready and not w.kept), None)

    def _release(self) -> None:
        """Workers that were kept for a run that was given up."""
        for worker in self._workers:
            if worker.kept and not worker.alone:
                worker.kept = False
                if worker.jobs < self._queued:
                    self._free[worker.jobs][worker] = None

    def _free_less(self, worker: "_Worker") -> None:
        for free in self._free:
            free.pop(worker, None)

    def _give(self, worker: "_Worker", job: "_Job", running: "set[_Job]") -> None:
        self._free_less(worker)
        worker.jobs += 1
        job.tries += 1
        if worker.jobs < self._queued and not worker.kept:
            self._free[worker.jobs][worker] = None
        running.add(job)
        self._watch(worker, job, worker.actor.work.remote(job.unit))

    def _take_back(self, worker: "_Worker", error: BaseException | None) -> None:
        """A worker that has finished a unit, or died of it, is free or replaced."""
        worker.jobs -= 1
        if isinstance(error, self._ray.exceptions.RayActorError):
            if worker in self._workers:
                self._dismiss(worker)
                self._recruit()
            return
        if worker.alone:
            worker.alone = worker.kept = False
        if not worker.kept and worker in self._workers:
            self._free_less(worker)
            self._free[worker.jobs][worker] = None

    def _dismiss(self, worker: "_Worker") -> None:
        del self._workers[worker]
        self._free_less(worker)
        with suppress(Exception):  # it may be dead, or the cluster be gone
            self._ray.kill(worker.actor)

    def _judge(
        self, job: "_Job", error: BaseException | None, answer: "_Answer | None"
    ) -> Outcome[Unit, Result] | None:
        """What became of a unit; None: it is to be tried again."""
        if answer is None:
            assert error is not None
            died = isinstance(error, self._ray.exceptions.RayActorError)
            text = f"its worker died {TRIES} times" if died else _last_line(error)
            answer = _Answer(error=text, again=True)
        if answer.stop is not None:
            raise answer.stop
        if answer.again and job.tries < TRIES:
            return None
        return Outcome(job.unit, answer.result, answer.error, job.tries)


@dataclass(eq=False)
class _Worker:
    """A worker as the driver sees it.

    ``kept`` from new units, until it has none and is given one that is tried again:
    then it is ``alone``, so that nothing else can be what kills it.
    """

    actor: Any
    ready: bool = False
    jobs: int = 0
    kept: bool = False
    alone: bool = False


@dataclass(eq=False)
class _Job:
    """A unit on its way."""

    number: int
    unit: Any
    tries: int = 0


@dataclass(frozen=True)
class _Answer:
    """What comes back from a worker; ``again``: another try may succeed."""

    result: Any = None
    error: str = ""
    again: bool = False
    stop: BnnupError | None = None


class _Runner:
    """A worker where it works."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._make = make

    def start(self) -> _Answer:
        try:
            self._work = self._make()
            return _Answer(installed())
        except Exception as error:
            return self._explain(error)

    def work(self, unit: Any) -> _Answer:
        try:
            return _Answer(self._work(unit))
        except Exception as error:
            return self._explain(error)

    def stop(self) -> None:
        stop = getattr(self._work, "stop", None)
        if stop is not None:
            stop()

    def _explain(self, error: Exception) -> _Answer:
        if isinstance(error, BnnupError) and not isinstance(error, MediaError):
            return _Answer(stop=_bare(error))
        if is_full(error):
            return _Answer(stop=FullError(str(error)))
        if isinstance(error, MediaError):
            return _Answer(error=str(error))
        kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        return _Answer(error=kind + reason(error), again=True)


def _bare(error: BnnupError) -> BnnupError:
    """The same without what led to it, which need not be importable elsewhere."""
    return type(error)(str(error), hint=error.hint)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
