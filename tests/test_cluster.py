"""Units over a cluster of several nodes on this machine: what runs, what dies, what is tried again.

Ray's own test cluster; every node has one core.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nodes import NO_RAY, add_node

from bnnup.cluster import workers as module
from bnnup.cluster.workers import TRIES, Outcome, Workers, connected
from bnnup.errors import (
    BackendError,
    BnnupError,
    ClusterError,
    FullError,
    MediaError,
    ModelNotFoundError,
)

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


# Functions travel by name to workers, where this file is not: only what is made in a
# function travels whole.


@pytest.fixture
def square() -> Callable[[int], int]:
    return lambda number: number * number


@pytest.fixture(scope="module")
def driver(nodes: "Cluster") -> Iterator["Cluster"]:
    """The cluster, connected."""
    with connected(nodes.address):
        yield nodes


Make = Callable[..., Workers[Any, Any]]


@pytest.fixture
def workers(driver: "Cluster") -> Iterator[Make]:
    """Makes workers whose work is a function."""
    opened: list[Workers[Any, Any]] = []

    def make(work: Callable[[Any], Any], **options: int) -> Workers[Any, Any]:
        opened.append(Workers(lambda: work, **options).__enter__())
        return opened[-1]

    yield make
    for each in opened:
        each.__exit__(None, None, None)


def results(outcomes: Iterator[Outcome[int, Any]]) -> dict[int, Any]:
    return {outcome.unit: outcome.error or outcome.result for outcome in outcomes}


def test_every_unit_is_done_once(workers: Make, square: Any) -> None:
    outcomes = [*workers(square).run(range(50))]
    assert sorted(outcome.result or 0 for outcome in outcomes) == [n * n for n in range(50)]
    assert {outcome.tries for outcome in outcomes} == {1}


def test_no_units(workers: Make, square: Any) -> None:
    assert [*workers(square).run([])] == []


def test_workers_are_on_all_nodes_and_stay(workers: Make) -> None:
    def work(_: int) -> int:
        time.sleep(0.02)
        return os.getpid()

    crew = workers(work)
    while crew.alive < 2:
        assert len({outcome.result for outcome in crew.run(range(20))}) <= 2
    assert len({outcome.result for outcome in crew.run(range(40))}) == 2
    assert crew.alive == 2


def test_in_order(workers: Make) -> None:
    def work(number: int) -> int:
        time.sleep(0.05 if number % 5 == 0 else 0)
        return number

    outcomes = workers(work, queued=2).run(range(30), ordered=True)
    assert [outcome.result for outcome in outcomes] == [*range(30)]


@pytest.mark.parametrize("ordered", [False, True])
def test_units_are_read_as_they_are_needed(workers: Make, square: Any, ordered: bool) -> None:
    """An endless list, and a consumer who stops to look at each outcome."""
    read = 0

    def units() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    run = workers(square, queued=2).run(units(), ordered=ordered, window=5)
    for count in range(1, 30):
        next(run)
        assert read - count <= 5 if ordered else read - count <= 4
    run.close()


def test_a_run_after_one_that_was_given_up(workers: Make, square: Any) -> None:
    crew = workers(square)
    run = crew.run(range(100))
    next(run)
    run.close()
    assert results(crew.run(range(5))) == {n: n * n for n in range(5)}


def test_busy_workers_clean_up_before_they_are_killed(driver: "Cluster", tmp_path: Path) -> None:
    class Work:
        def __init__(self) -> None:
            self.stopped = threading.Event()

        def __call__(self, number: int) -> int:
            if number:
                (tmp_path / str(number)).touch()
                self.stopped.wait()
                time.sleep(0.5)
                (tmp_path / str(number)).unlink()
            return number

        def stop(self) -> None:
            self.stopped.set()

    crew = Workers(Work, queued=2).__enter__()
    run = crew.run(range(4))
    next(run)
    while not [*tmp_path.iterdir()]:
        time.sleep(0.01)
    crew.close()
    assert [*tmp_path.iterdir()] == []


def test_workers_that_do_not_stop_are_killed(driver: "Cluster", monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)

    def work(number: int) -> int:
        time.sleep(1000 * number)
        return os.getpid()

    with Workers(lambda: work) as crew:
        pid = next(crew.run(range(4))).result
    assert pid is not None
    deadline = time.monotonic() + 20
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(pid)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_of_several_cores(workers: Make, square: Any) -> None:
    with pytest.raises(ClusterError, match="no machine of the cluster has 2 cores"):
        next(workers(square, threads=2).run([1]))


# Failures


def test_a_bad_unit_fails_alone_and_at_once(workers: Make) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise MediaError("3 is no picture")
        return number

    outcomes = {outcome.unit: outcome for outcome in workers(work).run(range(6))}
    assert (outcomes[3].error, outcomes[3].tries) == ("3 is no picture", 1)
    assert [outcomes[n].result for n in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_what_might_pass_is_tried_again(workers: Make, tmp_path: Path) -> None:
    def work(number: int) -> int:
        tries = tmp_path / str(number)
        with tries.open("a") as file:
            file.write("x")
        if len(tries.read_text()) < {4: 2, 5: 100}.get(number, 0):
            raise ValueError("slow")
        return number

    outcomes = {outcome.unit: outcome for outcome in workers(work).run(range(8))}
    assert (outcomes[4].result, outcomes[4].tries) == (4, 2)
    assert (outcomes[5].error, outcomes[5].tries) == ("ValueError: slow", TRIES)
    assert sum(not outcome.error for outcome in outcomes.values()) == 7


def test_a_unit_that_kills_its_workers(workers: Make) -> None:
    """And nothing else: what was with it on its worker the first time is done elsewhere."""

    def work(number: int) -> int:
        if number == 7:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return number

    crew = workers(work, queued=3)
    found = {outcome.unit: outcome for outcome in crew.run(range(40))}
    assert {unit for unit, outcome in found.items() if outcome.error} == {7}
    assert (found[7].error, found[7].tries) == (f"its worker died {TRIES} times", TRIES)


@pytest.mark.parametrize(
    "error", [ModelNotFoundError("no such model", hint="scale"), BackendError("no engine")]
)
def test_what_concerns_all_ends_the_job(workers: Make, error: BnnupError) -> None:
    def work(number: int) -> int:
        raise error

    with pytest.raises(type(error), match=str(error)) as raised:
        [*workers(work).run(range(9))]
    assert raised.value.hint == error.hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_ends_the_job(workers: Make, number: int, wrapped: bool) -> None:
    def work(unit: int) -> int:
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            if wrapped:
                raise MediaError("cannot write out/a.png: it is full") from error
            raise

    with pytest.raises(FullError, match="full" if wrapped else os.strerror(number)):
        [*workers(work).run(range(9))]


def test_a_worker_that_cannot_be_made(driver: "Cluster") -> None:
    def broken() -> Callable[[int], int]:
        raise ModelNotFoundError("no model here")

    with (
        pytest.raises(ModelNotFoundError, match="no model here"),
        Workers(broken) as crew,
    ):
        [*crew.run(range(3))]


def test_workers_that_die_when_they_are_made(driver: "Cluster", monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.05)
    monkeypatch.setattr(module, "STARTS", 2)

    def broken() -> Callable[[int], int]:
        raise ImportError("no libexample.so")

    with pytest.raises(ClusterError, match=r"no libexample\.so"), Workers(broken) as crew:
        [*crew.run(range(3))]


# Machines that come and go


def test_a_node_that_dies_and_one_that_joins(
    driver: "Cluster", workers: Make, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.2)

    def work(number: int) -> tuple[int, int]:
        time.sleep(0.1)
        return number, os.getpid()

    at_work = True

    def units() -> Iterator[int]:
        number = 0
        while at_work:
            yield number
            number += 1

    extra = add_node(driver)
    crew = workers(work, queued=2)
    found: list[tuple[int, int]] = []
    phases = [3, 2, 3]  # workers that are waited for
    for outcome in crew.run(units()):
        assert outcome.result is not None, outcome.error
        found.append(outcome.result)
        if not phases or crew.alive != phases[0]:
            continue
        phases.pop(0)
        if len(phases) == 2:
            driver.remove_node(extra, allow_graceful=False)
        elif len(phases) == 1:
            extra = add_node(driver)
        at_work = bool(phases)
    driver.remove_node(extra)
    assert sorted(number for number, _ in found) == [*range(len(found))]
    assert len({process for _, process in found}) == 4


# Without a cluster


def test_no_cluster_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason=NO_RAY)
    monkeypatch.setenv("RAY_ADDRESS", "")
    script = (
        "from bnnup.cluster.workers import connected\n"
        "from bnnup.errors import ClusterError\n"
        "try:\n"
        "    with connected('127.0.0.1:1'): pass\n"
        "except ClusterError as error:\n"
        "    print(error, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("no Ray cluster at '127.0.0.1:1'")
    assert done.stdout.endswith(" cluster\n")


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install '.\[cluster\]'"), connected("auto"):
        pass
