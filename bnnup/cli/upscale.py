"""``bnnup upscale``"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from bnnup.folders.batch import Batch
    from bnnup.folders.settings import Machine, Settings
    from bnnup.folders.tasks import Task
    from bnnup.folders.work import Work
    from bnnup.upscale.size import Size

Scale = Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="2, 3 or 4.")]
ModelName = Annotated[
    str,
    typer.Option(
        "-m", "--model", help="A model's name, a .safetensors file, or owner/repo on the Hub."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Work on a Ray cluster: its address, auto (find it) or local."
    ),
]
SIZE, FORMAT, FOLDER, MACHINE = "Size of the result", "Files", "Folders", "Time and memory"
PIPE = "-"
FAILED = 100  # failures that are listed once more at the end


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
    model: ModelName = "edsr",
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
    from bnnup.folders.settings import Machine, Settings
    from bnnup.pictures import formats
    from bnnup.system import paths

    place = None if source == PIPE else paths.to_path(source)
    if place is not None and not paths.exists(place):
        raise typer.BadParameter(f"there is no {source}")
    size = _read_size(factor, width, height, fit, megapixels)
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
    machine = Machine(tile, memory << 20, threads, megapixels=max_megapixels)
    over = None if dry_run else cluster
    if place is not None and paths.is_folder(place):
        into = _folder_for(place, output, settings)
        with _opened_batch(settings, machine, over, place, into) as batch:
            _upscale_folder(
                batch, place, into, force, dry_run, as_json, include or (), exclude or ()
            )
    else:
        target = _target_for(place, output, settings, force)
        with _opened_batch(settings, machine, over) as batch:
            _upscale_picture(batch, place, target, dry_run, as_json)


@contextmanager
def _opened_batch(
    settings: "Settings",
    machine: "Machine",
    cluster: str | None,
    source: Path | None = None,
    target: Path | None = None,
) -> Iterator["Batch"]:
    if cluster is None:
        from bnnup.folders.batch import Batch

        yield Batch(settings, machine)
        return
    from bnnup.cluster.pictures import over_cluster

    with over_cluster(cluster, settings, machine, source=source, target=target) as batch:
        yield batch


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


def _target_for(
    source: Path | None, output: str | None, settings: "Settings", force: bool
) -> Path | None:
    """Where a picture's result goes; None is standard output."""
    from bnnup.pictures import formats
    from bnnup.system import files, paths

    if output == PIPE or (output is None and source is None):
        return None
    if output is not None:
        target = paths.to_path(output)
    else:
        assert source is not None
        ending = formats.ending_for(settings.format) if settings.format else source.suffix
        target = source.with_name(f"{source.stem}_{settings.size.label}{ending}")
    if settings.format is None:
        formats.format_of(target)
    files.check_writable(target, force=force)
    return target


def _upscale_picture(
    batch: "Batch", source: Path | None, target: Path | None, dry_run: bool, as_json: bool
) -> None:
    from bnnup.cli.progress import progress_bar
    from bnnup.errors import MediaError
    from bnnup.folders.tasks import Task

    task = Task(source, target)
    with progress_bar(PIPE if source is None else source.name, quiet=as_json) as show:
        batch.progress = lambda name, done, total: show(done, total)
        (work,) = batch.run([task], only_plan=dry_run)
    for note in work.notes:
        warn(f"{task.name}: {note}", "note")
    if work.status == "failed":
        raise MediaError(work.error)
    if as_json:
        report = _to_dict(work) if work.report is None else work.report.to_dict()
        typer.echo(json.dumps(report))
    else:
        typer.echo(_to_line(work) if work.report is None else work.report.to_text(), err=True)


def _folder_for(source: Path, output: str | None, settings: "Settings") -> Path:
    """Where a folder's results go."""
    from bnnup.system import paths

    if output == PIPE:
        raise typer.BadParameter("a folder of pictures cannot go to standard output")
    if output is not None:
        return paths.to_path(output)
    whole = source.resolve()
    return whole.with_name(f"{whole.name}_{settings.size.label}")


def _upscale_folder(
    batch: "Batch",
    source: Path,
    output: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
    include: Sequence[str],
    exclude: Sequence[str],
) -> None:
    from bnnup.cli.progress import counting, watch_pictures
    from bnnup.folders.ledger import opened
    from bnnup.folders.tasks import find_tasks

    if not dry_run:
        batch.prepare()

    def tasks() -> Iterator["Task"]:
        return find_tasks(
            source, output, include=include, exclude=exclude, format_name=batch.settings.format
        )

    counts: Counter[str] = Counter()
    failed: list[str] = []
    with (
        opened(output, read_only=dry_run) as ledger,
        watch_pictures(quiet=as_json, say=lambda text: warn(text, "error")) as watcher,
        counting(watcher, tasks),
    ):
        batch.progress = watcher.within

        def tell(workers: int) -> None:
            watcher.alive(workers)
            if as_json:
                typer.echo(json.dumps({"progress": watcher.to_dict()}))

        batch.waiting = tell
        for work in batch.run(tasks(), ledger, force=force, only_plan=dry_run):
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
        batch.wait()
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
        return work.error if task.name in work.error else f"{task.name}: {work.error}"
    if work.status == "skipped":
        return f"{task.name}: finished before"
    size = f"{work.size[0]}×{work.size[1]}, about {work.memory / 1e6:.0f} MB of memory"
    return f"{task.name} -> {task.target or '-'} {size}"


def _to_dict(work: "Work") -> dict[str, Any]:
    task = work.task
    line: dict[str, Any] = {"input": task.name, "status": work.status}
    line["output"] = None if task.target is None else str(task.target)
    if work.error:
        line["error"] = work.error
    if work.notes:
        line["notes"] = list(work.notes)
    if work.status == "planned":
        line |= {"width": work.size[0], "height": work.size[1], "memory_bytes": work.memory}
    return line if work.report is None else line | work.report.to_dict()


def warn(text: str, kind: str = "warning") -> None:
    """A line on standard error."""
    typer.secho(f"{kind}: {text}", fg={"error": "red"}.get(kind, "yellow"), err=True)
