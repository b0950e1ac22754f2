"""The first stage of a job: what becomes of a picture, and its pixels."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO

from bnnup.errors import MediaError, reason
from bnnup.folders.estimate import check_memory, estimate
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Known, Stream, Task
from bnnup.folders.work import Work
from bnnup.pictures import formats, read, write
from bnnup.pictures.fit import fit
from bnnup.pictures.formats import FORMATS, Encoding
from bnnup.pictures.read import Header
from bnnup.system import paths
from bnnup.upscale.size import plan_passes


class Reader:
    """Reads pictures as ``settings`` say; ``fingerprint`` is theirs, computed if not given."""

    def __init__(self, settings: Settings, machine: Machine, fingerprint: str = "") -> None:
        self._settings, self._machine = settings, machine
        self._fingerprint = fingerprint

    def read(self, work: Work, *, recorded: bool, force: bool, only_plan: bool) -> None:
        """Gives ``work`` its plan and its picture, unless there is nothing to do.

        ``recorded`` says whether the job's record is at hand, or with another machine.
        """
        if work.task.problem:
            raise MediaError(work.task.problem, hint=work.task.hint)
        with _opening(work.task) as file:
            if self._is_settled(work, file, recorded, force):
                return
            header = read.peek(file, work.task.name, megapixels=self._machine.megapixels)
            self._plan(work, header)
            if only_plan:
                return
            if header.width * header.height > self._machine.largest:
                work.status = "large"
                return
            self._decode(work, file)

    def _is_settled(self, work: Work, file: IO[bytes], recorded: bool, force: bool) -> bool:
        target, known = work.task.target, work.task.known
        if target is None or isinstance(target, Stream) or known is None:
            return False
        if work.task.is_result:
            work.status = "skipped"
            return True
        work.key = self.key(file)
        if not force and _is_finished(target, known, work.key):
            work.status = "skipped"
        elif not recorded and not known.begun:
            work.status = "stale"
        return work.status != "planned"

    def key(self, file: IO[bytes]) -> int:
        """What a result is known by on record: a hash of the input and the settings."""
        if not self._fingerprint:
            self._fingerprint = self._settings.fingerprint()
        content = hashlib.blake2b()
        while block := file.read(1 << 20):
            content.update(block)
        file.seek(0)
        return int(digest(content.digest() + self._fingerprint.encode()), 16)

    def _plan(self, work: Work, header: Header) -> None:
        """Size, format and memory, before anything is decoded."""
        size = self._settings.size
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
            self._machine.memory,
            header.bits,
        )
        check_memory(work.memory, work.encoding.format)

    def _encoding(self, own: str, target: Path | Stream | None) -> Encoding:
        """In which format: as asked, or as the name says, or as it was."""
        own = "JPEG" if own == "MPO" else own
        name = self._settings.format or (
            (own if FORMATS[own].written else "PNG")
            if target is None or isinstance(target, Stream)
            else formats.format_of(target)
        )
        return Encoding(name, self._settings.quality, self._settings.lossless)

    def _decode(self, work: Work, file: IO[bytes]) -> None:
        most, target = self._machine.megapixels, work.task.target
        picture = read.decode(file, work.task.name, megapixels=most, go_on=work.go_on)
        if self._settings.strip:
            picture = replace(picture, info={})
        name = "it" if target is None else target.name
        picture = fit(picture, work.encoding, name, self._settings.background)
        height, width = picture.pixels.shape[:2]
        work.size = self._settings.size.of(width, height)
        work.info, work.notes, work.animation = picture.info, picture.notes, picture.animation
        write.check_fits(picture, work.size, work.encoding, name)
        work.picture = picture


@contextmanager
def _opening(task: Task) -> Iterator[IO[bytes]]:
    """A file that can seek: a stream is read to its end. OSError becomes MediaError."""
    try:
        if isinstance(task.source, Stream):
            yield BytesIO(task.source.file.read())
        else:
            with paths.open_binary(task.source) as file:
                yield file
    except OSError as error:
        raise MediaError(f"cannot read {task.name}: {reason(error)}") from error


def _is_finished(target: Path, known: Known, key: int) -> bool:
    with suppress(OSError):
        return known.key == key and target.stat().st_size == known.bytes
    return False


def digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
