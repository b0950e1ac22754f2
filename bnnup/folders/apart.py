"""A picture in a process of its own, which is all that its decoder can then take along.

For those that an earlier run began and did not finish: one of them may have ended it.
"""

import pickle
import signal
import subprocess
import sys
from contextlib import suppress

from bnnup.errors import FullError, MediaError
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Stream, Task
from bnnup.folders.work import Work
from bnnup.folders.writer import remove_rest
from bnnup.system import paths
from bnnup.system.stages import PATIENCE

NOTE = "an earlier run ended at it, so it was done last, in a process of its own"


def shared(task: Task) -> bool:
    """Whether other processes see both of its ends."""
    ends = task.source, task.target
    return all(
        not (end is None or isinstance(end, Stream) or paths.is_private(end)) for end in ends
    )


def run_apart(task: Task, settings: Settings, machine: Machine, *, force: bool) -> Work:
    """A ``shared`` task when it is done or has failed."""
    command = [sys.executable, "-P", "-m", "bnnup.folders.process"]
    sent = pickle.dumps((task, settings, machine, force))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        told = _answer(process, sent)
        outcome = pickle.loads(told) if process.returncode == 0 else _death(task, process)
    finally:
        process.kill()
        process.wait()
        if process.returncode:
            remove_rest(task)
    if isinstance(outcome, FullError):
        raise outcome
    assert isinstance(outcome, Work)
    outcome.notes += (NOTE,)
    return outcome


def _answer(process: subprocess.Popen[bytes], sent: bytes) -> bytes:
    rest: bytes | None = sent
    while True:  # on Windows, Ctrl-C is not heard while this waits
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(rest, PATIENCE)[0]
        rest = None  # which is on its way


def _death(task: Task, process: subprocess.Popen[bytes]) -> Work:
    work = Work(task)
    code = process.returncode
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    work.fail(MediaError(f"{task.name} ends the process that works on it ({how})"))
    return work
