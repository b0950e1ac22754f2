"""Mutated model files and pictures, as many as the time allows: ``python tests/fuzz --help``.

Inputs are made anew from a seed and a number, in processes of their own, so that a crash, a
hang or a thirst for memory ends none but its own.
"""

import argparse
import ctypes
import multiprocessing
import os
import resource
import secrets
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random
from typing import Any

from targets import TARGETS, Target

PATIENCE = 30.0  # seconds for an input: what takes longer hangs
MEMORY = 1 << 30  # bytes: what takes more is a fault
ADDRESSES = 8 << 30  # bytes: where even asking for memory ends
GREEDY = 3  # exit code of a process that has taken too much


@dataclass
class State:
    """What a process and the one that watches it both see."""

    number: "Synchronized[int]" = field(default_factory=lambda: _shared(ctypes.c_longlong))
    accepted: "Synchronized[int]" = field(default_factory=lambda: _shared(ctypes.c_longlong))
    faults: "Synchronized[int]" = field(default_factory=lambda: _shared(ctypes.c_longlong))
    began: "Synchronized[float]" = field(default_factory=lambda: _shared(ctypes.c_double))


def _shared(kind: type) -> "Synchronized[Any]":
    return multiprocessing.Value(kind, lock=False)


def make(target: Target, name: str, seed: int, number: int) -> bytes:
    return target.make(Random(f"{name} {seed} {number}"))


def work(name: str, seed: int, first: int, until: float, state: State, keep: Path) -> None:
    """Inputs from a number on, until a time."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries say of odd files
    warnings.simplefilter("ignore")
    target = TARGETS[name]()
    number = first
    while time.time() < until:
        state.began.value, state.number.value = time.time(), number
        content = make(target, name, seed, number)
        try:
            state.accepted.value += target.accepts(content)
        except Exception:
            state.faults.value += 1
            report(keep, name, seed, number, content, traceback.format_exc())
        number += 1
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 > MEMORY:
            os._exit(GREEDY)
    state.number.value = number


def report(keep: Path, name: str, seed: int, number: int, content: bytes, what: str) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"{name}-{seed}-{number}").write_bytes(content)
    (keep / f"{name}-{seed}-{number}.txt").write_text(what)
    said = what.strip().splitlines()[-1]
    print(f"{name} {number}: {said}; again: --seed {seed} --only {number}", flush=True)


def watch(name: str, seed: int, seconds: float, keep: Path) -> int:
    """Has inputs tried for so many seconds; how many were faults."""
    state, until, deaths = State(), time.time() + seconds, 0
    source = TARGETS[name]()
    first = 0
    while True:
        state.began.value = time.time()
        state.number.value = first
        arguments = (name, seed, first, until, state, keep)
        process = multiprocessing.Process(target=work, args=arguments)
        process.start()
        while process.is_alive() and time.time() - state.began.value < PATIENCE:
            process.join(0.2)
        number = state.number.value
        hung = process.is_alive()
        if hung:
            process.kill()
        process.join()
        if process.exitcode == 0:
            break
        deaths += 1
        what = f"exit code {process.exitcode}"
        if hung:
            what = f"more than {PATIENCE:g} s"
        elif process.exitcode == GREEDY:
            what = f"more than {MEMORY >> 20} MB"
        report(keep, name, seed, number, make(source, name, seed, number), what)
        first = number + 1
    faults = deaths + state.faults.value
    print(
        f"{name}: {state.number.value} inputs, {state.accepted.value} accepted, {faults} faults, "
        f"seed {seed}",
        flush=True,
    )
    return faults


def main() -> None:
    parser = argparse.ArgumentParser("tests/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="by default all")
    parser.add_argument("--seconds", type=float, default=30, help="for each target")
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this input, in this process")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for faults")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    names = options.targets or [*TARGETS]
    if options.only is not None:
        for name in names:
            target = TARGETS[name]()
            accepted = target.accepts(make(target, name, seed, options.only))
            print(f"{name} {options.only}: {'accepted' if accepted else 'refused'}")
        return
    faults = sum(watch(name, seed, options.seconds, options.keep) for name in names)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
