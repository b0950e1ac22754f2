"""Unfinished work on a film: encoded segments that a later run goes on from.

Beside the output ``clip.mp4`` lies, until that is complete, a folder ``clip.mp4.part``:
``job.json`` says what is being made, ``000000.seg`` and so on are whole segments, each
an encoder's output from a key frame to its end, made in any order and anywhere. What
is being written ends in ``.tmp``.

A segment file is the encoder's header, then packets in the order of decoding, each
led by its numbers, then the seam, and a checksum (BLAKE2b) of all this; all
little-endian. Nothing is rounded: times count the film's own time base.
"""

import json
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, Self

from bnnup.errors import MediaError
from bnnup.system import files, paths
from bnnup.system.locks import take

LENGTH = struct.Struct("<Q")
NUMBERS = struct.Struct("<qqQ?")  # presentation time, duration, bytes, key frame
SEAM = struct.Struct("<8s8sQ?")
DIGEST = 16  # bytes of the checksum
BLOCK = 1 << 20  # bytes that are read at a time to check it
RESULT = "result"  # and the target's extension: moved to the target when complete


@dataclass(frozen=True)
class Seam:
    """How a segment fits its neighbours.

    ``first`` and ``following`` are digests of its first decoded frame and of the one
    that follows its last: at a seam both sides have seen the same frame, or decoding
    did not begin where it should. ``exact``: it began at the beginning, jumping over
    nothing. ``damaged`` packets were left out.
    """

    first: bytes
    following: bytes
    damaged: int
    exact: bool


@dataclass(frozen=True)
class Chunk:
    """An encoded packet; times in the film's time base, ``dts`` None until all are known."""

    pts: int
    dts: int | None
    duration: int
    is_key: bool
    data: bytes


class SegmentWriter:
    """Writes one segment, which appears under its name at the end of a ``with`` block only."""

    def __init__(self, path: Path, header: bytes) -> None:
        self._path = path
        self._scratch = ExitStack()
        folder = path.parent
        if not paths.is_local(path):  # what goes elsewhere is a local file first
            folder = Path(self._scratch.enter_context(TemporaryDirectory()))
        # Two workers may be at it, one of them given up as lost.
        self._token = f"{path.stem}-{token_hex(4)}"
        self._temporary = folder / f"{self._token}.tmp"
        self._file: IO[bytes] = self._temporary.open("wb")
        self._digest = blake2b(digest_size=DIGEST)
        self._put(LENGTH.pack(len(header)) + header)

    def write(self, chunk: Chunk) -> None:
        numbers = NUMBERS.pack(chunk.pts, chunk.duration, len(chunk.data), chunk.is_key)
        self._put(numbers + chunk.data)

    def close(self, seam: Seam) -> None:
        """The end, without which a segment is not whole."""
        self._put(SEAM.pack(seam.first, seam.following, seam.damaged, seam.exact))
        self._file.write(self._digest.digest())

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._scratch:
            self._file.close()
            if kind is None:
                files.move(self._temporary, self._path, self._token)
            else:
                self._temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Segment:
    """A whole segment: ``times`` are the frames', in the order of decoding, ``end`` their last.

    ``data`` counts the bytes of packets: 0 where they have been taken out.
    """

    path: Path
    size: int
    data: int
    header: bytes
    times: tuple[int, ...]
    end: int | None
    seam: Seam

    @classmethod
    def open(cls, path: Path) -> "Segment":
        """Reads everything but the packets' data. ValueError if the file is cut or damaged."""
        size = path.stat().st_size
        with paths.open_binary(path) as file:
            _check(file, size)
            header = _exactly(file, *LENGTH.unpack(_exactly(file, LENGTH.size)))
            times, end, data = [], None, 0
            while file.tell() < size - SEAM.size - DIGEST:
                pts, duration, length, _ = NUMBERS.unpack(_exactly(file, NUMBERS.size))
                times.append(pts)
                data += length
                end = pts + duration if end is None else max(end, pts + duration)
                if file.seek(length, os.SEEK_CUR) > size:
                    raise ValueError(f"{path} was cut")
            seam = Seam(*SEAM.unpack(_exactly(file, SEAM.size)))
        return cls(path, size, data, header, tuple(times), end, seam)

    @property
    def delay(self) -> int:
        """Frames by which decoding must run ahead of showing."""
        shown = {pts: number for number, pts in enumerate(sorted(self.times))}
        return max((i - shown[pts] for i, pts in enumerate(self.times)), default=0)

    def chunks(self) -> Iterator[Chunk]:
        """The packets in the order of decoding."""
        with paths.open_binary(self.path) as file:
            file.seek(LENGTH.size + len(self.header))
            for _ in self.times:
                pts, duration, length, is_key = NUMBERS.unpack(_exactly(file, NUMBERS.size))
                yield Chunk(pts, None, duration, is_key, _exactly(file, length))


def _fit(before: Segment, after: Segment) -> bool:
    """Whether both sides of a seam saw the same frame, or neither can be wrong."""
    same = before.seam.following == after.seam.first
    return same or (before.seam.exact and after.seam.exact)


def _check(file: IO[bytes], size: int) -> None:
    """ValueError unless a file of so many bytes ends with the checksum of what comes before."""
    digest, left = blake2b(digest_size=DIGEST), max(size - DIGEST, 0)
    while left and (block := file.read(min(left, BLOCK))):
        digest.update(block)
        left -= len(block)
    if _exactly(file, DIGEST) != digest.digest():
        raise ValueError("a segment was damaged")
    file.seek(0)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("a segment was cut")
    return data


def join(segments: list[Segment]) -> Iterator[Chunk]:
    """The packets of all segments with decoding times that rise throughout.

    A packet is decoded when the frame that is shown ``delay`` places before it in the
    order of decoding is shown; the first ones as long before the first frame as the
    ones after it follow it. Each encoder counts its own, which would overlap.
    """
    segments = [segment for segment in segments if segment.times]
    delay = max((segment.delay for segment in segments), default=0)
    waiting: deque[int] = deque()
    early: list[int] = []
    for segment in segments:
        shown = sorted(segment.times)
        if segment is segments[0]:
            early = [2 * shown[0] - shown[i] for i in range(min(delay, len(shown) - 1), 0, -1)]
        waiting.extend(shown)
        for chunk in segment.chunks():
            dts = early.pop(0) if early else waiting.popleft()
            yield Chunk(chunk.pts, dts, chunk.duration, chunk.is_key, chunk.data)


def unfinished(target: Path) -> Path:
    """Where the work on a target lies until it is complete."""
    return target.with_name(f"{target.name}.part")


class WorkFolder:
    """A folder that holds what is done of a job: segments by number."""

    DESCRIPTION = "job.json"
    LOCK = "lock"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.segments: dict[int, Segment] = {}
        self.taken_out = 0  # bytes
        self._settled = False
        self.when_finished: Callable[[], None] = lambda: None  # with each segment

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes away from a local folder, which is made unless it is there.

        MediaError if another process is at work in it. What is empty at the end goes.
        """
        if not paths.is_local(self.path):
            yield
            return
        self._make()
        lock = self.path / self.LOCK
        try:
            with lock.open("ab") as file:
                if not take(file):
                    raise MediaError(f"another bnnup is at work on {self.path}")
                try:
                    yield
                finally:
                    self._leave()  # while nobody else can come
        finally:
            if files.WINDOWS:  # which keeps what somebody has open
                self._leave()

    def _leave(self) -> None:
        """Removes the lock and the folder if nothing else is in it."""
        if not self._files():
            with suppress(OSError):
                (self.path / self.LOCK).unlink()
                self.path.rmdir()

    def prepare(self, job: dict[str, Any], *, discard: bool) -> None:
        """Finds what an earlier run of the same job has done.

        Another job's work is MediaError, unless ``discard``.
        """
        text = json.dumps(job, indent=1, sort_keys=True, default=str).encode()
        description = self.path / self.DESCRIPTION
        self._make()
        if not paths.exists(description) and self._files():
            raise MediaError(f"{self.path} is in the way and was not made by bnnup; move it")
        if paths.exists(description) and description.read_bytes() == text:
            for path in self._files(".tmp"):
                path.unlink(missing_ok=True)
            for path in self._files(".seg"):
                with suppress(ValueError):  # cut off by a power cut
                    self.segments[int(path.stem)] = Segment.open(path)
            return
        if self._files(".seg") and not discard:
            raise MediaError(
                f"{self.path} holds unfinished work with another input, model or other options; "
                "finish that first",
                hint="discard",
            )
        self.clear()
        self._make()
        description.write_bytes(text)

    def _make(self) -> None:
        if paths.is_local(self.path):  # elsewhere there are none but what holds something
            self.path.mkdir(exist_ok=True)

    def _files(self, ending: str = "") -> list[Path]:
        if not paths.is_folder(self.path):
            return []
        found = paths.entries(self.path)
        names = [entry.name for entry in found if entry.name != self.LOCK]
        return [self.path / name for name in names if name.endswith(ending)]

    @contextmanager
    def result(self, suffix: str) -> Iterator[Path]:
        """Where the output is written to, before it is complete: a local file."""
        if paths.is_local(self.path):
            yield self.path / (RESULT + suffix)
            return
        with TemporaryDirectory() as folder:
            yield Path(folder) / (RESULT + suffix)

    def _name(self, number: int) -> Path:
        return self.path / f"{number:06}.seg"

    @property
    def frames(self) -> int:
        """Frames in whole segments."""
        return sum(len(segment.times) for segment in self.segments.values())

    @property
    def size(self) -> int:
        """Bytes in whole segments, and of what has been taken out of them."""
        return sum(segment.size for segment in self.segments.values()) + self.taken_out

    @property
    def in_order(self) -> list[Segment]:
        """All segments of a film whose every span has been made."""
        return [self.segments[number] for number in range(len(self.segments))]

    def begin(self, number: int, header: bytes) -> SegmentWriter:
        """A writer of a segment; call ``finish`` when it is closed."""
        return SegmentWriter(self._name(number), header)

    def finish(self, number: int) -> None:
        """Takes up a segment that has been written."""
        self.segments[number] = Segment.open(self._name(number))
        self.when_finished()

    def empty(self, number: int) -> None:
        """Takes the packets out of a segment, of which times and seam stay."""
        segment = self.segments[number]
        with self.begin(number, segment.header) as writer:
            for chunk in segment.chunks():
                writer.write(replace(chunk, data=b""))
            writer.close(segment.seam)
        self.segments[number] = Segment.open(self._name(number))
        self.taken_out += segment.data

    def certain(self) -> Iterator[int]:
        """Numbers of the first segments, up to the last that will stay whatever comes after it."""
        for number in range(len(self.segments)):
            before, here, after = (self.segments.get(n) for n in (number - 1, number, number + 1))
            if here is None:
                return
            fits = (before is None or _fit(before, here)) and after and _fit(here, after)
            if not (fits or here.seam.exact or self._settled):
                return
            yield number

    def settle(self) -> None:
        """All segments are there and fit: nothing will come after the last one."""
        self._settled = True

    def misfits(self) -> list[int]:
        """Numbers of segments before which a frame is not what the one before saw there.

        They have to be made anew, exactly; what is exact is right.
        """
        return [
            number + 1 if not after.seam.exact else number
            for number, (before, after) in enumerate(pairwise(self.in_order))
            if not _fit(before, after)
        ]

    def drop(self, numbers: Iterable[int]) -> None:
        """Forgets segments."""
        for number in numbers:
            self.segments.pop(number, None)

    @contextmanager
    def tidied(self) -> Iterator[None]:
        """Removes the folder if the block fails before there is anything to keep."""
        try:
            yield
        except BaseException:
            if not self.segments:
                self.clear()
            raise

    def clear(self) -> None:
        """Removes the folder with everything that bnnup put there, and nothing else."""
        for file in self._files():
            ours = file.stem == RESULT or file.name == self.DESCRIPTION
            if ours or file.suffix in (".seg", ".tmp"):
                file.unlink()
        if paths.is_local(self.path):
            with suppress(OSError):  # what somebody else put there stays
                self.path.rmdir()
