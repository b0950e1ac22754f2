"""Scores and times every bundled model, beside what others reach.

python -m benchmarks.weights BENCH, where BENCH/Set5/HR and BENCH/Set14/HR hold the
originals. Scores go into each file's metadata, the tables to weights/README.md, and the
figure of quality against time to docs/quality.png. Times are those of one core, for
320×180 luma, best of several repeats taken in turn: run it under ``taskset -c 1``, on a
machine that does nothing else. pip install 'bnnup[bench]' brings what it needs.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

from benchmarks.anchors import ANCHORS
from benchmarks.engine import HEIGHT, WIDTH, take_turns
from benchmarks.peers import Call
from bnnup.backends.choose import enlarge
from bnnup.backends.engine import Engine
from bnnup.model.cost import count
from bnnup.model.file import Model, load_model, save_model
from bnnup.model.zoo import SCALES
from bnnup.train.queue import BENCHMARKS, score

WEIGHTS = Path(__file__).parent.parent / "weights"
FIGURE = WEIGHTS.parent / "docs" / "quality.png"
BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"
HEADER = """\
| ×{scale} | Set5 PSNR / SSIM | Set14 PSNR / SSIM | steps | bytes | parameters | OPs | ms |
|---|---|---|---|---|---|---|---|
"""
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """A line of a table and a point of the figure; what is None is not known."""

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
    """The bundled models of a scale, bicubic and the anchors, the fastest first."""
    models = {}
    for path in sorted(WEIGHTS.glob(f"*-x{scale}.safetensors")):
        model = load_model(path)
        model = replace(model, about={**model.about, "scores": score(model, bench)})
        save_model(model, path)
        models[path.stem.rpartition("-x")[0]] = model
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    calls: dict[str, Call] = {"bicubic": lambda: enlarge(luma, scale)}
    for name, model in models.items():
        calls[name] = _call(model, luma)
    anchors = [anchor for anchor in ANCHORS if anchor.scale == scale]
    for anchor in anchors:
        if anchor.prepare is not None:
            calls[anchor.name] = anchor.prepare(scale, HEIGHT, WIDTH)
    seconds = take_turns(calls, REPEATS)
    scores = next(iter(models.values())).about["scores"]
    rows = [_bicubic(scores, seconds["bicubic"])]
    for name, model in models.items():
        size = (WEIGHTS / f"{name}-x{scale}.safetensors").stat().st_size
        rows.append(_row(name, model, size, seconds[name]))
    for anchor in anchors:
        psnr = dict(zip(BENCHMARKS, (anchor.set5, anchor.set14), strict=True))
        rows.append(Row(anchor.name, psnr, ops=anchor.ops, seconds=seconds.get(anchor.name)))
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


def draw(tables: dict[int, list[Row]], path: Path) -> None:
    """PSNR on Set5 against time, a panel a scale; what has no time is a line."""
    figure, panels = pyplot.subplots(1, len(tables), figsize=(5 * len(tables), 4.5))
    for panel, (scale, rows) in zip(panels, tables.items(), strict=True):
        for row in rows:
            psnr = row.psnr["Set5"]
            if row.seconds is None:
                panel.axhline(psnr, color="0.75", linewidth=1, zorder=0)
                place = (0.01, psnr), panel.get_yaxis_transform()
                panel.annotate(row.name, place[0], xycoords=place[1], color="0.5", fontsize=7)
                continue
            color = "tab:red" if row.ours else "tab:blue"
            panel.plot(row.seconds * 1e3, psnr, "o", color=color)
            panel.annotate(
                row.name.partition(",")[0],
                (row.seconds * 1e3, psnr),
                xytext=(0, 6) if row.ours else (7, -3),
                textcoords="offset points",
                ha="center" if row.ours else "left",
                fontsize=8,
                color=color,
            )
        panel.set_xscale("log")
        panel.margins(0.2, 0.1)
        panel.set_title(f"×{scale}, 320×180 to {320 * scale}×{180 * scale}")
        panel.set_xlabel("milliseconds on one core")
        panel.set_ylabel("PSNR on Set5, dB")
        panel.grid(alpha=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main(bench: Path) -> None:
    tables = {scale: measure(scale, bench) for scale in SCALES}
    text = "\n".join(
        HEADER.format(scale=scale) + "".join(row.line() for row in rows)
        for scale, rows in tables.items()
    )
    print(text)
    readme = WEIGHTS / "README.md"
    page = readme.read_text()
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    readme.write_text(before + BEGIN + text + END + after)
    draw(tables, FIGURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
