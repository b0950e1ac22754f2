"""The record of what a job over a folder has finished, so that it can be interrupted anywhere.

``.bnnup.jsonl`` in the folder of results, a line a fact. The key of a result is a
hash of its input's bytes and of all settings that shape it. A line with the key is
added before a result gets its name, and one with its size in bytes afterwards:
what the record does not know was made by somebody else and is left alone.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import IO, Any

from bnnup.errors import MediaError
from bnnup.image import reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".bnnup.jsonl"


@contextmanager
def opened(folder: Path, *, read_only: bool = False) -> Iterator["Ledger"]:
    """The record in ``folder``, which is made unless it is there; for one process at a time."""
    if read_only:
        path = folder / NAME
        with path.open(encoding="utf-8") if path.is_file() else StringIO() as file:
            yield Ledger(folder, file)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise MediaError(f"cannot write to the folder {folder}: {reason(error)}") from error
    with file:
        _lock(file, folder)
        yield Ledger(folder, file)


class Ledger:
    """The record in a file that is open for appending."""

    def __init__(self, folder: Path, file: IO[str]) -> None:
        self.folder = folder
        self._file = file
        self._facts: dict[str, dict[str, Any]] = {}
        file.seek(0)
        text = file.read()
        for line in text.splitlines():
            with suppress(ValueError, TypeError, KeyError):  # cut off by a power cut
                fact = json.loads(line)
                self._facts[fact["output"]] = fact
        if text and not text.endswith("\n") and file.writable():
            self._file.write("\n")

    def owns(self, target: Path) -> bool:
        """Whether this or an earlier run made, or was about to make, ``target``."""
        return self._name(target) in self._facts

    def has(self, target: Path, key: str) -> bool:
        """Whether ``target`` is finished, with these contents and settings."""
        fact = self._facts.get(self._name(target), {})
        with suppress(OSError):
            return fact.get("key") == key and fact.get("bytes") == target.stat().st_size
        return False

    def begin(self, target: Path, key: str) -> None:
        """``target`` is about to be made."""
        self._add({"output": self._name(target), "key": key})

    def finish(self, target: Path, key: str) -> None:
        """``target`` has been made."""
        size = target.stat().st_size
        self._add({"output": self._name(target), "key": key, "bytes": size})

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()

    def _add(self, fact: dict[str, Any]) -> None:
        self._facts[fact["output"]] = fact
        self._file.write(json.dumps(fact) + "\n")
        self._file.flush()


def _lock(file: IO[str], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MediaError(f"another bnnup is at work on {folder}") from error
    except OSError:  # a file system without locks
        pass
