"""Progress bars on standard error that only show when something takes longer than a moment."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bnnup.upscaler import Progress

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
        task = bar.add_task(escape(label), visible=False)
        began = time.monotonic()

        def show(done: int, total: int) -> None:
            visible = time.monotonic() - began > MOMENT
            bar.update(task, completed=done, total=total, visible=visible)

        yield show


class Watcher(Protocol):
    """Told of each picture as it goes on and when it has come to its end."""

    def within(self, name: str, done: int, total: int) -> None: ...

    def finished(self, megapixels: float, message: str = "") -> None: ...


class Nobody:
    """Only messages are passed on, by ``say``."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def within(self, name: str, done: int, total: int) -> None:
        pass

    def finished(self, megapixels: float, message: str = "") -> None:
        if message:
            self._say(message)


@contextmanager
def watch_pictures(count: int, *, quiet: bool, say: Callable[[str], None]) -> Iterator[Watcher]:
    """A bar for ``count`` pictures: how many, megapixels a second, time left.

    ``say`` prints messages where there is no bar.
    """
    if quiet or not sys.stderr.isatty():
        yield Nobody(say)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.fields[pictures]}/{task.total} pictures"),
        TextColumn("{task.fields[rate]:.2f} megapixels/s"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=count, pictures=0, rate=0.0)

        class Shown:
            """Two threads tell: the one that computes, and the one that has written."""

            pictures, megapixels, began = 0, 0.0, time.monotonic()

            def within(self, name: str, done: int, total: int) -> None:
                # The picture that is computed is the one after those that are finished.
                completed = min(self.pictures + done / total, count)
                bar.update(task, completed=completed, description=escape(name))

            def finished(self, megapixels: float, message: str = "") -> None:
                self.pictures += 1
                self.megapixels += megapixels
                rate = self.megapixels / (time.monotonic() - self.began)
                bar.update(task, completed=self.pictures, pictures=self.pictures, rate=rate)
                if message:
                    console.print(escape(message), style="red", highlight=False)

        yield Shown()
