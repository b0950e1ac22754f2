"""The second stage of a job: pictures through their networks."""

import time
from collections.abc import Callable, Iterator
from threading import Event

from bnnup.errors import StoppedError
from bnnup.folders.networks import Networks
from bnnup.folders.report import Report
from bnnup.folders.work import Work
from bnnup.pictures.picture import Picture
from bnnup.upscale import passes
from bnnup.upscale.passes import Strip

PictureProgress = Callable[[str, int, int], None]  # of which picture, input pixels done, in all


class Enlarger:
    """Enlarges one picture after the other; ``progress`` is told how far each is."""

    def __init__(self, networks: Networks, progress: PictureProgress | None = None) -> None:
        self.progress = progress
        self.networks = networks
        self._stopped = Event()

    def stop(self) -> None:
        """Gives up whatever is being enlarged."""
        self._stopped.set()

    def enlarge(self, work: Work, picture: Picture) -> Iterator[Strip]:
        """The strips of the result, or of all its frames one after the other; then the report."""
        upscalers, work.choice = self.networks.choose(picture)
        moving = work.animation
        count = 1 if moving is None else moving.count
        total = count * passes.pixels_seen(picture.pixels.shape, upscalers)
        frames = iter([picture.pixels]) if moving is None else moving.frames()
        strips = passes.enlarge(frames, upscalers, work.size, self._counter(work, total))
        while True:
            began = time.perf_counter()
            strip = next(strips, None)
            work.seconds += time.perf_counter() - began
            if strip is None:
                break
            yield strip
        work.report = Report.of(
            upscalers,
            work.choice,
            picture.pixels.shape,
            work.size,
            work.seconds,
            work.task.result_name,
            count,
        )

    def _counter(self, work: Work, total: int) -> Callable[[int], None]:
        seen = 0

        def count(pixels: int) -> None:
            nonlocal seen
            work.go_on()
            if self._stopped.is_set():
                raise StoppedError
            seen += pixels
            if self.progress is not None:
                self.progress(work.task.name, seen, total)

        return count
