"""A progress bar on standard error that only shows when something takes longer than a moment."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bnnup.upscaler import Progress

MOMENT = 1.0  # seconds


@contextmanager
def progress_bar(label: str, *, quiet: bool) -> Iterator[Progress]:
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
