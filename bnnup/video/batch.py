"""Films one after the other, each by the network that its size takes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnnup.errors import BnnupError, FullError, MediaError, reason
from bnnup.system import paths
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.enlarge import (
    FilmResult,
    Options,
    TranscoderFactory,
    choose_scale,
    enlarge_video,
    in_this_process,
)
from bnnup.video.naming import FilmTask
from bnnup.video.transcode import FilmProgress


@dataclass(frozen=True)
class FilmOutcome:
    """What became of a film: a result, an error, or neither if its output was there before."""

    task: FilmTask
    result: FilmResult | None = None
    error: BnnupError | None = None

    @property
    def status(self) -> str:
        if self.error is not None:
            return "failed"
        return "skipped" if self.result is None else "done"


class FilmBatch:
    """Enlarges films.

    ``load`` gives the network of a scale; ``scale`` is that of all films, by default the
    least that reaches the wanted size. ``force`` makes anew what is there, and discards
    unfinished work.
    """

    def __init__(
        self,
        load: Callable[[int], Upscaler],
        options: Options,
        *,
        scale: int | None = None,
        force: bool = False,
        workers: TranscoderFactory = in_this_process,
    ) -> None:
        self._load = cache(load)
        self._options = options
        self._scale = scale
        self._force = force
        self._workers = workers

    def enlarge(
        self,
        task: FilmTask,
        progress: Callable[[FilmProgress], None],
        tell: Callable[[list[str]], None] = lambda _: None,
    ) -> FilmOutcome:
        """Does one task; ``tell`` is that of ``enlarge_video``.

        Raises FullError, after which no other film has a place either.
        """
        source, target = task.source, task.target
        try:
            if task.problem:
                raise MediaError(task.problem)
            if paths.exists(target) and not self._force:
                return FilmOutcome(task)
            _make_folder(target.parent)
            scale = self._scale or choose_scale(source, self._options)
            result = enlarge_video(
                self._load(scale),
                source,
                target,
                self._options,
                progress,
                discard=self._force,
                workers=self._workers,
                tell=tell,
            )
        except FullError:
            raise
        except BnnupError as error:
            return FilmOutcome(task, error=error)
        return FilmOutcome(task, result)


def _make_folder(path: Path) -> None:
    if paths.is_local(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(
                f"the folder {path} cannot be made: {reason(error)}", hint="output"
            ) from error
