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


def _complete_model(beginning: str) -> list[str]:
    from bnnup.model.zoo import ZOO

    return [name for name in {entry.name: 0 for entry in ZOO} if name.startswith(beginning)]


ModelName = Annotated[
    str,
    typer.Option(
        *("-m", "--model"),
        autocompletion=_complete_model,
        help="A model's name, a .safetensors file, or owner/repo on the Hub.",
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


def _read_factor(text: str) -> float:
    """ "2", "2.5", "2x" or "x2"."""
    try:
        return float(text.strip().lower().replace("×", "x").strip("x"))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number; try 2, or 2.5") from error


FAILED = 100  # failures that are listed once more at the end


def upscale(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN…", help="Pictures, folders of them, or - (standard input), also s3://…"
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="A file or a folder to write to; beside the input if not given."
        ),
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option(
            *("-s", "--scale"),
            parser=_read_factor,
            metavar="FACTOR",
            help="How many times larger: 2 (default), 3, 4, 2.5 …",
        ),
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
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what the network is, and what it cost.")
    ] = False,
) -> None:
    """Enlarge pictures, or all pictures in folders.

    The same command goes on where an earlier one over a folder was interrupted.
    """
    if as_json and (output == PIPE or (PIPE in sources and output is None)):
        raise typer.BadParameter("the picture and --json cannot both go to standard output")
    from bnnup.folders.settings import Machine, Settings
    from bnnup.pictures import formats
    from bnnup.system import paths

    places = [_find(source) for source in sources]
    size = _read_size(factor, width, height, fit, megapixels)
    machine = Machine(tile, memory << 20, threads, megapixels=max_megapixels)
    over, failed = None if dry_run else cluster, False
    folders = [place for place in places if place is not None and paths.is_folder(place)]
    pictures = [place for place in places if place not in folders]
    with _failing_as_json(sources[0], as_json):
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
        if pictures:
            tasks = _tasks_for(pictures, output, settings, force)
            with _opened_batch(settings, machine, over) as batch:
                failed = _upscale_pictures(batch, tasks, dry_run, as_json, verbose)
        for place in folders:
            into = _folder_for(place, output, settings, several=len(places) > 1)
            with _opened_batch(settings, machine, over, place, into) as batch:
                failed |= _upscale_folder(
                    batch, place, into, force, dry_run, as_json, include or (), exclude or ()
                )
    if failed:
        raise typer.Exit(1)


@contextmanager
def _failing_as_json(source: str, as_json: bool) -> Iterator[None]:
    """Tells standard output, too, what ends the command, if that is where reports go."""
    from bnnup.errors import BnnupError

    try:
        yield
    except BnnupError as error:
        if as_json:
            typer.echo(json.dumps({"input": source, "status": "failed", "error": str(error)}))
        raise


def _tasks_for(
    pictures: "Sequence[Path | None]", output: str | None, settings: "Settings", force: bool
) -> "list[Task]":
    from bnnup.folders.named import name_tasks

    try:
        return name_tasks(pictures, output, settings, force=force)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _find(source: str) -> Path | None:
    """The place of an input; None is standard input."""
    from bnnup.system import paths

    place = None if source == PIPE else paths.to_path(source)
    if place is not None and not paths.exists(place):
        raise typer.BadParameter(f"there is no {source}")
    return place


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


def _upscale_pictures(
    batch: "Batch", tasks: Sequence["Task"], dry_run: bool, as_json: bool, verbose: bool
) -> bool:
    """Whether one of them failed; the only one raises MediaError."""
    from bnnup.cli.progress import progress_bar
    from bnnup.errors import MediaError

    failed = False
    label = tasks[0].source.name if tasks[0].source else PIPE
    with progress_bar(label if len(tasks) == 1 else "pictures", quiet=as_json) as show:
        batch.progress = lambda name, done, total: show(done, total)
        works = list(batch.run(tasks, only_plan=dry_run))
    for work in works:
        for note in work.notes:
            warn(f"{work.task.name}: {note}", "note")
        if work.status == "failed" and len(works) == 1:
            raise MediaError(work.error)
        if work.status == "failed":
            failed = True
            warn(_to_line(work), "error")
        elif not as_json:
            typer.echo(_to_line(work), err=True)
        if work.report is not None and verbose:
            typer.echo(work.report.to_text(), err=True)
        if as_json:
            typer.echo(json.dumps(_to_dict(work)))
    return failed


def _folder_for(source: Path, output: str | None, settings: "Settings", *, several: bool) -> Path:
    """Where a folder's results go: beside others, into a folder of its name."""
    from bnnup.system import paths

    if output == PIPE:
        raise typer.BadParameter("a folder of pictures cannot go to standard output")
    whole = source.resolve()
    if output is not None:
        return paths.to_path(output) / whole.name if several else paths.to_path(output)
    if not whole.name:
        raise typer.BadParameter(f"{source} has no name; say where results go with -o")
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
) -> bool:
    """Whether one of its pictures failed."""
    from bnnup.cli.progress import counting, watch_pictures
    from bnnup.errors import MediaError
    from bnnup.folders.ledger import opened
    from bnnup.folders.tasks import find_tasks
    from bnnup.pictures.formats import endings
    from bnnup.system import paths

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
    if not counts and any(True for _ in paths.entries(source)):
        known = " ".join(sorted(endings()))
        raise MediaError(f"there are no pictures in {source}; their names end with {known}")
    typer.echo(f"{output}: {summary or 'no pictures found'}", err=True)
    for line in failed:
        typer.secho(f"  {line}", fg="red", err=True)
    if counts["failed"] > len(failed):
        typer.secho(
            f"  and {counts['failed'] - len(failed)} more, as told above", fg="red", err=True
        )
    return bool(failed)


def _to_line(work: "Work") -> str:
    """What became of a picture, or will."""
    task = work.task
    if work.status == "failed":
        return work.error if task.name in work.error else f"{task.name}: {work.error}"
    if work.status == "skipped":
        return f"{task.name}: finished before"
    size = f"{work.size[0]}×{work.size[1]}"
    if work.status == "done":
        length = f", {_in_bytes(work.bytes)}" if work.bytes else ""
        return f"{task.target or '-'}: {size}{length}, in {work.seconds:.1f} s"
    memory = f"about {work.memory / 1e6:.0f} MB of memory"
    return f"{task.name} -> {task.target or '-'} {size}, {memory}"


def _in_bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


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
