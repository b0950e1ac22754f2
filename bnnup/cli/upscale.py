"""``bnnup upscale``"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from bnnup.batch import Batch
    from bnnup.folder import Task
    from bnnup.job import Work
    from bnnup.size import Size

Scale = Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="2, 3 or 4.")]
ModelName = Annotated[
    str,
    typer.Option(
        "-m", "--model", help="A model's name, a .safetensors file, or owner/repo on the Hub."
    ),
]
SIZE, FORMAT, FOLDER, MACHINE = "Size of the result", "Files", "Folders", "Time and memory"
PIPE = Path("-")


def upscale(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A picture, a folder of them, or - (standard input)."),
    ],
    output: Annotated[
        Path | None,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Report as JSON on standard output, a line a picture.")
    ] = False,
) -> None:
    """Enlarge a picture, or all pictures in a folder.

    The same command goes on where an earlier one over a folder was interrupted.
    """
    if source != PIPE and not os.path.exists(source):
        raise typer.BadParameter(f"there is no {source}")
    if as_json and (output == PIPE or (source == PIPE and output is None)):
        raise typer.BadParameter("the picture and --json cannot both go to standard output")
    from bnnup import formats, image
    from bnnup.batch import Batch
    from bnnup.job import Machine, Settings

    size = _read_size(factor, width, height, fit, megapixels)
    settings = Settings(
        size=size,
        model=model,
        alpha=alpha,
        format=None if format_name is None else formats.format_named(format_name),
        quality=quality,
        lossless=lossless,
        strip=strip,
    )
    image.limit_megapixels(max_megapixels)
    batch = Batch(settings, Machine(tile, memory << 20, threads))
    if source.is_dir():
        _upscale_folder(
            batch, source, output, force, dry_run, as_json, include or (), exclude or ()
        )
    else:
        _upscale_picture(batch, source, output, force, dry_run, as_json)


def _read_size(
    factor: float | None,
    width: int | None,
    height: int | None,
    fit: str | None,
    megapixels: float | None,
) -> "Size":
    from bnnup.size import Size, plan_passes, read_box

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


def _upscale_picture(
    batch: "Batch",
    source: Path,
    output: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from bnnup import formats
    from bnnup.cli.progress import progress_bar
    from bnnup.errors import MediaError
    from bnnup.folder import Task

    settings = batch.settings
    target: Path | None = None
    if output is None and source != PIPE:
        ending = formats.ending_for(settings.format) if settings.format else source.suffix
        target = source.with_name(f"{source.stem}_{settings.size.label}{ending}")
    elif output is not None and output != PIPE:
        target = output
    if target is not None:
        if settings.format is None:
            formats.format_of(target)
        formats.check_writable(target, force=force)
    task = Task(None if source == PIPE else source, target)
    with progress_bar(source.name, quiet=as_json) as show:
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


def _upscale_folder(
    batch: "Batch",
    source: Path,
    output: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    include: Any,
    exclude: Any,
) -> None:
    from bnnup.folder import find_tasks

    if output == PIPE:
        raise typer.BadParameter("a folder of pictures cannot go to standard output")
    if output is None:
        whole = source.resolve()
        output = whole.with_name(f"{whole.name}_{batch.settings.size.label}")
    if not dry_run:
        batch.prepare()
    tasks = find_tasks(
        source, output, include=include, exclude=exclude, format_name=batch.settings.format
    )
    works = _run_folder(batch, tasks, output, force, dry_run, as_json)
    failed = [work for work in works if work.status == "failed"]
    counts = {
        status: sum(work.status == status for work in works)
        for status in ("done", "planned", "skipped", "failed")
    }
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    typer.echo(f"{output}: {summary or 'no pictures found'}", err=True)
    for work in failed:
        typer.secho(f"  {_to_line(work)}", fg="red", err=True)
    if failed:
        raise typer.Exit(1)


def _run_folder(
    batch: "Batch", tasks: list["Task"], output: Path, force: bool, dry_run: bool, as_json: bool
) -> list["Work"]:
    """Runs and reports each picture as it is finished."""
    from bnnup.cli.progress import watch_pictures
    from bnnup.ledger import opened

    works = []
    with (
        opened(output, read_only=dry_run) as ledger,
        watch_pictures(len(tasks), quiet=as_json, say=lambda text: warn(text, "error")) as watcher,
    ):
        batch.progress = watcher.within
        for work in batch.run(tasks, ledger, force=force, only_plan=dry_run):
            works.append(work)
            message = _to_line(work) if work.status == "failed" else ""
            area = work.size[0] * work.size[1] / 1e6 if work.status == "done" else 0
            watcher.finished(area, message)
            for note in work.notes:
                warn(f"{work.task.name}: {note}", "note")
            if as_json:
                typer.echo(json.dumps(_to_dict(work)))
            elif dry_run:
                typer.echo(_to_line(work))
    return works


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
