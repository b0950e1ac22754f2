"""Quality against time: our networks and those that a user could run instead.

    python -m benchmarks.plane measure [--repeats N]
    python -m benchmarks.plane draw

``measure`` times the bundled models and the full-precision networks of `benchmarks.anchors`,
these in OpenVINO, for 320×180 luma on one core: per instruction set in a process of its own
that is held to it, best of several repeats taken in turn, in processor time, so that it
matters little what else the machine does. It keeps the times in docs/plane.json, and those
of instruction sets that this machine lacks as they were measured on another one.
``draw`` makes the figure docs/quality.png and the tables in weights/README.md from them and
from the scores in the model files. pip install '.[bench]' brings what it needs.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.anchors import FULL_PRECISION
from benchmarks.engine import HEIGHT, WIDTH, engine_call, processor, take_turns
from benchmarks.peers import Call, prepare_openvino
from benchmarks.weights import WEIGHTS, put
from bnnup.backends.engine import kernels
from bnnup.model.file import Model, load_model
from bnnup.model.zoo import SCALES

TIMES = WEIGHTS.parent / "docs" / "plane.json"
FIGURE = WEIGHTS.parent / "docs" / "quality.png"
BEGIN, END = "<!-- plane -->\n", "<!-- end of plane -->\n"
OURS = "bnnup"
MARKS = {OURS: "o", "fp32": "s", "bf16": "^", "int8": "v"}

Times = dict[str, dict[str, float]]  # seconds by network, then by OURS or a precision


@dataclass(frozen=True)
class InstructionSet:
    """What the CPU may use: our kernel, oneDNN's name for it, what OpenVINO runs with it."""

    name: str
    kernel: str
    onednn: str
    precisions: tuple[str, ...]


SETS = (
    InstructionSet("AVX2", "avx2", "AVX2", ("fp32", "int8")),
    InstructionSet("AVX-512", "avx512", "AVX512_CORE_BF16", ("fp32", "bf16", "int8")),
    InstructionSet("AMX", "amx", "AVX512_CORE_AMX", ("fp32", "bf16", "int8")),
)


def bundled(scale: int) -> dict[str, Model]:
    """Models for clean pictures by name; those for others are no other networks."""
    models = {
        path.stem.rpartition("-x")[0]: load_model(path)
        for path in sorted(WEIGHTS.glob(f"*-x{scale}.safetensors"))
    }
    return {n: m for n, m in models.items() if m.about.get("trained_for", "clean") == "clean"}


def time_networks(instructions: InstructionSet, scale: int, repeats: int) -> Times:
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    calls: dict[tuple[str, str], Call] = {}
    for name, model in bundled(scale).items():
        calls[name, OURS] = engine_call(model, instructions.kernel, 1, luma)
    for anchor in FULL_PRECISION:
        if scale not in anchor.scores or anchor.network is None:
            continue
        for precision in instructions.precisions:
            network = anchor.network(scale).eval()
            calls[anchor.name, precision] = prepare_openvino(
                network, luma[None, None], 1, precision
            )
    times: Times = {}
    for (name, how), seconds in take_turns(calls, repeats, time.process_time).items():
        times.setdefault(name, {})[how] = round(seconds, 5)
    return times


def time_in_process(instructions: InstructionSet, scale: int, repeats: int) -> Times:
    command = [sys.executable, "-m", "benchmarks.plane", "time", "--repeats", str(repeats)]
    command += ["--set", instructions.name, "--scale", str(scale)]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions.onednn}
    output = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    times: Times = json.loads(output)
    return times


def measure(repeats: int) -> None:
    kept = json.loads(TIMES.read_text())
    for instructions in SETS:
        if instructions.kernel in kernels():
            times = {str(s): time_in_process(instructions, s, repeats) for s in SCALES}
            kept[instructions.name] = {"processor": processor(), "times": times}
    TIMES.write_text(json.dumps(kept, indent=1) + "\n")


def score_networks(scale: int) -> dict[str, tuple[float, float | None]]:
    """PSNR on Set5 and Set14: of ours from their files, of others as published."""
    scores: dict[str, tuple[float, float | None]] = {
        name: (model.about["scores"]["Set5"]["psnr"], model.about["scores"]["Set14"]["psnr"])
        for name, model in bundled(scale).items()
    }
    for anchor in FULL_PRECISION:
        if scale in anchor.scores:
            scores[anchor.name] = anchor.scores[scale]
    return scores


def table(scale: int, times: dict[str, Times]) -> str:
    """A line for each network, ours in bold, the fastest first."""
    lines = [f"| ×{scale} | Set5 / Set14 | {' | '.join(times)} |\n|{'---|' * (2 + len(times))}\n"]
    scores = score_networks(scale)
    first = next(iter(times.values()))
    for name in sorted(first, key=lambda name: next(iter(first[name].values()))):
        set5, set14 = scores[name]
        label = f"**{name}**" if OURS in first[name] else name
        psnr = f"{set5:.2f} / " + ("–" if set14 is None else f"{set14:.2f}")
        lines.append(
            f"| {label} | {psnr} | {' | '.join(cell(t.get(name, {})) for t in times.values())} |\n"
        )
    return "".join(lines)


def cell(seconds: dict[str, float]) -> str:
    """Milliseconds: ours, or in fp32, bf16 and int8; empty if a network is younger."""
    if not seconds:
        return ""
    if OURS in seconds:
        return f"**{seconds[OURS] * 1e3:.1f}**"
    precisions = [how for how in MARKS if how != OURS]
    return " / ".join(f"{seconds[p] * 1e3:.1f}" if p in seconds else "–" for p in precisions)


def draw(times: dict[str, dict[int, Times]]) -> None:
    """PSNR on Set5 against time: a row for each instruction set, a column for each scale."""
    figure, panels = pyplot.subplots(
        len(times), len(SCALES), figsize=(5 * len(SCALES), 4 * len(times)), squeeze=False
    )
    for row, (name, by_scale) in zip(panels, times.items(), strict=True):
        for panel, scale in zip(row, SCALES, strict=True):
            draw_panel(panel, by_scale[scale], score_networks(scale))
            panel.set_title(f"{name}, ×{scale}")
        row[0].set_ylabel("PSNR on Set5, dB")
    for panel in panels[-1]:
        panel.set_xlabel("milliseconds on one core")
    panels[-1][-1].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=80)


def draw_panel(panel: Axes, times: Times, scores: dict[str, tuple[float, float | None]]) -> None:
    for how, mark in MARKS.items():
        points = sorted(
            (by_precision[how] * 1e3, scores[name][0], name)
            for name, by_precision in times.items()
            if how in by_precision
        )
        if not points:
            continue
        color = {"bnnup": "tab:red", "fp32": "tab:blue", "bf16": "tab:cyan", "int8": "0.6"}[how]
        label = "bnnup, one bit" if how == OURS else f"OpenVINO {how}"
        panel.plot([p[0] for p in points], [p[1] for p in points], mark, color=color, label=label)
        for i, (x, y, name) in enumerate(points):
            if how in (OURS, "fp32"):
                side = "right" if how == "fp32" and i % 2 == 0 else "left"
                panel.annotate(
                    name.removeprefix("ECBSR-"),
                    (x, y),
                    xytext=(-4, 4) if side == "right" else (5, -3),
                    textcoords="offset points",
                    ha=side,
                    fontsize=7,
                    color=color,
                )
    panel.set_xscale("log")
    panel.margins(0.15, 0.12)
    panel.grid(alpha=0.2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plane")
    parser.add_argument("action", choices=["measure", "draw", "time"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", choices=[i.name for i in SETS], help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.action == "measure":
        measure(arguments.repeats)
    elif arguments.action == "time":
        instructions = next(i for i in SETS if i.name == arguments.set)
        print(json.dumps(time_networks(instructions, arguments.scale, arguments.repeats)))
    else:
        kept = json.loads(TIMES.read_text())
        times = {
            name: {int(scale): t for scale, t in measured["times"].items()}
            for name, measured in kept.items()
        }
        tables = [table(s, {name: by[s] for name, by in times.items()}) for s in SCALES]
        put("\n".join(tables), BEGIN, END)
        draw(times)


if __name__ == "__main__":
    main()
