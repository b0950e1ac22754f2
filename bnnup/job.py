"""What is asked for, and a picture on its way through the stages."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Literal

from bnnup.animation import Animation
from bnnup.errors import BnnupError
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

    def fingerprint(self) -> str:
        """A hash of the settings, and of the networks they name."""
        settings = asdict(self) | {"model": None}  # wherever it lies, its content counts
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=16)
        factor = self.size.factor
        # Only what is needed: other scales may be on the Hub alone.
        for scale in SCALES if factor is None else sorted(set(plan_passes(factor))):
            with suppress(BnnupError, OSError):
                digest.update(find_model(self.model, scale).read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Machine:
    """What changes the time and memory that results take, and nothing else about them."""

    tile: int | None = None
    memory: int = MEMORY
    threads: int | None = None


@dataclass(eq=False)
class Work:
    """A task on its way through the stages; ``status`` is where it ended."""

    task: Task
    status: Literal["planned", "skipped", "done", "failed"] = "planned"
    error: str = ""
    key: str = ""
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

    def fail(self, error: BaseException) -> None:
        self.status, self.error = "failed", str(error) or "it does not fit into memory"
