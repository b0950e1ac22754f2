"""``bnnup upscale``"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bnnup.cli.inputs import PANEL as FOLDERS
from bnnup.cli.inputs import Exclude, Include, failing_as_json, find, place_results
from bnnup.cli.options import PIPE, Backend, Cluster, ModelName
from bnnup.cli.output import printable, warn, with_hint
from bnnup.cli.size import Factor, Fit, Height, Megapixels, Width, read_size

if TYPE_CHECKING:
    from bnnup.folders.batch import Runner
    from bnnup.folders.enlarger import PictureProgress
    from bnnup.folders.settings import Machine, Settings
    from bnnup.folders.tasks import Stream, Task
    from bnnup.folders.work import Work
    from bnnup.upscale.size import Size

FORMAT, MACHINE = "Files", "Time and memory"
FAILED = 100  # failures that are listed once more at the end

OpenRunner = Callable[..., AbstractContextManager["Runner"]]


def upscale(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN…",
            help="Pictures or folders, local or remote (s3://…); - is standard input.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="File or folder to write to; by default, beside the input."
        ),
    ] = None,
    factor: Factor = None,
    width: Width = None,
    height: Height = None,
    fit: Fit = None,
    megapixels: Megapixels = None,
    model: ModelName = "auto",
    alpha: Annotated[
        Literal["network", "bicubic"], typer.Option(help="How transparency is enlarged.")
    ] = "network",
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help="Output format: jpg, png, webp, tif …", rich_help_panel=FORMAT
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Quality of JPEG, WebP, AVIF, HEIC and JPEG XL.",
            rich_help_panel=FORMAT,
        ),
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Lossless WebP or JPEG XL.", rich_help_panel=FORMAT)
    ] = False,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip",
            help="Leave out all metadata: EXIF, XMP, colour profile, DPI …",
            rich_help_panel=FORMAT,
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR",
            help="Colour behind what is transparent, in formats without alpha: white, #204060 …",
            rich_help_panel=FORMAT,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite existing files.", rich_help_panel=FORMAT)
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what would be done.", rich_help_panel=FOLDERS),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of a tile in input pixels; by default, as large as --memory allows.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    memory: Annotated[
        int,
        typer.Option(
            min=1,
            help="Working memory in megabytes, in addition to the pictures.",
            rich_help_panel=MACHINE,
        ),
    ] = 400,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            envvar="BNNUP_THREADS",
            help="Number of threads; by default, one per core.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    max_megapixels: Annotated[
        float,
        typer.Option(
            min=0.001, help="Refuse inputs that claim to be larger.", rich_help_panel=MACHINE
        ),
    ] = 250,
    backend: Backend = None,
    cluster: Cluster = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Report as JSON on standard output, one line per picture."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Describe the network and what it cost.")
    ] = False,
) -> None:
    """Enlarge pictures, or every picture in a folder.

    After an interruption, the same command resumes a folder where it stopped.
    """
    if as_json and (output == PIPE or (PIPE in sources and output is None)):
        raise typer.BadParameter("the picture and --json cannot both go to standard output")
    from bnnup.folders.settings import Machine, Settings
    from bnnup.folders.tasks import Stream, find_tasks
    from bnnup.pictures import formats
    from bnnup.system import paths

    places = [find(source, cluster) for source in sources]
    size = read_size(factor, width, height, fit, megapixels)
    _warn_of_passes(size)
    machine = Machine(
        tile=tile,
        memory=memory << 20,
        threads=threads,
        megapixels=max_megapixels,
        backend=backend,
    )
    folders: list[Path] = []
    pictures: list[Path | Stream] = []
    for place in places:
        if isinstance(place, Stream) or not paths.is_folder(place):
            pictures.append(place)
        else:
            folders.append(place)
    failed = False
    with failing_as_json(sources[0], as_json):
        settings = Settings(
            size=size,
            model=model,
            alpha=alpha,
            format=None if format_name is None else formats.format_named(format_name),
            quality=quality,
            lossless=lossless,
            strip=strip,
            background=None if background is None else _read_color(background),
        )
        open_runner = partial(_open_runner, settings, machine, None if dry_run else cluster)
        if pictures:
            tasks = _name_tasks(pictures, output, settings, force)
            failed = _upscale_pictures(open_runner, tasks, dry_run, as_json, verbose)
        for place in folders:
            into = place_results(place, output, size.label, cluster, several=len(places) > 1)
            tasks_below = partial(
                find_tasks,
                place,
                into,
                include=include or (),
                exclude=exclude or (),
                format_name=settings.format,
            )
            over = partial(open_runner, source=place, target=into)
            failed |= _upscale_folder(over, tasks_below, place, into, force, dry_run, as_json)
    if failed:
        raise typer.Exit(1)


def _name_tasks(
    pictures: "Sequence[Path | Stream]", output: str | None, settings: "Settings", force: bool
) -> "list[Task]":
    from bnnup.folders.named import name_tasks
    from bnnup.folders.tasks import Stream

    piped = output == PIPE or (output is None and isinstance(pictures[0], Stream))
    target = Stream(sys.stdout.buffer, "standard output") if piped else output
    try:
        return name_tasks(pictures, target, settings, force=force)
    except ValueError as error:
        raise typer.BadParameter(f"{error} with -o") from error


@contextmanager
def _open_runner(
    settings: "Settings",
    machine: "Machine",
    cluster: str | None,
    source: Path | None = None,
    target: Path | None = None,
    *,
    progress: "PictureProgress",
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


def _read_color(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a colour; try white or #204060") from error
    return red, green, blue


def _warn_of_passes(size: "Size") -> None:
    from bnnup.upscale.size import plan_passes

    passes = 1 if size.factor is None else len(plan_passes(size.factor))
    if passes > 1:
        warn(
            f"×{size.factor:g} takes {passes} passes: from the second on, the network "
            "enlarges its own guesses; the result will look smooth, and errors grow with it"
        )


def _upscale_pictures(
    open_runner: OpenRunner, tasks: "Sequence[Task]", dry_run: bool, as_json: bool, verbose: bool
) -> bool:
    """Whether one of them failed; the error of the only one is raised."""
    from bnnup.cli.progress import progress_bar
    from bnnup.errors import BnnupError, MediaError

    failed = False
    label = tasks[0].source.name if len(tasks) == 1 else "pictures"
    with (
        progress_bar(label, quiet=as_json) as show,
        open_runner(progress=lambda name, done, total: show(done, total)) as runner,
    ):
        works = list(runner.run(tasks, only_plan=dry_run))
    for work in works:
        for note in work.notes:
            warn(f"{work.task.name}: {note}", "note")
        if len(works) == 1 and isinstance(work.cause, BnnupError):
            raise work.cause
        if len(works) == 1 and work.status == "failed":
            raise MediaError(work.error) from work.cause
        if work.status == "failed":
            failed = True
            warn(_to_line(work), "error")
        elif not as_json:
            typer.echo(printable(_to_line(work)), err=True)
        if work.report is not None and verbose:
            typer.echo(work.report.to_text(), err=True)
        if as_json:
            typer.echo(json.dumps(_to_dict(work)))
    return failed


def _upscale_folder(
    open_runner: OpenRunner,
    tasks_below: Callable[..., Iterator["Task"]],
    source: Path,
    output: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> bool:
    """Whether one of its pictures failed."""
    from bnnup.cli.progress import counting, watch_pictures
    from bnnup.errors import MediaError
    from bnnup.folders import ledger
    from bnnup.pictures.formats import endings
    from bnnup.system import paths

    counts: Counter[str] = Counter()
    failed: list[str] = []
    with watch_pictures(quiet=as_json, say=lambda text: warn(text, "error")) as watcher:

        def tell(workers: int) -> None:
            watcher.alive(workers)
            if as_json:
                typer.echo(json.dumps({"progress": watcher.to_dict()}))

        with open_runner(progress=watcher.within, waiting=tell) as runner:
            if not dry_run:
                runner.prepare()  # before anything is touched
            with ledger.open_ledger(output, read_only=dry_run) as record:
                is_result = record.has_made if paths.is_below(source, output) else None
                tasks = partial(tasks_below, is_result=is_result)
                with counting(watcher, tasks):
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
                            typer.echo(printable(line))
    if not counts and any(True for _ in paths.entries(source)):
        known = " ".join(sorted(endings()))
        raise MediaError(f"there are no pictures in {source}; their names end with {known}")
    _summarize(output, counts, failed)
    return bool(failed)


def _summarize(output: Path, counts: Counter[str], failed: list[str]) -> None:
    statuses = ("done", "planned", "skipped", "failed")
    summary = ", ".join(f"{counts[status]} {status}" for status in statuses if counts[status])
    typer.echo(printable(f"{output}: {summary or 'no pictures found'}"), err=True)
    for line in failed:
        typer.secho(f"  {printable(line)}", fg="red", err=True)
    if counts["failed"] > len(failed):
        typer.secho(
            f"  and {counts['failed'] - len(failed)} more, listed above", fg="red", err=True
        )


def _to_line(work: "Work") -> str:
    """What became of a picture, or will."""
    task = work.task
    if work.status == "failed":
        error = with_hint(work.error, work.hint)
        return error if task.name in error else f"{task.name}: {error}"
    if work.status == "skipped":
        return f"{task.name}: finished before"
    size = f"{work.size[0]}×{work.size[1]}"
    if work.status == "done":
        length = f", {_in_bytes(work.bytes)}" if work.bytes else ""
        chosen = f", by {work.choice.model} ({work.choice.reason})" if work.choice.reason else ""
        return f"{task.result_name}: {size}{length}, in {work.seconds:.1f} s{chosen}"
    memory = f"about {work.memory / 1e6:.0f} MB of memory"
    return f"{task.name} -> {task.result_name} {size}, {memory}"


def _in_bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


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
