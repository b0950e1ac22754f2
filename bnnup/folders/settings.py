"""What is asked for, and what it may take."""

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bnnup.errors import BnnupError
from bnnup.model.find import find_model
from bnnup.model.zoo import DEFAULT, SCALES
from bnnup.pictures.read import MEGAPIXELS
from bnnup.upscale.size import Size, plan_passes
from bnnup.upscale.upscaler import MEMORY


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
    background: tuple[int, int, int] | None = None  # of what is transparent, in 8 bits

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
        if self.background is None:  # as records have it that are older than this choice
            del settings["background"]
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=16)
        for path in self.models().values():
            with suppress(OSError):
                digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Machine:
    """What changes the time and memory that results take, and nothing else about them.

    Pictures of more than ``largest`` pixels are left to others; those that claim more than
    so many ``megapixels`` are refused.
    """

    tile: int | None = None
    memory: int = MEMORY
    threads: int | None = None
    largest: float = math.inf
    megapixels: float = MEGAPIXELS
