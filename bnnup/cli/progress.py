"""Progress bars on standard error that only show when something takes longer than a moment."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from bnnup.cli.output import printable

if TYPE_CHECKING:
    from bnnup.upscale.upscaler import Progress

MOMENT = 1.0  # seconds


@contextmanager
def progress_bar(label: str, *, quiet: bool) -> Iterator["Progress"]:
    """A function to call with (done, total); silent where nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(printable(label)), visible=False)
        began = time.monotonic()

        def show(done: int, total: int) -> None:
            visible = time.monotonic() - began > MOMENT
            bar.update(task, completed=done, total=total, visible=visible)

        yield show


class Watcher:
    """Told of pictures as they go on and come to their end; what they come to so far.

    Messages are passed on to ``say``.
    """

    def __init__(self, say: Callable[[str], None], *, counts: bool = False) -> None:
        self._say = say
        self.counts = counts  # whether somebody looks at what is left
        self._began = time.monotonic()
        self.pictures = 0
        self.megapixels = 0.0
        self.total: int | None = None
        self.workers: int | None = None

    @property
    def rate(self) -> float:
        """Megapixels per second."""
        return self.megapixels / max(time.monotonic() - self._began, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds, if it is known how many pictures there are."""
        if not (self.total and self.pictures):
            return None
        return (time.monotonic() - self._began) * (self.total / self.pictures - 1)

    def within(self, name: str, done: int, total: int) -> None:
        pass

    def finished(self, megapixels: float, message: str = "") -> None:
        self.pictures += 1
        self.megapixels += megapixels
        if message:
            self._say(message)

    def alive(self, workers: int) -> None:
        self.workers = workers

    def to_dict(self) -> dict[str, Any]:
        left = self.left
        return {
            "finished": self.pictures,
            "total": self.total,
            "megapixels_per_second": round(self.rate, 3),
            "seconds_left": None if left is None else round(left),
            "workers": self.workers,
        }


@contextmanager
def counting(watcher: Watcher, tasks: Callable[[], Iterable[object]]) -> Iterator[None]:
    """Tells ``watcher`` how many tasks there are, when a thread has counted them."""
    unwanted = Event()

    def count() -> None:
        total = 0
        for _ in tasks():
            if unwanted.is_set():
                return
            total += 1
        watcher.total = total

    if watcher.counts:
        Thread(target=count, daemon=True).start()
    try:
        yield
    finally:
        unwanted.set()


@contextmanager
def watch_pictures(*, quiet: bool, say: Callable[[str], None]) -> Iterator[Watcher]:
    """A bar: how many pictures, megapixels a second, time left, workers if there are any.

    ``say`` prints messages where there is no bar.
    """
    if quiet or not sys.stderr.isatty():
        yield Watcher(say, counts=quiet)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.fields[pictures]} pictures"),
        TextColumn("{task.fields[rate]:.2f} megapixels/s"),
        TextColumn("{task.fields[workers]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, pictures="0", rate=0.0, workers="")

        class Shown(Watcher):
            """Two threads tell: the one that computes, and the one that has written."""

            def within(self, name: str, done: int, total: int) -> None:
                # The picture that is computed is the one after those that are finished.
                self._show(self.pictures + done / total, escape(printable(name)))

            def finished(self, megapixels: float, message: str = "") -> None:
                super().finished(megapixels, message)
                self._show(self.pictures, None)

            def alive(self, workers: int) -> None:
                super().alive(workers)
                self._show(self.pictures, None)

            def _show(self, completed: float, description: str | None) -> None:
                if self.total is not None:
                    completed = min(completed, self.total)
                pictures = f"{self.pictures}/{'…' if self.total is None else self.total}"
                workers = "" if self.workers is None else f"{self.workers} workers"
                bar.update(
                    task,
                    total=self.total,
                    completed=completed,
                    description=description,
                    pictures=pictures,
                    rate=self.rate,
                    workers=workers,
                )

        def tell(text: str) -> None:
            console.print(escape(printable(text)), style="red", highlight=False)

        yield Shown(tell, counts=True)
