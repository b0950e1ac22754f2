"""Pictures one after the other: read, enlarged and written at the same time.

While one picture is computed, the next is decoded and the one before encoded, each
in a thread of its own. Results pass in strips: none is ever whole in memory unless
its encoder needs it whole.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from threading import Event, Lock
from typing import IO

import numpy as np

from bnnup.errors import MediaError, StoppedError, reason
from bnnup.folders.estimate import check_memory, estimate
from bnnup.folders.ledger import Ledger
from bnnup.folders.report import Report
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Known, Task
from bnnup.folders.work import Work
from bnnup.pictures import formats, read, write
from bnnup.pictures.fit import fit
from bnnup.pictures.formats import FORMATS, Encoding
from bnnup.pictures.picture import Picture
from bnnup.pictures.read import Header
from bnnup.system import files, paths
from bnnup.system.stages import ahead
from bnnup.upscale import passes
from bnnup.upscale.passes import Strip
from bnnup.upscale.size import plan_passes
from bnnup.upscale.upscaler import Upscaler, load

Progress = Callable[[str, int, int], None]  # of which picture, input pixels done, in all
NOTHING = np.empty((0, 0), np.uint8)  # stands for a work without strips
ENORMOUS = 100_000_000  # bytes of pixels: while they are worked on, no others are decoded
PATIENCE = 0.1  # seconds between looks at whether anybody still wants the result


class Batch:
    """Enlarges pictures as ``settings`` say; networks are loaded when the first needs them."""

    def __init__(
        self, settings: Settings, machine: Machine | None = None, progress: Progress | None = None
    ) -> None:
        self.settings = settings
        self.machine = machine or Machine()
        self.progress = progress
        self.waiting: Callable[[int], None] = lambda workers: None
        self._upscalers: dict[int, Upscaler] = {}
        self._fingerprint = ""
        self._network = Lock()
        self._stopped = Event()

    def upscaler(self, scale: int) -> Upscaler:
        """The network for a scale; BnnupError where there is none."""
        if scale not in self._upscalers:
            self._upscalers[scale] = self._load(scale)
        return self._upscalers[scale]

    def _load(self, scale: int, name: str | None = None) -> Upscaler:
        return load(
            name or self.settings.model,
            scale=scale,
            tile=self.machine.tile,
            memory=self.machine.memory,
            threads=self.machine.threads,
            alpha=self.settings.alpha,
        )

    def prepare(self) -> None:
        """Loads what is certain to be needed; BnnupError where it is missing."""
        if self.settings.size.factor is not None:
            for scale in plan_passes(self.settings.size.factor):
                self.upscaler(scale)

    def run(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None = None,
        *,
        force: bool = False,
        only_plan: bool = False,
    ) -> Iterator[Work]:
        """Each task when it is done, skipped or has failed, in order.

        What ``ledger`` knows as finished is skipped, and what it does not know is not
        overwritten, both unless ``force``. With ``only_plan`` nothing is enlarged.
        A picture that fails is not the end; what concerns all of them is raised.
        """
        if ledger is not None:
            tasks = ledger.announced(tasks, force=force)
        unwanted = Event()
        decoded = ahead(self._decode(tasks, ledger, force, only_plan, unwanted), 1)
        computed = ahead(self._compute(decoded), 1)
        with closing(computed):
            try:
                for work, parts in groupby(computed, itemgetter(0)):
                    if work.status == "planned" and not only_plan:
                        self._write(work, (strip for _, strip in parts), ledger)
                    if ledger is not None:
                        ledger.settle(work.task, work.status)
                    yield work
            finally:
                unwanted.set()  # before the stages are waited for

    def stop(self) -> None:
        """Has the runs of other threads given up; none leaves anything half done."""
        self._stopped.set()

    def wait(self) -> None:
        """Tells ``waiting`` how many workers there are, where there are others."""

    # The stages

    def _decode(
        self,
        tasks: Iterable[Task],
        ledger: Ledger | None,
        force: bool,
        only_plan: bool,
        unwanted: Event,
    ) -> Generator[Work, None, None]:
        for task in tasks:
            work = Work(task, unwanted=unwanted)
            try:
                if task.problem:
                    raise MediaError(task.problem)
                with _open(task) as file:
                    self._read(work, file, ledger, force, only_plan)
            except OSError as error:
                work.fail(MediaError(f"cannot read {task.name}: {reason(error)}"))
            except MediaError as error:
                work.fail(error)
            enormous = work.picture is not None and work.picture.pixels.nbytes > ENORMOUS
            yield work
            while enormous and not (work.computed.wait(PATIENCE) or unwanted.is_set()):
                pass

    def _compute(
        self, works: Generator[Work, None, None]
    ) -> Generator[tuple[Work, Strip], None, None]:
        """Every work with each of its strips, or once without any."""
        with closing(works):
            for work in works:
                picture, work.picture = work.picture, None
                if picture is not None and work.status == "planned":
                    try:
                        with self._network:
                            for strip in self._enlarge(work, picture):
                                yield work, strip
                        continue
                    except (MediaError, MemoryError, OSError) as error:
                        work.fail(error)
                    finally:
                        del picture
                        work.computed.set()
                yield work, NOTHING

    def _write(self, work: Work, strips: Iterator[Strip], ledger: Ledger | None) -> None:
        """Encodes; a failure of whatever stage leaves no file."""
        task = work.task
        try:
            if task.target is None:
                buffer = BytesIO()  # pipes cannot seek, as encoders do
                self._encode(work, strips, buffer)
                sys.stdout.buffer.write(buffer.getbuffer())
                sys.stdout.buffer.flush()
            else:
                known = task.known
                if known is not None:
                    task.target.parent.mkdir(parents=True, exist_ok=True)
                if ledger is not None and known is not None and not known.begun:
                    ledger.begin(task.target)
                with files.writing(task.target, None if known is None else token(task)) as file:
                    self._encode(work, strips, file)
                    work.bytes = file.seek(0, os.SEEK_END)
                if ledger is not None:
                    ledger.finish(task.target, work.key, work.bytes)
            work.status = "done"
        except (MediaError, MemoryError, OSError) as error:
            work.fail(error)

    # Their parts

    def _read(
        self, work: Work, file: IO[bytes], ledger: Ledger | None, force: bool, only_plan: bool
    ) -> None:
        """The picture, unless there is nothing to do, and what shall become of it."""
        target, known = work.task.target, work.task.known
        if target is not None and known is not None:
            work.key = self._key(file)
            if not force and _is_finished(target, known, work.key):
                work.status = "skipped"
                return
            if ledger is None and not known.begun:
                work.status = "stale"
                return
        most = self.machine.megapixels
        header = read.peek(file, work.task.name, megapixels=most)
        self._plan(work, header)
        if only_plan:
            return
        if header.width * header.height > self.machine.largest:
            work.status = "large"
            return
        picture = read.decode(file, work.task.name, megapixels=most, go_on=work.go_on)
        if self.settings.strip:
            picture = replace(picture, info={})
        name = (target or Path("it")).name
        picture = fit(picture, work.encoding, name, self.settings.background)
        height, width = picture.pixels.shape[:2]
        work.size = self.settings.size.of(width, height)
        work.info, work.notes, work.animation = picture.info, picture.notes, picture.animation
        write.check_fits(picture, work.size, work.encoding, name)
        work.picture = picture

    def _key(self, file: IO[bytes]) -> int:
        if not self._fingerprint:
            self._fingerprint = self.settings.fingerprint()
        content = hashlib.blake2b()
        while block := file.read(1 << 20):
            content.update(block)
        file.seek(0)
        return int(_digest(content.digest() + self._fingerprint.encode()), 16)

    def _plan(self, work: Work, header: Header) -> None:
        """Size, format and memory, before anything is decoded."""
        size = self.settings.size
        work.encoding = self._encoding(header.format, work.task.target)
        try:
            scales = plan_passes(size.factor_for(header.width, header.height))
        except ValueError as error:
            raise MediaError(str(error)) from error
        work.size = size.of(header.width, header.height)
        work.memory = estimate(
            header.width,
            header.height,
            scales,
            work.size,
            work.encoding.format,
            self.machine.memory,
            header.bits,
        )
        check_memory(work.memory, work.encoding.format)

    def _encoding(self, own: str, target: Path | None) -> Encoding:
        """In which format: as asked, or as the name says, or as it was."""
        own = "JPEG" if own == "MPO" else own
        name = self.settings.format or (
            formats.format_of(target) if target else own if FORMATS[own].written else "PNG"
        )
        return Encoding(name, self.settings.quality, self.settings.lossless)

    def _enlarge(self, work: Work, picture: Picture) -> Iterator[Strip]:
        """The strips of the result, or of all its frames one after the other; then the report."""
        height, width = picture.pixels.shape[:2]
        upscalers = [
            self.upscaler(scale)
            for scale in plan_passes(self.settings.size.factor_for(width, height))
        ]
        moving = work.animation
        count = 1 if moving is None else moving.count
        total = count * passes.pixels_seen(picture.pixels.shape, upscalers)
        seen = 0

        def show(pixels: int) -> None:
            nonlocal seen
            if work.unwanted.is_set() or self._stopped.is_set():
                raise StoppedError
            seen += pixels
            if self.progress is not None:
                self.progress(work.task.name, seen, total)

        frames = iter([picture.pixels]) if moving is None else moving.frames()
        strips = passes.enlarge(frames, upscalers, work.size, show)
        while True:
            began = time.perf_counter()
            strip = next(strips, None)
            work.seconds += time.perf_counter() - began
            if strip is None:
                break
            yield strip
        shape, target = picture.pixels.shape, str(work.task.target or "-")
        model = self.settings.model
        work.report = Report.of(upscalers, model, shape, work.size, work.seconds, target, count)

    def _encode(self, work: Work, strips: Iterator[Strip], file: IO[bytes]) -> None:
        first = next(strips)
        width, height = work.size

        def checked() -> Iterator[Strip]:
            yield first
            for strip in strips:
                if work.error:  # of the stage before
                    raise MediaError(work.error)
                yield strip

        shape = height, width, *first.shape[2:]
        if work.animation is None:
            write.encode(checked(), shape, work.info, work.encoding, file)
        else:
            write.encode_animation(checked(), shape, work.animation, work.info, work.encoding, file)


def _open(task: Task) -> IO[bytes]:
    """A file that can seek: a pipe is read to its end."""
    if task.source is None:
        return BytesIO(sys.stdin.buffer.read())
    return paths.opened(task.source)


def _is_finished(target: Path, known: Known, key: int) -> bool:
    with suppress(OSError):
        return known.key == key and target.stat().st_size == known.bytes
    return False


def token(task: Task) -> str:
    """What the temporary file is called by which a target is made."""
    assert task.target is not None
    return _digest(task.target.name.encode())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
