"""``bnnup models``"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bnnup.model.listing import Row

models = typer.Typer(
    help="List models, and fetch, describe and remove them.", no_args_is_help=False
)

WIDE = 110  # characters in a line, from which on there is room for descriptions

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="hybrid, hybrid-x4, owner/repo, owner/repo/file.safetensors (on the Hub; "
        "@revision may follow both), or a path to a file.",
    ),
]
OneScale = Annotated[
    int | None,
    typer.Option("-s", "--scale", min=2, max=4, help="Only this scale; by default, all of them."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@models.callback(invoke_without_command=True)
def list_by_default(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_all(as_json)


@models.command("list")
def list_all(as_json: Json = False) -> None:
    """List the models in the package, in the cache, and known by name."""
    from bnnup.model.listing import list_models

    rows = list_models()
    if as_json:
        typer.echo(json.dumps([row.to_dict() for row in rows]))
    else:
        _print_table(rows)


@models.command()
def download(name: Name, scale: OneScale = None, as_json: Json = False) -> None:
    """Fetch a model, or a newer version of it, from the Hub into the cache."""
    from bnnup.model.find import find_models

    _print_paths([str(path) for path in find_models(name, scale, update=True)], as_json)


@models.command()
def path(name: Name, scale: OneScale = None, as_json: Json = False) -> None:
    """Print where a model's file is; fetch it first if it is missing."""
    from bnnup.model.find import find_models

    _print_paths([str(path) for path in find_models(name, scale)], as_json)


@models.command()
def remove(name: Name, scale: OneScale = None, as_json: Json = False) -> None:
    """Remove a model from the cache: all revisions, or the one that @revision names."""
    from bnnup.model import listing

    _print_paths([str(path) for path in listing.remove(name, scale)], as_json)


@models.command()
def info(
    name: Name,
    scale: OneScale = None,
    size: Annotated[
        str,
        typer.Option(metavar="WxH", help="Size of the small picture that the work is counted for."),
    ] = "320x180",
    as_json: Json = False,
) -> None:
    """Show what is in a model's file: size, work, origin and scores."""
    from bnnup.model.find import find_models
    from bnnup.model.listing import describe
    from bnnup.upscale.size import read_box

    try:
        width, height = read_box(size)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    facts = [describe(path, width, height) for path in find_models(name, scale)]
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo("\n\n".join(map(_to_text, facts)))


def _print_paths(paths: list[str], as_json: bool) -> None:
    typer.echo(json.dumps(paths) if as_json else "\n".join(paths))


def _print_table(rows: list["Row"]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", overflow="fold")  # the only one that may take several lines
    for heading in ("scale", "where"):
        table.add_column(heading, no_wrap=True)
    for heading in ("size", "Set5", "Set14"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("licence", no_wrap=True)
    described = console.width >= WIDE
    if described:
        table.add_column("what it is", no_wrap=True, overflow="ellipsis")
    styles = {"bundled": "green", "cached": "cyan"}
    for cells in _cells(rows):
        style = styles.get(cells[2], "dim")
        cells = cells if described else cells[:-1]
        table.add_row(*(Text(cell, style if i == 2 else "") for i, cell in enumerate(cells)))
    console.print(table)
    console.print("\nSet5, Set14: PSNR in dB, and how much more than bicubic's.", style="dim")
    if any(row.where == "known" and row.repository is None for row in rows):
        console.print("known: --hub-repo names a repository that has it.", style="dim")


def _cells(rows: list["Row"]) -> list[list[str]]:
    """A line a model; scales of which no more is known than the name share one."""
    lines = []
    for row in rows:
        if row.where != "known":
            size = f"{(row.bytes or 0) / 1e3:.0f} kB"
            scores = [_score(row.scores, name) for name in ("Set5", "Set14")]
            line = [row.name, f"×{row.scale}", row.where, size, *scores]
            lines.append([*line, _flat(row.licence or ""), _flat(row.description)])
            continue
        name = row.name.removesuffix(f"-x{row.scale}")
        where = row.repository or "known"
        if lines and [lines[-1][0], lines[-1][2]] == [name, where]:
            lines[-1][1] += f" ×{row.scale}"
        else:
            lines.append([name, f"×{row.scale}", where, "", "", "", "", row.description])
    return lines


def _score(scores: dict[str, Any] | None, name: str) -> str:
    score = (scores or {}).get(name, {})
    if "psnr" not in score:
        return ""
    gain = f" +{score['psnr'] - score['bicubic_psnr']:.2f}" if "bicubic_psnr" in score else ""
    return f"{score['psnr']:.2f}{gain}"


def _to_text(facts: dict[str, Any]) -> str:
    binary = facts["binary_parameters"] / max(facts["parameters"], 1)
    operations = ", ".join(
        f"{number} {kind.replace('_', ' ')}" for kind, number in facts["operations"].items()
    )
    lines = [
        facts["path"],
        f"  enlarges     ×{facts['scale']}",
        f"  size         {facts['bytes'] / 1e3:.0f} kB instead of "
        f"{facts['fp32_bytes'] / 1e3:.0f} kB in fp32",
        f"  parameters   {facts['parameters']:,}, {binary:.1%} of them one bit",
        f"  program      {operations}",
        f"  looks at     {facts['halo']} pixels each way",
        f"  work         {facts['ops'] / 1e9:.2f} G OPs for {facts['width']}×{facts['height']}: "
        f"{facts['binary_macs'] / 1e9:.2f} G binary / 64 + "
        f"{facts['full_macs'] / 1e9:.2f} G full-precision multiply-adds",
    ]
    for key, value in facts["about"].items():
        if isinstance(value, dict):
            lines.append(f"  {_flat(key)}")
            lines += [f"    {_flat(name):<20} {_flat(inner)}" for name, inner in value.items()]
        else:
            lines.append(f"  {_flat(key):<12} {_flat(value)}")
    return "\n".join(lines)


def _flat(value: Any) -> str:
    """A value of a stranger's file on one line, without control characters."""
    if isinstance(value, dict):
        return ", ".join(f"{_flat(key)} {_flat(inner)}" for key, inner in value.items())
    text = str(value)
    return text if text.isprintable() else repr(text)
