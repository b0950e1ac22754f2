"""Stages in threads: order, stock, errors, and that nothing goes on afterwards."""

import threading
import time

import pytest

from bnnup.system.stages import Clock, ahead


def test_order_and_end():
    assert list(ahead((n for n in range(100)), 3)) == list(range(100))
    assert list(ahead((n for n in ()), 3)) == []


def test_works_ahead_but_not_far():
    made = []

    def items():
        for n in range(100):
            made.append(n)
            yield n

    stage = ahead(items(), 3)
    assert next(stage) == 0
    time.sleep(0.3)
    assert 2 <= len(made) <= 6
    stage.close()


def test_errors_come_through_after_what_was_made():
    def items():
        yield 1
        raise KeyError("two")

    stage = ahead(items(), 3)
    assert next(stage) == 1
    with pytest.raises(KeyError, match="two"):
        next(stage)


def test_closing_closes_every_stage():
    closed = []

    def items(name, source=None):
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


def test_clock_counts_work_and_not_waiting():
    clock = Clock()
    with clock.running():
        time.sleep(0.05)
    time.sleep(0.05)
    assert 0.04 < clock.seconds < 0.09
