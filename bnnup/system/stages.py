"""Stages that overlap: each in a thread of its own, a few items ahead of the next."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread, local
from typing import TypeVar

from bnnup.errors import StoppedError

T = TypeVar("T")

PATIENCE = 0.1  # seconds between looks at whether anybody still wants the items


_making = local()  # what this thread makes is `unwanted` once that event is set


def go_on() -> None:
    """StoppedError if nobody wants any more what this thread makes for ``ahead``.

    For what takes long to ask now and then. On the main thread it is a Python function,
    in which Ctrl-C is heard.
    """
    unwanted = getattr(_making, "unwanted", None)
    if unwanted is not None and unwanted.is_set():
        raise StoppedError


@dataclass
class Clock:
    """Seconds that a stage has worked; waiting for other stages is not work."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def ahead(items: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """The same items, made in another thread, at most ``depth`` of them in stock.

    What making them raises is raised here. Closing this has the item given up that is
    being made, by ``go_on``, and closes ``items``: nothing goes on in the background
    afterwards.
    """
    stock: Queue[T | _End] = Queue(depth)
    unwanted = Event()

    def store(item: T | _End) -> None:
        while not unwanted.is_set():
            try:
                return stock.put(item, timeout=PATIENCE)
            except Full:
                pass

    def take() -> T | _End:
        while True:  # on Windows, Ctrl-C is not heard while this waits
            with suppress(Empty):
                return stock.get(timeout=PATIENCE)

    def work() -> None:
        _making.unwanted = unwanted
        try:
            for item in items:
                store(item)
                if unwanted.is_set():
                    return
            store(_End(None))
        except BaseException as error:
            store(_End(error))
        finally:
            items.close()

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(item := take(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        thread.join()
