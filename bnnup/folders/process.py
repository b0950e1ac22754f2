"""What ``apart`` starts: a process that does one picture and tells what became of it."""

import os
import pickle
import signal
import sys
from contextlib import closing
from typing import IO

from bnnup.errors import FullError
from bnnup.folders.batch import Batch
from bnnup.folders.work import Work


def main(source: IO[bytes], target: IO[bytes]) -> None:
    """Reads a task with settings, machine and ``force``; writes its work, or what ends all."""
    task, settings, machine, force = pickle.load(source)
    outcome: Work | FullError
    try:
        [outcome] = Batch.of(settings, machine).run([task], force=force)
    except FullError as error:
        outcome = error
    pickle.dump(outcome, target)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits decides
    with closing(os.fdopen(os.dup(1), "wb")) as told:
        os.dup2(2, 1)  # whatever libraries print
        main(sys.stdin.buffer, told)
