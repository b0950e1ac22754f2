"""What an enlargement cost, in numbers and in words."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bnnup.cost import count
from bnnup.upscaler import Upscaler


@dataclass(frozen=True)
class Report:
    """``seconds`` are the network's and the tiles'; ``megapixels_per_second`` of output."""

    output: str
    model: str
    backend: str
    scale: int
    width: int
    height: int
    model_bytes: int
    fp32_bytes: int
    parameters: int
    binary_macs: int
    full_macs: int
    ops: int
    seconds: float
    megapixels_per_second: float

    @classmethod
    def of(
        cls,
        upscaler: Upscaler,
        model: str,
        shape: tuple[int, ...],
        seconds: float,
        output: str,
    ) -> "Report":
        """The report on a picture of ``shape`` pixels, enlarged in ``seconds``."""
        height, width = shape[:2]
        scale = upscaler.scale
        cost = count(upscaler.model.program, height, width)
        planes = 1 + (len(shape) == 3 and shape[2] in (2, 4))  # luma, and alpha
        return cls(
            output=output,
            model=model,
            backend=upscaler.backend.name,
            scale=scale,
            width=width * scale,
            height=height * scale,
            model_bytes=upscaler.model.file_bytes,
            fp32_bytes=cost.fp32_bytes,
            parameters=cost.parameters,
            binary_macs=cost.binary_macs * planes,
            full_macs=cost.full_macs * planes,
            ops=cost.ops * planes,
            seconds=round(seconds, 4),
            megapixels_per_second=round(height * width * scale**2 / 1e6 / seconds, 3),
        )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """Two lines for a person."""
        return (
            f"{self.output}: {self.width}×{self.height} in {self.seconds:.2f} s, "
            f"{self.megapixels_per_second:.2f} megapixels/s ({self.backend})\n"
            f"{self.model} ×{self.scale}: {self.model_bytes / 1e3:.0f} kB instead of "
            f"{self.fp32_bytes / 1e3:.0f} in fp32, {self.parameters / 1e3:.0f} K parameters; "
            f"{self.binary_macs / 1e9:.2f} G binary + {self.full_macs / 1e9:.2f} G "
            f"full-precision multiply-adds = {self.ops / 1e9:.2f} G OPs"
        )


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds spent inside the block, to be asked after it."""
    began = time.perf_counter()
    spent: list[float] = []
    yield lambda: spent[0]
    spent.append(time.perf_counter() - began)
