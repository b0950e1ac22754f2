"""What an enlargement cost, in numbers and in words."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnnup.model.cost import count
from bnnup.upscale.choice import Choice
from bnnup.upscale.upscaler import Upscaler


@dataclass(frozen=True)
class Report:
    """``seconds`` are the network's and the tiles'; ``megapixels_per_second`` of output."""

    output: str
    model: str
    reason: str  # for which it was chosen
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
        upscalers: Sequence[Upscaler],
        choice: Choice,
        shape: tuple[int, ...],
        size: tuple[int, int],
        seconds: float,
        output: str,
        frames: int = 1,
    ) -> "Report":
        """The report on a picture of ``shape`` pixels, enlarged in ``seconds``.

        ``upscalers`` ran one after the other, perhaps none; ``size`` is (width, height)
        of the result, of which there are ``frames``. ``scale`` is what the networks reach together.
        """
        planes = frames * (1 + (len(shape) == 3 and shape[2] in (2, 4)))  # luma, and alpha
        scale, costs = 1, []
        for upscaler in upscalers:
            costs.append(count(upscaler.model.program, shape[0] * scale, shape[1] * scale))
            scale *= upscaler.scale
        once = {u.scale: (u.model.file_bytes, c) for u, c in zip(upscalers, costs, strict=True)}
        width, height = size
        return cls(
            output=output,
            model=choice.model,
            reason=choice.reason,
            backend=upscalers[0].backend.name if upscalers else "none",
            scale=scale,
            width=width,
            height=height,
            model_bytes=sum(file_bytes for file_bytes, _ in once.values()),
            fp32_bytes=sum(cost.fp32_bytes for _, cost in once.values()),
            parameters=sum(cost.parameters for _, cost in once.values()),
            binary_macs=sum(cost.binary_macs for cost in costs) * planes,
            full_macs=sum(cost.full_macs for cost in costs) * planes,
            ops=sum(cost.ops for cost in costs) * planes,
            seconds=round(seconds, 4),
            megapixels_per_second=round(width * height * frames / 1e6 / seconds, 3),
        )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """What ran, and what it cost, for a person who asks."""
        if self.backend == "none":
            return "reduced, without a network"
        return (
            f"{self.megapixels_per_second:.2f} megapixels/s ({self.backend}); "
            f"{self.model} ×{self.scale}: {self.model_bytes / 1e3:.0f} kB instead of "
            f"{self.fp32_bytes / 1e3:.0f} in fp32, {self.parameters / 1e3:.0f} K parameters; "
            f"{self.binary_macs / 1e9:.2f} G binary + {self.full_macs / 1e9:.2f} G "
            f"full-precision multiply-adds = {self.ops / 1e9:.2f} G OPs"
        )
