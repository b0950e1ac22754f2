"""A picture on its way through the stages."""

from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

from bnnup.errors import FullError, StoppedError, is_full
from bnnup.folders.report import Report
from bnnup.folders.tasks import Task
from bnnup.pictures.animation import Animation
from bnnup.pictures.formats import Encoding
from bnnup.pictures.metadata import Info
from bnnup.pictures.picture import Picture


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
    report: Report | None = None
    computed: Event = field(default_factory=Event)
    unwanted: Event = field(default_factory=Event)  # set when nobody waits for the result

    def go_on(self) -> None:
        """StoppedError if nobody waits for the result."""
        if self.unwanted.is_set():
            raise StoppedError

    def fail(self, error: BaseException) -> None:
        """``error`` is its end; FullError if it is that of all others, too."""
        if is_full(error):
            raise FullError(f"{error}; make room there, and the same command goes on") from error
        self.status, self.error = "failed", str(error) or "it does not fit into memory"
        cause = error.__cause__ or error
        self.again = isinstance(cause, OSError) and cause.errno is not None

    def __getstate__(self) -> dict[str, Any]:
        """All that counts when the stages are past."""
        passing = ("picture", "info", "animation", "computed", "unwanted")
        return {name: value for name, value in vars(self).items() if name not in passing}
