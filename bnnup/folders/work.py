"""A picture on its way through the stages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

from bnnup.errors import BnnupError, FullError, StoppedError, is_full, reason
from bnnup.folders.report import Report
from bnnup.folders.tasks import Task
from bnnup.pictures.animation import Animation
from bnnup.pictures.formats import Encoding
from bnnup.pictures.metadata import Info
from bnnup.pictures.picture import Picture
from bnnup.upscale.choice import Choice


@dataclass(eq=False)
class Work:
    """A task on its way through the stages; ``status`` is where it ended.

    "stale" and "large" are left to the machine that has the record and the whole
    cluster: the result was finished before, but of another content or by other
    settings; or the picture is too large for one worker.
    """

    task: Task
    status: Literal["planned", "skipped", "done", "failed", "stale", "large"] = "planned"
    error: str = ""
    hint: str = ""  # of the error
    cause: BaseException | None = None  # the error itself
    again: bool = False  # whether the error may pass
    key: int = 0
    bytes: int = 0  # of the file
    picture: Picture | None = None
    size: tuple[int, int] = (0, 0)  # width and height of the result
    memory: int = 0  # bytes that are needed, about
    encoding: Encoding = field(default_factory=lambda: Encoding("PNG"))
    info: Info = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    animation: Animation | None = None
    seconds: float = 0.0  # of the network and the tiles
    choice: Choice = field(default_factory=lambda: Choice(""))
    report: Report | None = None
    computed: Event = field(default_factory=Event)
    unwanted: Event = field(default_factory=Event)  # set when nobody waits for the result

    def go_on(self) -> None:
        """StoppedError if nobody waits for the result, or it has failed in a later stage."""
        if self.unwanted.is_set() or self.status == "failed":
            raise StoppedError

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Whatever goes wrong in the block is the end of this work, unless it is that of all."""
        try:
            yield
        except StoppedError:
            if self.status != "failed":
                raise
        except FullError:
            raise
        except Exception as error:  # of whatever kind: the next picture may be sound
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """``error`` is its end; FullError if it is that of all others, too."""
        if is_full(error):
            raise FullError(f"{error}; make room there, and the same command goes on") from error
        self.status, self.error = "failed", _said_of(error)
        self.hint, self.cause = getattr(error, "hint", ""), error
        origin = error.__cause__ or error
        self.again = isinstance(origin, OSError) and origin.errno is not None

    def __getstate__(self) -> dict[str, Any]:
        """All that counts when the stages are past."""
        passing = ("cause", "picture", "info", "animation", "computed", "unwanted")
        return {name: value for name, value in vars(self).items() if name not in passing}


def _said_of(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, BnnupError):
        return str(error)
    return f"unexpectedly, {type(error).__name__}: {reason(error)}"
