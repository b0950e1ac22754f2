"""``bnnup video``"""

import dataclasses
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bnnup.cli.inputs import Exclude, Include, failing_as_json, find, place_results
from bnnup.cli.options import PIPE, Backend, Cluster, Memory, ModelName, Threads
from bnnup.cli.output import printable, warn, with_hint
from bnnup.cli.size import PANEL as SIZE
from bnnup.cli.size import Factor, Fit, Height, Width, read_size

if TYPE_CHECKING:
    from bnnup.upscale.upscaler import Upscaler
    from bnnup.video.batch import FilmBatch, FilmOutcome
    from bnnup.video.enlarge import FilmResult, TranscoderFactory
    from bnnup.video.naming import FilmTask
    from bnnup.video.size import FilmSize
    from bnnup.video.transcode import FilmProgress

MOMENT = 0.5  # seconds between two reports
CODECS = (
    *("x264", "x265", "av1", "vp9", "ffv1", "prores"),
    *("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv"),
    *("h264_amf", "hevc_amf"),
)


def _read_time(text: str) -> float:
    """ "90", "1:30" or "00:01:30.5", in seconds."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a time; write seconds, or 00:01:30")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def _read_rate(text: str) -> Fraction:
    """ "24", "23.976" or "24000/1001"."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"{text!r} is not a frame rate; try 24 or 24000/1001") from error
    if not 0 < rate <= 1000:
        raise typer.BadParameter("a frame rate is above 0 and at most 1000 frames a second")
    return rate.limit_denominator(1001)


def _complete_codec(beginning: str) -> list[str]:
    return [name for name in CODECS if name.startswith(beginning)]


def video(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN…", help="Films, folders of them, or numbered pictures: frames/%05d.png."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            *("-o", "--output"),
            help="File or folder to write to, or numbered pictures: frames/%05d.png; by default, "
            "beside the input.",
        ),
    ] = None,
    factor: Factor = None,
    width: Width = None,
    height: Height = None,
    fit: Fit = None,
    scale_to: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="The exact size: 1280x720; with 1280x-2, the other side follows.",
            rich_help_panel=SIZE,
        ),
    ] = None,
    model: ModelName = "auto",
    codec: Annotated[
        str | None,
        typer.Option(
            autocompletion=_complete_codec,
            help="x264, x265, av1, vp9, ffv1 or prores; by default x264 for 8 bits, x265 for more. "
            "In hardware: h264_nvenc, hevc_qsv, h264_amf and the like.",
        ),
    ] = None,
    crf: Annotated[
        float | None, typer.Option(help="Quality: lower means better, and a larger file.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The encoder's speed, or the kind of ProRes.")
    ] = None,
    pix_fmt: Annotated[
        str | None, typer.Option(help="Convert to this pixel format first, like yuv420p10le.")
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(parser=_read_time, metavar="TIME", help="Where to begin: 90, or 00:01:30."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(parser=_read_time, metavar="TIME", help="How much to take: 10, or 0:10."),
    ] = None,
    rate: Annotated[
        Fraction | None,
        typer.Option(
            parser=_read_rate,
            metavar="RATE",
            help="Frame rate of numbered pictures: 25 (default), 24000/1001 …",
        ),
    ] = None,
    start_number: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number of the first picture of a numbered output: 1 (default), or as the "
            "input's pictures are numbered.",
        ),
    ] = None,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Deinterlace: one frame from each pair of fields.")
    ] = False,
    bob: Annotated[
        bool,
        typer.Option(
            "--bob", help="Deinterlace: one frame from each field, so 25 a second become 50."
        ),
    ] = False,
    detelecine: Annotated[
        bool,
        typer.Option(
            *("--detelecine", "--ivtc"),
            help="Undo telecine: the 24 frames a second of cinema out of the 30 of television.",
        ),
    ] = False,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Audio streams to keep, by language or number: de,en or 1; or none.",
        ),
    ] = None,
    subtitles: Annotated[
        str | None, typer.Option(metavar="LIST", help="Subtitle streams to keep, likewise.")
    ] = None,
    audio_codec: Annotated[
        str | None,
        typer.Option(
            help="For audio that the container cannot hold, such as aac or opus; by default a "
            "lossless codec, if it can hold one."
        ),
    ] = None,
    drop_misfits: Annotated[
        bool,
        typer.Option("--drop-misfits", help="Leave out streams that the container cannot hold."),
    ] = False,
    probe: Annotated[
        float | None,
        typer.Option(
            parser=_read_time,
            metavar="TIME",
            help="How far into the film to look for its streams, such as 00:10:00; by default, "
            "5 seconds.",
        ),
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    memory: Memory = 400,
    threads: Threads = None,
    backend: Backend = None,
    cluster: Cluster = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite existing files and discard unfinished work.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Report progress and results as JSON lines on standard output."
        ),
    ] = False,
) -> None:
    """Enlarge films; sound, subtitles, chapters and timing stay as they are.

    After an interruption, the same command resumes where it stopped.
    """
    from bnnup.errors import MediaError, how_to_install
    from bnnup.system import paths

    try:
        from bnnup.video.batch import FilmBatch
        from bnnup.video.enlarge import Options
        from bnnup.video.read import Cut
        from bnnup.video.sequence import is_sequence
        from bnnup.video.streams import StreamChoice
    except ModuleNotFoundError as error:
        raise MediaError(f"{error}; films need {how_to_install('video')}") from error
    if PIPE in sources or output == PIPE:
        raise typer.BadParameter("films are files; 'bnnup pipe' enlarges frames between programs")
    if start_number is not None and not is_sequence(paths.to_path(output or "")):
        raise typer.BadParameter("--start-number is for numbered results: -o frames/%05d.png")
    if detelecine and (deinterlace or bob):
        raise typer.BadParameter("give one of --deinterlace, --bob and --detelecine")
    size, scale = _read_film_size(factor, width, height, fit, scale_to)
    options = Options(
        cut=Cut(start or 0.0, duration, deinterlace or bob, pix_fmt, bob, rate, detelecine, probe),
        codec=codec,
        crf=crf,
        preset=preset,
        size=size,
        drop_misfits=drop_misfits,
        streams=StreamChoice(_read_list(audio), _read_list(subtitles)),
        audio_codec=audio_codec,
        first_number=start_number,
    )
    batch = FilmBatch(
        partial(_load, model, memory=memory << 20, threads=threads, backend=backend),
        options,
        scale=scale,
        force=force,
        workers=_choose_workers(cluster, threads),
    )
    places = [_find(source, cluster) for source in sources]
    with failing_as_json(sources[0], as_json):
        tasks = _find_tasks(
            places,
            output,
            size.label,
            codec,
            cluster,
            include=include or (),
            exclude=exclude or (),
            force=force,
        )
        _enlarge(batch, tasks, as_json=as_json)


def _find(source: str, cluster: str | None) -> Path:
    from bnnup.system import paths
    from bnnup.video.sequence import is_sequence

    place = paths.to_path(source)
    return place if is_sequence(place) else cast(Path, find(source, cluster))


def _read_list(text: str | None) -> tuple[str, ...] | None:
    """ "de,en"; None for all, and nothing for "none"."""
    if text is None or text == "all":
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(",") if part.strip())


def _load(model: str, scale: int, **machine: Any) -> "Upscaler":
    from bnnup.upscale.choice import for_film
    from bnnup.upscale.upscaler import load

    return load(for_film(model, scale).model, scale=scale, **machine)


def _choose_workers(cluster: str | None, threads: int | None) -> "TranscoderFactory":
    if cluster is None:
        from bnnup.video.enlarge import in_this_process

        return in_this_process
    from bnnup.cluster.video import over_cluster

    return partial(over_cluster, cluster, threads or 1)


def _read_film_size(
    factor: float | None,
    width: int | None,
    height: int | None,
    fit: str | None,
    scale_to: str | None,
) -> "tuple[FilmSize, int | None]":
    """The size, and the network's scale if the user chose that apart from it."""
    from bnnup.model.zoo import SCALES
    from bnnup.video import size

    if scale_to is None:
        return read_size(factor, width, height, fit, None), None
    if (width, height, fit) != (None, None, None):
        raise typer.BadParameter("give one of --scale-to, --width, --height and --fit")
    if factor is not None and factor not in SCALES:
        raise typer.BadParameter("with --scale-to, -s is the network's scale: 2, 3 or 4")
    return size.read_film_size(scale_to), None if factor is None else int(factor)


def _find_tasks(
    places: Sequence[Path],
    output: str | None,
    label: str,
    codec: str | None,
    cluster: str | None,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    force: bool,
) -> "list[FilmTask]":
    """Films that were named, then those in folders."""
    from bnnup.errors import MediaError
    from bnnup.system import paths
    from bnnup.video.naming import ENDINGS, find_films, name_films

    folders = [place for place in places if paths.is_folder(place)]
    films = [place for place in places if place not in folders]
    try:
        tasks = name_films(films, output, label, codec, several=len(places) > 1, force=force)
    except ValueError as error:
        raise typer.BadParameter(f"{error} with -o") from error
    for folder in folders:
        into = place_results(folder, output, label, cluster, several=len(places) > 1)
        tasks += find_films(folder, into, codec, include=include, exclude=exclude)
    if not tasks:
        known = " ".join(sorted(ENDINGS))
        raise MediaError(f"there are no films in {folders[0]}; their names end with {known}")
    return tasks


def _enlarge(batch: "FilmBatch", tasks: "Sequence[FilmTask]", *, as_json: bool) -> None:
    """Does the tasks. Exit code 1 if one of them fails; the error of the only one is raised."""
    counts: Counter[str] = Counter()
    for task in tasks:
        with (
            _telling_what_is_kept(task),
            _reporting(task.source, as_json=as_json) as report,
        ):
            outcome = batch.enlarge(task, report, partial(_warn_early, task, as_json=as_json))
        if len(tasks) == 1 and outcome.error is not None:
            raise outcome.error
        counts[outcome.status] += 1
        _print_outcome(outcome, as_json=as_json)
    if len(tasks) > 1:
        typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


def _warn_early(task: "FilmTask", warnings: list[str], *, as_json: bool) -> None:
    """Before hours of work, which may be in vain."""
    if as_json and warnings:
        typer.echo(json.dumps({"input": str(task.source), "warnings": warnings}))
    elif not as_json:
        for warning in warnings:
            warn(warning)


@contextmanager
def _telling_what_is_kept(task: "FilmTask") -> Iterator[None]:
    from bnnup.video.segments import unfinished

    try:
        yield
    except KeyboardInterrupt:
        if (kept := unfinished(task.target)).exists():
            typer.echo(printable(f"the same command goes on from {kept}"), err=True)
        raise


def _print_outcome(outcome: "FilmOutcome", *, as_json: bool) -> None:
    task, result, error = outcome.task, outcome.result, outcome.error
    line: dict[str, object] = {"input": str(task.source), "status": outcome.status}
    if error is not None:
        line["error"] = with_hint(str(error), error.hint)
        warn(f"{task.source}: {line['error']}", "error")
    elif result is None:
        line["output"] = str(task.target)
        warn(f"{task.target} exists, so {task.source} was skipped; --force makes it again", "note")
    else:
        line |= dataclasses.asdict(result) | {"progress": _numbers(result.progress)}
        if not as_json:
            _print_result(result)
    if as_json:
        typer.echo(json.dumps(line))


@contextmanager
def _reporting(film: Path, *, as_json: bool) -> Iterator[Callable[["FilmProgress"], None]]:
    """What to call with the progress: a JSON line or a bar now and then, or nothing."""
    if not as_json and not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape

    said = time.monotonic()
    with Live(console=Console(stderr=True, quiet=as_json), transient=True) as live:

        def report(progress: "FilmProgress") -> None:
            nonlocal said
            if time.monotonic() - said < MOMENT:
                return
            said = time.monotonic()
            if as_json:
                typer.echo(json.dumps({"input": str(film)} | _numbers(progress)))
            else:
                live.update(f"{escape(printable(film.name))}  {_words(progress)}")

        yield report


def _numbers(progress: "FilmProgress") -> dict[str, object]:
    numbers = dataclasses.asdict(progress) | {"rate": progress.rate, "left": progress.left}
    return {key: round(n, 4) if isinstance(n, float) else n for key, n in numbers.items()}


def _words(progress: "FilmProgress") -> str:
    left = "" if progress.left is None else f", {progress.left:.0f} s left"
    return (
        f"{progress.frames}/{progress.total} frames, {progress.rate:.1f} a second{left}, "
        f"{progress.bytes / 1e6:.1f} MB"
        + (f", {progress.workers} workers" if progress.workers > 1 else "")
    )


def _print_result(result: "FilmResult") -> None:
    progress = result.progress
    for warning in result.warnings:
        warn(warning)
    resumed = f", {progress.resumed} of them by an earlier run" if progress.resumed else ""
    available = max(progress.seconds * progress.workers, 1e-9)
    busy = ", ".join(
        f"{stage} {seconds / available:.0%}" for stage, seconds in progress.busy.items()
    )
    crew = f" by {progress.workers} workers" if progress.workers > 1 else ""
    typer.echo(
        f"{printable(result.output)}: {result.width}×{result.height}, "
        f"{progress.frames} frames{resumed}, "
        f"{progress.bytes / 1e6:.1f} MB\n"
        f"{progress.rate:.1f} frames a second{crew}; busy: {busy} "
        f"({result.backend}, {result.codec}); {progress.reused:.0%} of the pixels unchanged "
        "and reused",
        err=True,
    )
