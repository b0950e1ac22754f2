"""Scores and times every bundled model, beside what other binary networks reach.

python -m benchmarks.weights BENCH, where BENCH/Set5/HR and BENCH/Set14/HR hold the
originals. Scores go into each file's metadata, the tables to weights/README.md. Times are
those of one core, for 320×180 luma, best of several repeats taken in turn: run it under
``taskset -c 1``, on a machine that does nothing else. pip install '.[bench]' brings
what it needs. `benchmarks.plane` shows the scores against time.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.anchors import BINARY
from benchmarks.engine import HEIGHT, WIDTH, take_turns
from benchmarks.peers import Call
from bnnup.backends.choose import enlarge
from bnnup.backends.engine import Engine
from bnnup.model.cost import count
from bnnup.model.file import Model, load_model, save_model
from bnnup.model.zoo import SCALES
from bnnup.train.queue import BENCHMARKS, score_benchmarks

WEIGHTS = Path(__file__).parent.parent / "weights"
BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"
HEADER = """\
| ×{scale} | Set5 PSNR / SSIM | Set14 PSNR / SSIM | steps | bytes | parameters | OPs | ms |
|---|---|---|---|---|---|---|---|
"""
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """A line of a table; what is None is not known."""

    name: str
    psnr: dict[str, float | None]  # by benchmark set
    ssim: dict[str, float] | None = None
    steps: int | None = None
    size: int | None = None  # bytes
    parameters: int | None = None
    ops: float | None = None
    seconds: float | None = None
    ours: bool = False

    def line(self) -> str:
        emphasis = "**" if self.ours else ""
        cells = [self.name]
        for name in BENCHMARKS:
            psnr = self.psnr[name]
            cell = "" if psnr is None else f"{emphasis}{psnr:.2f}{emphasis}"
            cells.append(cell if self.ssim is None else f"{cell} / {self.ssim[name]:.4f}")
        cells += ["" if n is None else f"{n:,}" for n in (self.steps, self.size, self.parameters)]
        cells.append("" if self.ops is None else f"{self.ops / 1e9:.2f} G")
        cells.append("" if self.seconds is None else f"{self.seconds * 1e3:.1f}")
        return f"| {' | '.join(cells)} |\n"


def measure(scale: int, bench: Path) -> list[Row]:
    """The bundled models of a scale for clean pictures, bicubic and binary anchors, by time.

    All bundled models are scored.
    """
    models = {}
    for path in sorted(WEIGHTS.glob(f"*-x{scale}.safetensors")):
        model = load_model(path)
        model = replace(model, about={**model.about, "scores": score_benchmarks(model, bench)})
        save_model(model, path)
        if model.about.get("trained_for", "clean") == "clean":
            models[path.stem.rpartition("-x")[0]] = model
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    calls: dict[str, Call] = {"bicubic": lambda: enlarge(luma, scale)}
    for name, model in models.items():
        calls[name] = _call(model, luma)
    seconds = take_turns(calls, REPEATS)
    scores = next(iter(models.values())).about["scores"]
    rows = [_bicubic(scores, seconds["bicubic"])]
    for name, model in models.items():
        size = (WEIGHTS / f"{name}-x{scale}.safetensors").stat().st_size
        rows.append(_row(name, model, size, seconds[name]))
    for anchor in BINARY:
        if scale in anchor.scores:
            psnr = dict(zip(BENCHMARKS, anchor.scores[scale], strict=True))
            rows.append(Row(anchor.name, psnr, ops=anchor.ops.get(scale)))
    return sorted(rows, key=lambda row: (row.seconds is None, row.seconds or row.ops or 0.0))


def _call(model: Model, luma: NDArray[np.float32]) -> Call:
    engine = Engine(model, threads=1)
    return lambda: engine.run(luma)


def _bicubic(scores: dict[str, dict[str, float]], seconds: float) -> Row:
    psnr: dict[str, float | None] = {name: scores[name]["bicubic_psnr"] for name in BENCHMARKS}
    ssim = {name: scores[name]["bicubic_ssim"] for name in BENCHMARKS}
    return Row("bicubic", psnr, ssim, seconds=seconds)


def _row(name: str, model: Model, size: int, seconds: float) -> Row:
    scores, cost = model.about["scores"], count(model.program, HEIGHT, WIDTH)
    return Row(
        name,
        psnr={name: scores[name]["psnr"] for name in BENCHMARKS},
        ssim={name: scores[name]["ssim"] for name in BENCHMARKS},
        steps=model.about["training"]["trained_steps"],
        size=size,
        parameters=cost.parameters,
        ops=cost.ops,
        seconds=seconds,
        ours=True,
    )


def put(text: str, begin: str, end: str) -> None:
    """Between two marks of weights/README.md, in place of what stands there."""
    readme = WEIGHTS / "README.md"
    page = readme.read_text()
    before, after = page.partition(begin)[0], page.partition(end)[2]
    readme.write_text(before + begin + text + end + after)


def main(bench: Path) -> None:
    tables = {scale: measure(scale, bench) for scale in SCALES}
    text = "\n".join(
        HEADER.format(scale=scale) + "".join(row.line() for row in rows)
        for scale, rows in tables.items()
    )
    print(text)
    put(text, BEGIN, END)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
