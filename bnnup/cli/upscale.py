"""``bnnup upscale``"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bnnup.cli.options import PIPE, Backend, Cluster, ModelName
from bnnup.cli.output import warn, with_hint

if TYPE_CHECKING:
    from bnnup.folders.batch import Runner
    from bnnup.folders.enlarger import Progress
    from bnnup.folders.settings import Machine, Settings
    from bnnup.folders.tasks import Task
    from bnnup.folders.work import Work
    from bnnup.upscale.size import Size

SIZE, FORMAT, FOLDER, MACHINE = "Size of the result", "Files", "Folders", "Time and memory"
FAILED = 100  # failures that are listed once more at the end

Opened = Callable[..., AbstractContextManager["Runner"]]


def upscale(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A picture, a folder of them, or - (standard input), also s3://…"
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="Where to write; beside the input if not given."),
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option("-s", "--scale", help="How many times larger: 2 (default), 3, 4, 2.5 …"),
    ] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels.", rich_help_panel=SIZE)] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels.", rich_help_panel=SIZE)] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Largest that fits into a box.", rich_help_panel=SIZE),
    ] = None,
    megapixels: Annotated[
        float | None, typer.Option(help="Millions of pixels.", rich_help_panel=SIZE)
    ] = None,
    model: ModelName = "auto",
    alpha: Annotated[
        Literal["network", "bicubic"], typer.Option(help="What enlarges transparency.")
    ] = "network",
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="jpg, png, webp, tif, …", rich_help_panel=FORMAT),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.", rich_help_panel=FORMAT),
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="WebP without loss.", rich_help_panel=FORMAT)
    ] = False,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip", help="Leave out EXIF, XMP, profile and DPI.", rich_help_panel=FORMAT
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR",
            help="Behind what is transparent, in formats without transparency: white, #204060 …",
            rich_help_panel=FORMAT,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files.", rich_help_panel=FORMAT)
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help='Only such as "*.jpg".', rich_help_panel=FOLDER),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help='All but such as "raw/*".', rich_help_panel=FOLDER),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done.", rich_help_panel=FOLDER),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Input pixels a tile, each way; by default what --memory allows.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    memory: Annotated[
        int,
        typer.Option(
            min=1, help="Megabytes to work in, beside the pictures.", rich_help_panel=MACHINE
        ),
    ] = 400,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            envvar="BNNUP_THREADS",
            help="By default as many as there are cores.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    max_megapixels: Annotated[
        float,
        typer.Option(
            min=0.001, help="Inputs that claim to be larger are refused.", rich_help_panel=MACHINE
        ),
    ] = 250,
    backend: Backend = None,
    cluster: Cluster = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Report as JSON on standard output, a line a picture.")
    ] = False,
) -> None:
    """Enlarge a picture, or all pictures in a folder.

    The same command goes on where an earlier one over a folder was interrupted.
    """
    if as_json and (output == PIPE or (source == PIPE and output is None)):
        raise typer.BadParameter("the picture and --json cannot both go to standard output")
    from bnnup.folders.naming import place_results
    from bnnup.folders.settings import Machine, Settings
    from bnnup.folders.tasks import find_tasks
    from bnnup.pictures import formats
    from bnnup.system import paths

    place = None if source == PIPE else paths.to_path(source)
    if place is not None and not paths.exists(place):
        raise typer.BadParameter(f"there is no {source}")
    if place is not None and cluster is not None:
        place = paths.to_path(paths.absolute(place))  # workers are in folders of their own
    settings = Settings(
        size=_read_size(factor, width, height, fit, megapixels),
        model=model,
        alpha=alpha,
        format=None if format_name is None else formats.format_named(format_name),
        quality=quality,
        lossless=lossless,
        strip=strip,
        background=None if background is None else _read_color(background),
    )
    machine = Machine(
        tile=tile,
        memory=memory << 20,
        threads=threads,
        megapixels=max_megapixels,
        backend=backend,
    )
    opened = partial(_opened_runner, settings, machine, None if dry_run else cluster)
    if place is None or not paths.is_folder(place):
        task = _task(place, output, settings, force)
        _upscale_picture(opened, task, dry_run, as_json)
        return
    if output == PIPE:
        raise typer.BadParameter("a folder of pictures cannot go to standard output")
    into = place_results(place, settings) if output is None else paths.to_path(output)
    if cluster is not None:
        into = paths.to_path(paths.absolute(into))
    find = partial(
        find_tasks,
        place,
        into,
        include=include or (),
        exclude=exclude or (),
        format_name=settings.format,
    )
    opened = partial(opened, source=place, target=into)
    _upscale_folder(opened, find, into, force, dry_run, as_json)


@contextmanager
def _opened_runner(
    settings: "Settings",
    machine: "Machine",
    cluster: str | None,
    source: Path | None = None,
    target: Path | None = None,
    *,
    progress: "Progress",
    waiting: Callable[[int], None] = lambda workers: None,
) -> Iterator["Runner"]:
    if cluster is None:
        from bnnup.folders.batch import Batch

        yield Batch.of(settings, machine, progress)
        return
    from bnnup.cluster.pictures import over_cluster

    with over_cluster(
        cluster,
        settings,
        machine,
        source=source,
        target=target,
        progress=progress,
        waiting=waiting,
    ) as runner:
        yield runner


def _task(place: Path | None, output: str | None, settings: "Settings", force: bool) -> "Task":
    """A single picture, or what stands for one at a pipe."""
    from bnnup.folders.naming import check_result, place_result
    from bnnup.folders.tasks import Stream, Task
    from bnnup.system import paths

    source = Stream(sys.stdin.buffer, "standard input") if place is None else place
    if output == PIPE or (output is None and place is None):
        return Task(source, Stream(sys.stdout.buffer, "standard output"))
    named = None if output is None else paths.to_path(output)
    if place is not None:
        return Task(source, place_result(place, settings, named, force=force))
    assert named is not None
    check_result(named, settings, force=force)
    return Task(source, named)


def _read_color(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no colour; try white, or #204060") from error
    return red, green, blue


def _read_size(
    factor: float | None,
    width: int | None,
    height: int | None,
    fit: str | None,
    megapixels: float | None,
) -> "Size":
    from bnnup.upscale.size import Size, plan_passes, read_box

    if (factor, width, height, fit, megapixels) == (None,) * 5:
        factor = 2
    try:
        size = Size(factor, width, height, None if fit is None else read_box(fit), megapixels)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if factor is not None and len(plan_passes(factor)) > 1:
        warn(
            f"×{factor:g} takes {len(plan_passes(factor))} passes: from the second on, networks "
            "enlarge what the first made up; it will look smooth, and its errors grow with it"
        )
    return size


def _upscale_picture(opened: Opened, task: "Task", dry_run: bool, as_json: bool) -> None:
    from bnnup.cli.progress import progress_bar
    from bnnup.errors import BnnupError, MediaError

    with (
        progress_bar(task.source.name, quiet=as_json) as show,
        opened(progress=lambda name, done, total: show(done, total)) as runner,
    ):
        (work,) = runner.run([task], only_plan=dry_run)
    for note in work.notes:
        warn(f"{task.name}: {note}", "note")
    if isinstance(work.cause, BnnupError):
        raise work.cause
    if work.status == "failed":
        raise MediaError(work.error) from work.cause
    if as_json:
        report = _to_dict(work) if work.report is None else work.report.to_dict()
        typer.echo(json.dumps(report))
    else:
        typer.echo(_to_line(work) if work.report is None else work.report.to_text(), err=True)


def _upscale_folder(
    opened: Opened,
    tasks: Callable[[], Iterator["Task"]],
    output: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from bnnup.cli.progress import counting, watch_pictures
    from bnnup.folders import ledger

    counts: Counter[str] = Counter()
    failed: list[str] = []
    with watch_pictures(quiet=as_json, say=lambda text: warn(text, "error")) as watcher:

        def tell(workers: int) -> None:
            watcher.alive(workers)
            if as_json:
                typer.echo(json.dumps({"progress": watcher.to_dict()}))

        with opened(progress=watcher.within, waiting=tell) as runner:
            if not dry_run:
                runner.prepare()  # before anything is touched
            with ledger.opened(output, read_only=dry_run) as record, counting(watcher, tasks):
                for work in runner.run(tasks(), record, force=force, only_plan=dry_run):
                    counts[work.status] += 1
                    line = _to_line(work)
                    if work.status == "failed" and len(failed) < FAILED:
                        failed.append(line)
                    area = work.size[0] * work.size[1] / 1e6 if work.status == "done" else 0
                    watcher.finished(area, line if work.status == "failed" else "")
                    for note in work.notes:
                        warn(f"{work.task.name}: {note}", "note")
                    if as_json:
                        typer.echo(json.dumps(_to_dict(work)))
                    elif dry_run:
                        typer.echo(line)
    _summarize(output, counts, failed)


def _summarize(output: Path, counts: Counter[str], failed: list[str]) -> None:
    statuses = ("done", "planned", "skipped", "failed")
    summary = ", ".join(f"{counts[status]} {status}" for status in statuses if counts[status])
    typer.echo(f"{output}: {summary or 'no pictures found'}", err=True)
    for line in failed:
        typer.secho(f"  {line}", fg="red", err=True)
    if counts["failed"] > len(failed):
        typer.secho(
            f"  and {counts['failed'] - len(failed)} more, as told above", fg="red", err=True
        )
    if failed:
        raise typer.Exit(1)


def _to_line(work: "Work") -> str:
    """What became of a picture, or will."""
    task = work.task
    if work.status == "failed":
        error = with_hint(work.error, work.hint)
        return error if task.name in error else f"{task.name}: {error}"
    if work.status == "skipped":
        return f"{task.name}: finished before"
    size = f"{work.size[0]}×{work.size[1]}, about {work.memory / 1e6:.0f} MB of memory"
    return f"{task.name} -> {task.result_name} {size}"


def _to_dict(work: "Work") -> dict[str, Any]:
    task = work.task
    line: dict[str, Any] = {"input": task.name, "status": work.status}
    line["output"] = str(task.target) if task.has_file else None
    if work.error:
        line["error"] = with_hint(work.error, work.hint)
    if work.notes:
        line["notes"] = list(work.notes)
    if work.status == "planned":
        line |= {"width": work.size[0], "height": work.size[1], "memory_bytes": work.memory}
    return line if work.report is None else line | work.report.to_dict()
