"""What is asked for, and a picture on its way through the stages."""

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Literal

from bnnup.animation import Animation
from bnnup.errors import BnnupError, FullError, is_full
from bnnup.folder import Task
from bnnup.formats import Encoding
from bnnup.image import Picture
from bnnup.metadata import Info
from bnnup.report import Report
from bnnup.size import Size, plan_passes
from bnnup.upscaler import MEMORY
from bnnup.zoo import DEFAULT, SCALES, find_model


@dataclass(frozen=True)
class Settings:
    """All that shapes a result. ``format`` is Pillow's name; None: that of the output's name."""

    size: Size
    model: str = DEFAULT
    alpha: str = "network"
    format: str | None = None
    quality: int | None = None
    lossless: bool = False
    strip: bool = False

    def models(self) -> dict[int, Path]:
        """The files of the networks that may be needed, by scale, as far as there are any."""
        found = {}
        factor = self.size.factor
        # Only what is needed: other scales may be on the Hub alone.
        for scale in SCALES if factor is None else sorted(set(plan_passes(factor))):
            with suppress(BnnupError, OSError):
                found[scale] = find_model(self.model, scale)
        return found

    def fingerprint(self) -> str:
        """A hash of the settings, and of the networks they name."""
        settings = asdict(self) | {"model": None}  # wherever it lies, its content counts
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=16)
        for path in self.models().values():
            with suppress(OSError):
                digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Machine:
    """What changes the time and memory that results take, and nothing else about them.

    Pictures of more than ``largest`` pixels are left to others.
    """

    tile: int | None = None
    memory: int = MEMORY
    threads: int | None = None
    largest: float = math.inf


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
