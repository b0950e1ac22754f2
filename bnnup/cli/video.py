"""``bnnup video``"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bnnup.cli.options import Backend, Cluster, Memory, ModelName, Threads

if TYPE_CHECKING:
    from bnnup.video.enlarge import Result, Workers
    from bnnup.video.transcode import Progress

MOMENT = 0.5  # seconds between two reports


def video(
    source: Annotated[str, typer.Argument(metavar="IN", help="The film.")],
    output: Annotated[str, typer.Option("-o", "--output", help="Where to write it.")],
    scale: Annotated[
        int | None,
        typer.Option(
            "-s", "--scale", min=2, max=4, help="2, 3 or 4; by default 2, or what --scale-to needs."
        ),
    ] = None,
    scale_to: Annotated[
        str | None, typer.Option(metavar="WxH", help="Exact size of the output's pictures.")
    ] = None,
    model: ModelName = "auto",
    codec: Annotated[
        str | None,
        typer.Option(help="x264, x265, av1, vp9 or ffv1; x264 for 8 bits, x265 for more."),
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Quality: less is better and larger.")] = None,
    preset: Annotated[str | None, typer.Option(help="The encoder's speed.")] = None,
    pix_fmt: Annotated[
        str | None, typer.Option(help="Convert to this pixel format first, like yuv420p10le.")
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Seconds to leave out.")] = 0.0,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds to take.")] = None,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Deinterlace the film.")
    ] = False,
    drop_misfits: Annotated[
        bool, typer.Option("--drop-misfits", help="Leave out what the container cannot hold.")
    ] = False,
    memory: Memory = 400,
    threads: Threads = None,
    backend: Backend = None,
    cluster: Cluster = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing file, discard unfinished work.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and report as JSON lines on standard output.")
    ] = False,
) -> None:
    """Enlarge a film; sound, subtitles, chapters and timing stay as they are.

    The same command goes on where an earlier run was interrupted.
    """
    from bnnup.errors import MediaError, how_to_install
    from bnnup.system import paths
    from bnnup.upscale.choice import for_film
    from bnnup.upscale.upscaler import load

    try:
        from bnnup.video.enlarge import (
            Options,
            check_target,
            choose_scale,
            enlarge_video,
            in_this_process,
            read_size,
        )
        from bnnup.video.read import Cut
        from bnnup.video.segments import unfinished
    except ModuleNotFoundError as error:
        raise MediaError(f"{error}; films need {how_to_install('video')}") from error
    film, target = paths.to_path(source), paths.to_path(output)
    if not paths.exists(film) or paths.is_folder(film):
        raise typer.BadParameter(f"there is no film {source}")
    check_target(film, target, force=force)
    size = None if scale_to is None else read_size(scale_to)
    options = Options(
        cut=Cut(start, duration, deinterlace, pix_fmt),
        codec=codec,
        crf=crf,
        preset=preset,
        size=size,
        drop_misfits=drop_misfits,
    )
    scale = scale or choose_scale(film, options)
    choice = for_film(model, scale)
    upscaler = load(
        choice.model, scale=scale, memory=memory << 20, threads=threads, backend=backend
    )
    workers: Workers = in_this_process
    if cluster is not None:
        from bnnup.cluster.video import over_cluster

        workers = partial(over_cluster, cluster, threads or 1)
    try:
        with _reporting(film.name, as_json=as_json) as report:
            result = enlarge_video(
                upscaler,
                film,
                target,
                options,
                report,
                discard=force,
                workers=workers,
            )
    except KeyboardInterrupt:
        if (kept := unfinished(target)).exists():
            typer.echo(f"the same command goes on from {kept}", err=True)
        raise
    _print_result(result, as_json=as_json)


@contextmanager
def _reporting(name: str, *, as_json: bool) -> Iterator[Callable[["Progress"], None]]:
    """What to call with the progress: a JSON line or a bar now and then, or nothing."""
    if not as_json and not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.markup import escape

    said = time.monotonic()
    with Live(console=Console(stderr=True, quiet=as_json), transient=True) as live:

        def report(progress: "Progress") -> None:
            nonlocal said
            if time.monotonic() - said < MOMENT:
                return
            said = time.monotonic()
            if as_json:
                typer.echo(json.dumps(_numbers(progress)))
            else:
                live.update(f"{escape(name)}  {_words(progress)}")

        yield report


def _numbers(progress: "Progress") -> dict[str, object]:
    numbers = dataclasses.asdict(progress) | {"rate": progress.rate, "left": progress.left}
    return {key: round(n, 4) if isinstance(n, float) else n for key, n in numbers.items()}


def _words(progress: "Progress") -> str:
    left = "" if progress.left is None else f", {progress.left:.0f} s left"
    return (
        f"{progress.frames}/{progress.total} frames, {progress.rate:.1f} a second{left}, "
        f"{progress.bytes / 1e6:.1f} MB"
        + (f", {progress.workers} workers" if progress.workers > 1 else "")
    )


def _print_result(result: "Result", *, as_json: bool) -> None:
    progress = result.progress
    if as_json:
        document = dataclasses.asdict(result) | {"progress": _numbers(progress)}
        typer.echo(json.dumps(document))
        return
    for warning in result.warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    resumed = f", {progress.resumed} of them by an earlier run" if progress.resumed else ""
    available = max(progress.seconds * progress.workers, 1e-9)
    busy = ", ".join(
        f"{stage} {seconds / available:.0%}" for stage, seconds in progress.busy.items()
    )
    crew = f" by {progress.workers} workers" if progress.workers > 1 else ""
    typer.echo(
        f"{result.output}: {result.width}×{result.height}, {progress.frames} frames{resumed}, "
        f"{progress.bytes / 1e6:.1f} MB\n"
        f"{progress.rate:.1f} frames a second{crew}; busy: {busy} "
        f"({result.backend}, {result.codec}); {progress.reused:.0%} of the pixels unchanged "
        "and reused",
        err=True,
    )
