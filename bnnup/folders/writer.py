"""The last stage of a job: results to files, and on record."""

import os
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO

from bnnup.errors import MediaError
from bnnup.folders.ledger import Ledger
from bnnup.folders.reader import digest
from bnnup.folders.tasks import Stream, Task
from bnnup.folders.work import Work
from bnnup.pictures import write
from bnnup.system import files, paths
from bnnup.upscale.passes import Strip


def write_result(work: Work, strips: Iterator[Strip], ledger: Ledger | None) -> None:
    """Encodes the strips of a work to where its task says; on any error there is no file."""
    target = work.task.target
    assert target is not None, "a task without a target has a problem"
    if not isinstance(target, Stream):
        _write_file(work, strips, target, ledger)
        return
    buffer = BytesIO()  # streams cannot seek, as encoders do
    _encode(work, strips, buffer)
    target.file.write(buffer.getbuffer())
    target.file.flush()


def _write_file(work: Work, strips: Iterator[Strip], target: Path, ledger: Ledger | None) -> None:
    known = work.task.known
    if known is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    if ledger is not None and known is not None and not known.begun:
        ledger.begin(target)
    with files.writing(target, token(work.task)) as file:
        _encode(work, strips, file)
        work.bytes = file.seek(0, os.SEEK_END)
    if ledger is not None:
        ledger.finish(target, work.key, work.bytes, model=work.choice.model)


def _encode(work: Work, strips: Iterator[Strip], file: IO[bytes]) -> None:
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


def token(task: Task) -> str:
    """What the temporary file is called by which a target is made."""
    assert task.target is not None
    return digest(os.fsencode(task.target.name))


def remove_rest(task: Task) -> None:
    """What a process that died, or was stopped, may have left of a result."""
    target = task.target
    if target is None or isinstance(target, Stream) or not paths.is_local(target):
        return
    with suppress(OSError):
        files.temporary_for(target, token(task)).unlink(missing_ok=True)
