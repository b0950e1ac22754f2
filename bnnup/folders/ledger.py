"""The record of what a job on a folder has finished, so that it can be interrupted anywhere.

Facts, a line of JSON each: in the folder of results, ``.bnnup.jsonl`` if that is local;
elsewhere, where nothing can be appended, objects in ``.bnnup/``, in order of name.
The key of a result is a hash of its input's bytes and of all settings that shape it.
A fact with the name is added before a result gets that name, and one with the key and
the size in bytes afterwards: what the record does not know was made by somebody else and
is left alone.
"""

import json
import os
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, Protocol

import numpy as np

from bnnup.errors import MediaError, reason
from bnnup.folders.tasks import Known, Stream, Task
from bnnup.system import paths
from bnnup.system.locks import take

NAME = ".bnnup.jsonl"
OBJECTS = ".bnnup"
AHEAD = 256  # pictures that are begun at once where each fact would cost a request
PERIOD = 10.0  # seconds after which facts are stored elsewhere
GONE = "gone"  # of a fact: the result was not made after all


@contextmanager
def open_ledger(folder: Path, *, read_only: bool = False) -> Iterator["Ledger"]:
    """The record in ``folder``, which is made unless it is there.

    For one process at a time, which is made sure of in local folders only.
    """
    if not paths.is_local(folder):
        yield from _opened_remote(folder, read_only)
        return
    if read_only:
        yield Ledger(folder, _File(folder / NAME, None), read_only=True)
        return
    if os.path.islink(folder / NAME):  # what it leads to would be written to
        raise MediaError(f"the record {folder / NAME} is a link; remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Without a buffer: what a full disk does not take must not wait for another try.
        file = (folder / NAME).open("ab", buffering=0)
    except OSError as error:
        raise MediaError(f"cannot write to the folder {folder}: {reason(error)}") from error
    with file:
        if not take(file):
            raise MediaError(f"another bnnup is at work on {folder}")
        yield Ledger(folder, _File(folder / NAME, file))


def _opened_remote(folder: Path, read_only: bool) -> Iterator["Ledger"]:
    try:
        objects = _Objects(folder / OBJECTS)
        ledger = Ledger(folder, objects, read_only=read_only)
        if not read_only:
            objects.check()
    except Exception as error:  # as varied as the places
        raise MediaError(f"cannot write to the folder {folder}: {reason(error)}") from error
    try:
        yield ledger
    finally:
        if not read_only:
            objects.close()


class Store(Protocol):
    """Where facts lie."""

    def lines(self) -> Iterator[str]: ...

    def add(self, lines: list[str], *, now: bool) -> None:
        """``now``: what follows relies on it."""


def _read_fact(line: str) -> tuple[int, int, int] | None:
    """Name (hashed), key and size, -1 for what was begun and -2 for what is gone.

    None for a line that a power cut has cut short, or that somebody else has written.
    """
    with suppress(ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        fact = json.loads(line)
        name, size = fact["output"], fact.get("bytes", -1)
        key = int(fact["key"], 16) if "bytes" in fact else 0
        if isinstance(name, str) and -1 <= int(size) < 1 << 63 and 0 <= key < 1 << 64:
            return hash(name), key, -2 if GONE in fact else int(size)
    return None


class Ledger:
    """What earlier runs put on record, in 24 bytes a result, and what this one adds."""

    def __init__(self, folder: Path, store: Store, *, read_only: bool = False) -> None:
        self.folder = folder
        self._store = store
        self._read_only = read_only
        names, keys, sizes = array("q"), array("Q"), array("q")
        for line in store.lines():
            if fact := _read_fact(line):
                names.append(fact[0])
                keys.append(fact[1])
                sizes.append(fact[2])
        # The last fact about a name counts.
        order = np.argsort(np.array(names, np.int64), kind="stable")
        self._names = np.array(names, np.int64)[order]
        self._keys, self._sizes = np.array(keys, np.uint64)[order], np.array(sizes, np.int64)[order]

    def known(self, target: Path) -> Known | None:
        """What earlier runs had on record; None if they neither made it nor were about to."""
        name = hash(self._name(target))
        place = int(self._names.searchsorted(name, "right")) - 1
        if place < 0 or int(self._names[place]) != name or self._sizes[place] == -2:
            return None
        size = int(self._sizes[place])
        if size < 0:
            return Known(begun=True, unfinished=True)
        return Known(key=int(self._keys[place]), bytes=size)

    def has_made(self, path: Path) -> bool:
        """Whether an earlier run made what lies there, and nobody has changed its size since."""
        if not paths.is_below(path, self.folder):
            return False
        known = self.known(path)
        with suppress(OSError):
            return known is not None and known.bytes == path.stat().st_size
        return False

    def announced(self, tasks: Iterable[Task], *, force: bool) -> Iterator[Task]:
        """The same tasks with what is known of them, on record as begun.

        Those whose targets were finished before are not begun, unless ``force``: they may
        be left as they are. Nor is anything where a file of somebody else's lies.
        """
        foreign = _Foreign(self)
        tasks = iter(tasks)
        while chunk := [*islice(tasks, 1 if paths.is_local(self.folder) else AHEAD)]:
            begun = []
            for place, task in enumerate(chunk):
                if task.target is None or isinstance(task.target, Stream) or task.problem:
                    continue
                known = self.known(task.target)
                if task.is_result:
                    chunk[place] = replace(task, known=known or Known())
                    continue
                if known is None and not force and foreign.has(task.target):
                    problem = f"{task.target} exists, and this job did not make it"
                    chunk[place] = replace(task, problem=problem, hint="force")
                    continue
                if known is None or force:
                    unfinished = known is not None and known.unfinished
                    known = Known(begun=True, new=known is None, unfinished=unfinished)
                    begun.append(self._line(task.target))
                chunk[place] = replace(task, known=known)
            if begun:
                self._add(begun, now=True)
            yield from chunk

    def begin(self, target: Path) -> None:
        """``target`` is about to be made."""
        self._add([self._line(target)], now=True)

    def finish(self, target: Path, key: int, size: int, *, model: str = "") -> None:
        """``target`` has been made, of so many bytes, by the network called ``model``."""
        chosen = {"model": model} if model else {}
        self._add([self._line(target, key=f"{key:016x}", bytes=size, **chosen)])

    def settle(self, task: Task, status: str) -> None:
        """What was begun ahead and failed has not been made after all."""
        target = task.target
        new = task.known is not None and task.known.new
        if status == "failed" and new and target and not isinstance(target, Stream):
            self._add([self._line(target, **{GONE: True})])

    def _add(self, lines: list[str], *, now: bool = False) -> None:
        if self._read_only:
            return
        try:
            self._store.add(lines, now=now)
        except Exception as error:  # as varied as the places
            said = f"cannot write the record in {self.folder}: {reason(error)}"
            raise MediaError(said) from error

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()

    def _line(self, target: Path, **facts: Any) -> str:
        return json.dumps({"output": self._name(target), **facts}) + "\n"


class _Foreign:
    """Which targets exist without being on record.

    Remote folders are read instead of asked, one at a time.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._folder: Path | None = None
        self._names: set[str] = set()

    def has(self, target: Path) -> bool:
        if paths.is_local(target):
            return paths.exists(target)
        if target.parent != self._folder:
            self._folder = target.parent
            self._names.clear()
            with suppress(OSError):  # as it is not there yet
                for entry in paths.entries(self._folder):
                    if self._ledger.known(self._folder / entry.name) is None:
                        self._names.add(entry.name)
        return target.name in self._names


class _File:
    """Facts in a file, which is open for appending unless they are only read."""

    def __init__(self, path: Path, file: IO[bytes] | None) -> None:
        self._path = path
        self._file = file

    def lines(self) -> Iterator[str]:
        if not self._path.is_file():
            return
        line = ""
        with self._path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line
        if line and not line.endswith("\n") and self._file is not None:
            self._file.write(b"\n")

    def add(self, lines: list[str], *, now: bool) -> None:
        assert self._file is not None
        rest = memoryview("".join(lines).encode())
        while rest:  # a disk that is almost full takes a part
            rest = rest[self._file.write(rest) :]


class _Objects:
    """Facts in objects of a remote folder, the later ones under greater names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[str] = []
        self._stored = time.monotonic()
        try:
            found = [entry.name for entry in paths.entries(folder) if entry.is_file]
        except FileNotFoundError:
            found = []
        self._names = sorted(name for name in found if name.endswith(".jsonl"))

    def lines(self) -> Iterator[str]:
        for name in self._names:
            with suppress(FileNotFoundError):  # put together with others meanwhile
                yield from (
                    (self._folder / name).read_text(encoding="utf-8").splitlines(keepends=True)
                )

    def add(self, lines: list[str], *, now: bool) -> None:
        self._waiting += lines
        if now or len(self._waiting) >= AHEAD or time.monotonic() - self._stored > PERIOD:
            self._put()

    def check(self) -> None:
        """An error now rather than later if nothing can be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._put("\n")

    def close(self) -> None:
        """Stores what waits, and puts all objects together into one."""
        self._put()
        if len(self._names) < 2:
            return
        # Under the last name it stands for all before it, wherever this is interrupted.
        whole = self._folder / f"{self._names[-1].removesuffix('.jsonl')}+.jsonl"
        with whole.open("wb") as file:
            for line in self.lines():
                if line.strip():
                    file.write(line.encode())
        for name in self._names:
            with suppress(OSError):
                (self._folder / name).unlink()

    def _put(self, text: str = "") -> None:
        text += "".join(self._waiting)
        self._waiting.clear()
        self._stored = time.monotonic()
        if text:
            name = f"{time.time_ns():020}-{token_hex(4)}.jsonl"
            (self._folder / name).write_text(text, encoding="utf-8")
            self._names.append(name)
