"""Stages in threads: order, stock, errors, and that nothing goes on afterwards."""

import threading
import time
from collections.abc import Generator

import pytest

from bnnup.system.stages import Clock, ahead


def test_order_and_end() -> None:
    nothing: list[int] = []
    assert list(ahead((n for n in range(100)), 3)) == list(range(100))
    assert list(ahead((n for n in nothing), 3)) == []


def test_works_ahead_but_not_far() -> None:
    made, worked_ahead = 0, threading.Event()

    def items() -> Generator[int]:
        nonlocal made
        for n in range(100):
            made += 1
            if made == 3:
                worked_ahead.set()
            yield n

    for n in ahead(items(), 3):
        assert worked_ahead.wait(60)
        # What has been taken, what is in stock, and one on its way there.
        assert made <= (n + 1) + 3 + 1


def test_errors_come_through_after_what_was_made() -> None:
    def items() -> Generator[int]:
        yield 1
        raise KeyError("two")

    stage = ahead(items(), 3)
    assert next(stage) == 1
    with pytest.raises(KeyError, match="two"):
        next(stage)


def test_closing_closes_every_stage() -> None:
    closed = []

    def items(name: str, source: Generator[int] | None = None) -> Generator[int]:
        try:
            yield from source or iter(int, 1)
        finally:
            if source is not None:
                source.close()
            closed.append(name)

    before = threading.active_count()
    first = ahead(items("first"), 2)
    second = ahead(items("second", first), 2)
    assert next(second) == 0
    second.close()
    assert sorted(closed) == ["first", "second"]
    assert threading.active_count() == before


def test_clock_counts_work_and_not_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    clock = Clock()
    for _ in range(2):
        with clock.running():
            now += 0.5
        now += 8
    assert clock.seconds == 1
