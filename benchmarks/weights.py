"""Scores every bundled model and writes the scores where they belong.

python -m benchmarks.weights BENCH, where BENCH/Set5/HR and BENCH/Set14/HR hold the
originals. The scores go into each file's metadata and into weights/README.md.
"""

import sys
from dataclasses import replace
from pathlib import Path

from bnnup.cost import count
from bnnup.train.queue import BENCHMARKS, score
from bnnup.weights import Model, load_model, save_model

WEIGHTS = Path(__file__).parent.parent / "weights"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEADER = """\
| model | scale | Set5 PSNR / SSIM | bicubic | Set14 PSNR / SSIM | bicubic | steps | bytes | \
parameters | OPs at 320×180 |
|---|---|---|---|---|---|---|---|---|---|
"""


def table_row(path: Path, model: Model) -> str:
    """One line of the table in weights/README.md."""
    scores, cost = model.about["scores"], count(model.program, 180, 320)
    cells = [path.stem.rsplit("-x", 1)[0], f"×{model.program.scale}"]
    for name in BENCHMARKS:
        s = scores[name]
        cells.append(f"**{s['psnr']:.2f}** / {s['ssim']:.4f}")
        cells.append(f"{s['bicubic_psnr']:.2f} / {s['bicubic_ssim']:.4f}")
    cells.append(f"{model.about['training']['trained_steps']:,}")
    cells += [f"{path.stat().st_size:,}", f"{cost.parameters:,}", f"{cost.ops / 1e9:.2f} G"]
    return f"| {' | '.join(cells)} |\n"


def main(bench: Path) -> None:
    rows = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        model = load_model(path)
        model = replace(model, about={**model.about, "scores": score(model, bench)})
        save_model(model, path)
        rows.append(table_row(path, model))
        print(rows[-1], end="", flush=True)
    readme = WEIGHTS / "README.md"
    text = readme.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    readme.write_text(before + BEGIN + HEADER + "".join(rows) + END + after)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
