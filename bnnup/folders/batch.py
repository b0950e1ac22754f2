"""Pictures one after the other: read, enlarged and written at the same time.

While one picture is computed, the next is decoded and the one before encoded, each
in a thread of its own. Results pass in strips: none is ever whole in memory unless
its encoder needs it whole. Whatever goes wrong with a picture, in whatever stage, is
the end of that picture alone; what concerns all of them (``FullError``) is raised.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from threading import Event, Lock
from typing import Protocol

import numpy as np

from bnnup.folders.apart import run_apart, shared
from bnnup.folders.enlarger import Enlarger, PictureProgress
from bnnup.folders.ledger import Ledger
from bnnup.folders.networks import Networks
from bnnup.folders.reader import Reader
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Stream, Task
from bnnup.folders.work import Work
from bnnup.folders.writer import write_result
from bnnup.system.stages import ahead
from bnnup.upscale.passes import Strip

NOTHING = np.empty((0, 0), np.uint8)  # stands for a work without strips
ENORMOUS = 100_000_000  # bytes of pixels: while they are worked on, no others are decoded
PATIENCE = 0.1  # seconds between looks at whether anybody still wants the result


class Runner(Protocol):
    """What does tasks: this process, or a cluster."""

    def prepare(self) -> None:
        """Loads the networks that are certain to be needed; BnnupError where one is missing."""
        ...

    def run(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None = None,
        *,
        force: bool = False,
        only_plan: bool = False,
    ) -> Iterator[Work]:
        """Each task when it is done, skipped or has failed.

        What ``ledger`` knows as finished is skipped, and what it does not know is not
        overwritten, both unless ``force``. With ``only_plan`` nothing is enlarged.
        """
        ...


class Apart(Protocol):
    """What does a task in a process of its own: ``run_apart`` with all but these."""

    def __call__(self, task: Task, *, force: bool) -> Work: ...


class Batch:
    """Runs tasks in this process, in their order.

    Those that an earlier run began and did not finish come last, each ``apart`` if that is
    given: a crash must not meet all that follow, at every run again.
    """

    def __init__(self, reader: Reader, enlarger: Enlarger, apart: Apart | None = None) -> None:
        self._reader, self._enlarger, self._apart = reader, enlarger, apart
        self._network = Lock()

    @classmethod
    def of(
        cls,
        settings: Settings,
        machine: Machine | None = None,
        progress: PictureProgress | None = None,
    ) -> "Batch":
        """What runs tasks as ``settings`` say, with networks of this machine."""
        machine = machine or Machine()
        enlarger = Enlarger(Networks(settings, machine), progress)
        apart = partial(run_apart, settings=settings, machine=machine)
        return cls(Reader(settings, machine), enlarger, apart)

    def prepare(self) -> None:
        """As ``Runner`` says."""
        self._enlarger.networks.prepare()

    def run(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None = None,
        *,
        force: bool = False,
        only_plan: bool = False,
    ) -> Iterator[Work]:
        """As ``Runner`` says."""
        last: list[Task] = []
        if ledger is not None:
            tasks = ledger.announced(tasks, force=force)
            if self._apart is not None and not only_plan:
                tasks = _set_aside(tasks, last)
        unwanted = Event()
        works = (Work(task, unwanted=unwanted) for task in tasks)
        read = ahead(self._read(works, ledger is not None, force, only_plan), 1)
        computed = ahead(self._compute(read), 1)
        with closing(computed):
            try:
                for work, first in computed:
                    strips = _rest(first, computed)
                    if first is not NOTHING:
                        with work.failing():
                            write_result(work, strips, ledger)
                            work.status = "done"
                        deque(strips, 0)  # what a result that failed has no use for
                    if ledger is not None:
                        ledger.settle(work.task, work.status)
                    yield work
            finally:
                unwanted.set()  # before the stages are waited for
        for task in last:
            assert ledger is not None and self._apart is not None
            work = self._apart(task, force=force)
            if work.status == "done":
                assert task.target is not None and not isinstance(task.target, Stream)
                ledger.finish(task.target, work.key, work.bytes, model=work.choice.model)
            ledger.settle(task, work.status)
            yield work

    def _read(
        self, works: Iterable[Work], recorded: bool, force: bool, only_plan: bool
    ) -> Generator[Work, None, None]:
        for work in works:
            with work.failing():
                self._reader.read(work, recorded=recorded, force=force, only_plan=only_plan)
            enormous = work.picture is not None and work.picture.pixels.nbytes > ENORMOUS
            yield work
            while enormous and not (work.computed.wait(PATIENCE) or work.unwanted.is_set()):
                pass

    def _compute(
        self, works: Generator[Work, None, None]
    ) -> Generator[tuple[Work, Strip], None, None]:
        """Every work with each of its strips, and once without any, which ends it."""
        with closing(works):
            for work in works:
                picture, work.picture = work.picture, None
                if picture is not None and work.status == "planned":
                    with work.failing(), self._network:
                        for strip in self._enlarger.enlarge(work, picture):
                            yield work, strip
                    del picture
                    work.computed.set()
                yield work, NOTHING


def _set_aside(tasks: Iterable[Task], aside: list[Task]) -> Iterator[Task]:
    """All but those that an earlier run may have ended at, which are added to ``aside``."""
    for task in tasks:
        if task.known is not None and task.known.unfinished and not task.problem and shared(task):
            aside.append(task)
        else:
            yield task


def _rest(strip: Strip, computed: Iterator[tuple[Work, Strip]]) -> Iterator[Strip]:
    """The strips of one work; of the next nothing is asked for, since that may fail."""
    while strip is not NOTHING:
        yield strip
        _, strip = next(computed)
