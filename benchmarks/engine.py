"""The engine beside what a user could run instead, in one run on one machine.

    python -m benchmarks.engine [--threads N] [--repeats N] [--json]

Everything enlarges 320×180 luma ×4 with an EDSR of 16 blocks and 64 channels; times
are the best of several repeats, taken in turn. Runtimes that are not installed are
named and left out: pip install '.[bench]' brings them. For one core, run it under
``taskset -c 1``, on a machine that does nothing else.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import BLOCKS, CHANNELS, PEERS, SCALE, Call, available
from bnnup import _native
from bnnup.backends.engine import Engine, kernels
from bnnup.model.cost import count
from bnnup.model.file import Model, load_model
from bnnup.model.find import find_model
from bnnup.model.operations import (
    Add,
    Bicubic,
    BinaryConvolution,
    Convolution,
    Operation,
    PixelShuffle,
)
from bnnup.model.program import INPUT, Program
from bnnup.nn.quantize import dequantize
from bnnup.system.stages import go_on

Name = TypeVar("Name")

HEIGHT, WIDTH = 180, 320
SMALL = 8, 32  # blocks and channels of edsr-small
NARROW = "hybrid", "hybrid-large"  # half of their convolutions are not binary
# Held to an instruction set: what to ask of torch and oneDNN, and which peers to run.
LIMITS = {
    "AVX2": (
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
        ["torch fp32", "OpenVINO fp32", "OpenVINO int8"],
        "avx2",
    ),
    "AVX-512 without AMX": (
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
        ["torch fp32", "torch bf16", "OpenVINO fp32", "OpenVINO bf16", "OpenVINO int8"],
        "avx512",
    ),
}


def make_model(blocks: int = BLOCKS, channels: int = CHANNELS) -> Model:
    """A bundled network's shape, with random weights: they do not change its time."""
    names = [f"body{i}" for i in range(2 * blocks)]
    network = Program(
        SCALE,
        (
            Convolution("head", INPUT, channels, 3),
            *(
                BinaryConvolution(name, before, channels, 3, "identity", "rprelu")
                for name, before in zip(names, ["head", *names], strict=False)
            ),
            Convolution("tail", names[-1], SCALE**2, 3),
            PixelShuffle("shuffle", "tail", SCALE),
            Bicubic("bicubic", INPUT, SCALE),
            Add("sum", "bicubic", "shuffle"),
        ),
    )
    random = np.random.default_rng(0)
    tensors = {
        name: random.integers(0, 256, spec.shape, np.uint8)
        if spec.dtype == "uint8"
        else (random.standard_normal(spec.shape) / 24).astype(np.float32)
        for name, spec in network.tensors().items()
    }
    return Model(network, tensors)


def take_turns(
    calls: dict[Name, Call], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Name, float]:
    """Best seconds of each call, all of them warm, one after the other in every round."""
    best = dict.fromkeys(calls, float("inf"))
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            began = clock()
            call()
            if repeat:
                best[name] = min(best[name], clock() - began)
    return best


def engine_call(model: Model, kernel: str, threads: int, luma: NDArray[np.float32]) -> Call:
    engine = Engine(model, threads=threads, kernel=kernel)
    return lambda: engine.run(luma)


def compare(
    threads: int, repeats: int, peers: list[str] | None, wanted: list[str]
) -> dict[str, float]:
    """Seconds by name, engines first."""
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    model = make_model()
    calls = {f"bnnup {kernel}": engine_call(model, kernel, threads, luma) for kernel in wanted}
    for peer in available(peers):
        calls[peer.name] = peer.prepare(luma[None, None], threads)
    return take_turns(calls, repeats)


def compare_small(threads: int, repeats: int, wanted: list[str]) -> dict[str, float]:
    """Seconds of edsr-small by kernel."""
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    model = make_model(*SMALL)
    return take_turns({k: engine_call(model, k, threads, luma) for k in wanted}, repeats)


def compare_integers(threads: int, repeats: int, wanted: list[str]) -> list[dict[str, Any]]:
    """Seconds of `NARROW` by kernel: as they are, and with floats in place of integers."""
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    calls = {}
    for network in NARROW:
        model = load_model(find_model(network, 2))
        for kernel in wanted:
            for how, alike in (("integers", model), ("floats", dequantize(model))):
                calls[network, kernel, how] = engine_call(alike, kernel, threads, luma)
    seconds = take_turns(calls, repeats)
    return [
        {"network": network, "kernel": kernel}
        | {how: seconds[network, kernel, how] for how in ("integers", "floats")}
        for network in NARROW
        for kernel in wanted
    ]


def compare_limited(limit: str, arguments: argparse.Namespace) -> dict[str, float] | None:
    """The same in a process of its own, held to an instruction set."""
    environment, peers, kernel = LIMITS[limit]
    if kernel not in kernels() or not list(available(peers)):
        return None
    command = [sys.executable, "-m", "benchmarks.engine", "--json", "--limit", limit]
    command += ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
    output = subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    seconds: dict[str, float] = json.loads(output)
    return seconds


def measure_limit(kernel: str) -> float:
    """Sign products a second that the kernel can take from registers on one core."""
    best = 0.0
    rounds = 20_000
    for _ in range(30):
        began = time.perf_counter()
        products = _native.spin(kernel, rounds)
        best = max(best, products / (time.perf_counter() - began))
    return best


def measure_operations(kernel: str, repeats: int) -> list[dict[str, Any]]:
    """Each kind of operation on one core: seconds, multiply-adds, share of the limit."""
    model = make_model()
    runner = Engine(model, threads=1, kernel=kernel)._runner
    luma = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    result = np.empty((SCALE * HEIGHT, SCALE * WIDTH), np.float32)
    # The input's copy goes to the head, the first that reads it.
    seconds = np.min([runner.run(luma, result, 1, go_on) for _ in range(repeats)], axis=0)
    limit = measure_limit(kernel)
    rows: dict[str, dict[str, Any]] = {}
    for operation, taken in zip(model.program.operations, seconds[1:], strict=True):
        name = "body" if operation.op == "binary_convolution" else operation.name
        row = rows.setdefault(name, {"operation": name, "seconds": 0.0, "macs": 0.0})
        row["seconds"] += float(taken)
        row["macs"] += multiply_adds(operation, model.program)
    for row in rows.values():
        row["macs_per_second"] = row["macs"] / row["seconds"]
    rows["body"]["share_of_limit"] = rows["body"]["macs_per_second"] / limit
    rows["body"]["limit"] = limit
    return list(rows.values())


def multiply_adds(operation: Operation, network: Program) -> float:
    each = operation.multiply_adds(network.inputs(operation))
    return float(HEIGHT * WIDTH * (each.binary + each.full))


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        return " ".join(value.strip() for key, value in lines.items() if "model name" in key)
    except OSError:
        return platform.processor() or platform.machine()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    native = [kernel for kernel in kernels() if kernel != "portable"] or ["portable"]
    report: dict[str, Any] = {
        "processor": processor(),
        "threads": arguments.threads,
        "operations_counted": count(make_model().program, HEIGHT, WIDTH).ops,
        "missing": {peer.name: peer.missing() for peer in PEERS if peer.missing()},
        "seconds": compare(arguments.threads, arguments.repeats, None, native),
        "small": compare_small(arguments.threads, arguments.repeats, native),
        "integers": compare_integers(arguments.threads, arguments.repeats, native),
        "limited": {limit: compare_limited(limit, arguments) for limit in LIMITS},
        "kernels": {kernel: measure_operations(kernel, arguments.repeats) for kernel in native},
    }
    return report


def print_table(seconds: dict[str, float]) -> None:
    ours = next(iter(seconds.values()))
    print("| | ms | times the engine's |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {taken * 1e3:.1f} | {taken / ours:.2f} |")


def print_report(report: dict[str, Any]) -> None:
    print(f"{report['processor']}, threads: {report['threads']}\n")
    print_table(report["seconds"])
    for name, packages in report["missing"].items():
        print(f"{name}: skipped, for lack of {', '.join(packages)}")
    print("\nedsr-small, 8 blocks of 32 channels:\n")
    print_table(report["small"])
    print("\nConvolutions of floats and of integers:\n")
    print("| ×2 | floats, ms | integers, ms | times as fast |\n|---|---|---|---|")
    for row in report["integers"]:
        floats, integers = row["floats"], row["integers"]
        print(
            f"| {row['network']}, {row['kernel']} | {floats * 1e3:.1f} | {integers * 1e3:.1f} "
            f"| {floats / integers:.2f} |"
        )
    for limit, seconds in report["limited"].items():
        if seconds:
            print(f"\nHeld to {limit}:\n")
            print_table(seconds)
    for kernel, rows in report["kernels"].items():
        print(f"\n{kernel}, one thread:\n")
        print("| | ms | G multiply-adds/s | of the limit |\n|---|---|---|---|")
        for row in rows:
            share = f"{row['share_of_limit']:.0%}" if "share_of_limit" in row else ""
            rate = f"{row['macs_per_second'] / 1e9:.0f}" if row["macs"] else ""
            print(f"| {row['operation']} | {row['seconds'] * 1e3:.2f} | {rate} | {share} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", choices=LIMITS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.limit:
        _, peers, kernel = LIMITS[arguments.limit]
        print(json.dumps(compare(arguments.threads, arguments.repeats, peers, [kernel])))
        return
    report = measure(arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
