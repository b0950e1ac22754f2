"""Which files are films, and what their results are called."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

from bnnup.errors import MediaError
from bnnup.folders.named import folder_named, name_result
from bnnup.folders.naming import name_apart
from bnnup.folders.tasks import walk
from bnnup.pictures import formats
from bnnup.system import paths
from bnnup.system.files import check_writable
from bnnup.video.codecs import CODECS, codec_named, picture_codec
from bnnup.video.sequence import is_sequence, plain_name
from bnnup.video.stills import check_stills

ENDINGS = {
    *(".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mts", ".ts", ".webm"),
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc"),
    *(".ivf", ".m2t", ".m2v", ".mpeg", ".mpg", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm"),
    *(".rmvb", ".vob", ".wmv", ".y4m"),
}


@dataclass(frozen=True)
class FilmTask:
    """A film to enlarge, and where to. ``problem``, if any, is why nothing can come of it."""

    source: Path
    target: Path
    problem: str = ""


def film_ending(name: str, codec: str | None) -> str:
    """The ending of a film's result: its own if the codec is at home there.

    Pictures, animated or numbered, become MP4, which is shown wherever they are.
    """
    own = PurePosixPath(name).suffix
    own = ".mp4" if own.lower() in formats.endings() else own
    by_default = CODECS["vp9" if own.lower() == ".webm" else "x264"]
    containers = (by_default if codec is None else codec_named(codec)).containers
    return own if own.lower() in containers else containers[0]


def name_films(
    sources: Sequence[Path],
    output: str | None,
    label: str,
    codec: str | None = None,
    *,
    several: bool = False,
    force: bool = False,
) -> list[FilmTask]:
    """A task for each film.

    ``output`` is a file, or a folder if it is one or ends with a slash: there, results
    have the names of their inputs. Without it they lie beside them, with the label. With
    ``several`` inputs, what exists is no error: it is what an earlier run has done.
    ValueError for what cannot be meant, MediaError for what cannot be written.
    """
    folder = folder_named(output) if sources else None
    if several and sources and output is not None and folder is None:
        raise ValueError(f"{output} is not a folder, which several films need: give one")
    tasks: list[FilmTask] = []
    for source in sources:
        if output is not None and folder is None:
            target = paths.to_path(output)
            if is_sequence(target):
                picture_codec(target.suffix.lower(), codec)
        else:
            named = plain_name(source) if is_sequence(source) else source
            target = name_result(named, folder, label, film_ending(source.name, codec))
        check_target(source, target, force=force or several)
        if target in [task.target for task in tasks]:
            raise MediaError(f"two results would be {target}; give them folders of their own")
        tasks.append(FilmTask(source, target))
    return tasks


def find_films(
    folder: Path,
    target: Path,
    codec: str | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Iterator[FilmTask]:
    """The films below ``folder``, and their places below ``target``, as ``walk`` finds them."""

    def rename(name: str) -> str:
        return str(PurePosixPath(name).with_suffix(film_ending(name, codec)))

    name_results = partial(name_apart, rename=rename)
    for task in walk(folder, target, ENDINGS, name_results, include=include, exclude=exclude):
        source = cast(Path, task.source)
        yield FilmTask(source, cast(Path, task.target or source), task.problem)


def check_target(source: Path, target: Path, *, force: bool) -> None:
    """MediaError if ``target`` must not or cannot be written, before any work is done."""
    if is_sequence(target):
        check_stills(source, target, force=force)
        return
    if paths.exists(target) and paths.absolute(target) == paths.absolute(source):
        raise MediaError("output and input are the same file", hint="output")
    check_writable(target, force=force)
