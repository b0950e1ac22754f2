"""Films over a cluster: each of its workers makes one segment at a time."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

import av

from bnnup.backends.choose import choose_backend
from bnnup.cluster.pictures import check_shared, check_visible
from bnnup.cluster.workers import Workers, connected
from bnnup.errors import ClusterError, MediaError, StoppedError
from bnnup.model.file import Model
from bnnup.system import paths
from bnnup.upscale.upscaler import Upscaler
from bnnup.video.encoding import FilmEncoding
from bnnup.video.film import Film
from bnnup.video.read import Cut
from bnnup.video.segments import WorkFolder
from bnnup.video.sequence import identity, is_sequence
from bnnup.video.spans import Span
from bnnup.video.transcode import FilmProgress, Transcoder


@dataclass(frozen=True)
class Job:
    """All that a worker has to know; ``size`` is the film's in bytes, ``libav`` this machine's."""

    model: Model
    threads: int
    memory: int
    film: Film
    size: int
    encoding: FilmEncoding
    cut: Cut
    folder: Path
    libav: str = av.__version__


@contextmanager
def over_cluster(
    address: str,
    threads: int,
    upscaler: Upscaler,
    film: Film,
    encoding: FilmEncoding,
    cut: Cut,
    folder: WorkFolder,
    progress: Callable[[FilmProgress], None],
) -> Iterator["ClusterWork"]:
    """Like ``Transcoder``, on the cluster at ``address``, by workers of ``threads`` cores each."""
    for place in film.path, folder.path:
        check_shared(place)
    job = Job(
        model=upscaler.model,
        threads=threads,
        memory=upscaler.memory,
        film=replace(film, path=paths.to_path(paths.absolute(film.path))),
        size=identity(film.path)[0],
        encoding=encoding,
        cut=cut,
        folder=paths.to_path(paths.absolute(folder.path)),
    )
    make = partial(FilmWorker, job)
    with connected(address), Workers[Span, FilmProgress](make, threads=threads) as workers:
        yield ClusterWork(workers, film, folder, progress)


class FilmWorker:
    """Makes segments on one of the cluster's machines."""

    def __init__(self, job: Job) -> None:
        here, path = socket.gethostname(), job.film.path
        check_visible(str(path.parent), "" if is_sequence(path) else path.name)
        check_visible(str(job.folder), WorkFolder.DESCRIPTION)
        if identity(path)[0] != job.size:
            raise ClusterError(f"on {here}, {path} is another file: mount the same one there")
        if av.__version__ != job.libav:
            raise ClusterError(
                f"the worker on {here} has PyAV {av.__version__}, which may encode differently: "
                f"pip install av=={job.libav}"
            )
        # The file system of another machine has numbers of its own.
        self._job = replace(job, film=replace(job.film, identity=identity(path)))
        backend = choose_backend(job.model, job.threads)
        self._upscaler = Upscaler(job.model, backend=backend, memory=job.memory)
        self._stopped = Event()

    def __call__(self, span: Span) -> FilmProgress:
        job, folder = self._job, WorkFolder(self._job.folder)
        work = Transcoder(self._upscaler, job.film, job.encoding, job.cut, folder, self._go_on)
        work.run([span], span.seek)
        return work.state

    def stop(self) -> None:
        """Gives up the segment that is being made."""
        self._stopped.set()

    def _go_on(self, _: FilmProgress) -> None:
        if self._stopped.is_set():
            raise StoppedError


class ClusterWork:
    """The enlarging and encoding of one film by the workers of a cluster."""

    def __init__(
        self,
        workers: Workers[Span, FilmProgress],
        film: Film,
        folder: WorkFolder,
        progress: Callable[[FilmProgress], None],
    ) -> None:
        self.state = FilmProgress.of(film, folder)
        self._workers = workers
        self._film = film
        self._folder = folder
        self._progress = progress
        self._busy: Counter[str] = Counter()
        self._reused = 0.0  # frames
        self._began = time.perf_counter()

    def run(self, spans: Iterable[Span]) -> None:
        """Makes the segments of spans. MediaError tells of the first that cannot be made."""
        for outcome in self._workers.run(spans, waiting=self._tell):
            span, made = outcome.unit, outcome.result
            if made is None:
                begin = float((span.begin or 0) * self._film.time_base)
                raise MediaError(
                    f"the segment that begins at {begin:.2f} s failed: {outcome.error}; "
                    f"what is done is kept in {self._folder.path}"
                )
            try:
                self._folder.finish(span.number)
            except FileNotFoundError as error:
                raise ClusterError(
                    f"what workers write to {self._folder.path} is not seen here: mount the same "
                    "folder on all machines"
                ) from error
            self._busy.update(made.busy)
            self._reused += made.reused * made.frames
            self._tell()

    def _tell(self) -> None:
        state = self.state
        state.frames, state.bytes = self._folder.frames, self._folder.size
        state.total = max(state.total, state.frames)
        state.seconds = time.perf_counter() - self._began
        state.reused = self._reused / max(state.frames - state.resumed, 1)
        state.busy = dict(self._busy)
        state.workers = self._workers.alive or state.workers
        self._progress(state)
