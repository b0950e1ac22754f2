"""What commands over several files and folders have in common."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from os.path import expanduser, splitdrive
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnnup.cli.options import PIPE
from bnnup.cli.output import printable, with_hint

if TYPE_CHECKING:
    from bnnup.folders.tasks import Stream

PANEL = "Folders"
PATTERNS = "--include", "--exclude"  # options that take patterns themselves

Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB", help='Only files that match, such as "2019*".', rich_help_panel=PANEL
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB", help='Skip files that match, such as "raw/*".', rich_help_panel=PANEL
    ),
]


def expanded(arguments: list[str]) -> list[str]:
    """Names for patterns like *.jpg, and for ~, which Windows' shells leave to programs.

    What is no pattern stays as it is, as do those of options and what matches nothing.
    """
    names: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        found: list[str] = []
        if before not in PATTERNS and {"*", "?"} & {*splitdrive(argument)[1]}:
            found = sorted(glob(argument.replace("[", "[[]")))  # which is part of a name there
        if argument.startswith(("~/", "~\\")):
            found = [expanduser(argument)]
        names += found or [argument]
    return names


def find(source: str, cluster: str | None) -> "Path | Stream":
    """The place of an input, absolute for a cluster, whose workers run in other folders."""
    from bnnup.folders.tasks import Stream
    from bnnup.system import paths

    if source == PIPE:
        return Stream(sys.stdin.buffer, "standard input")
    place = paths.to_path(source)
    if not paths.exists(place):
        raise typer.BadParameter(printable(f"there is no {source}"))
    return place if cluster is None else paths.to_path(paths.absolute(place))


def place_results(
    source: Path, output: str | None, label: str, cluster: str | None, *, several: bool
) -> Path:
    """Where the results of a folder go."""
    from bnnup.folders import named
    from bnnup.system import paths

    if output == PIPE:
        raise typer.BadParameter("a folder of results cannot go to standard output")
    try:
        into = named.place_results(source, output, label, several=several)
    except ValueError as error:
        raise typer.BadParameter(f"{error} with -o") from error
    return into if cluster is None else paths.to_path(paths.absolute(into))


@contextmanager
def failing_as_json(source: str, as_json: bool) -> Iterator[None]:
    """Reports what ends the command on standard output as well, if reports go there."""
    from bnnup.errors import BnnupError

    try:
        yield
    except BnnupError as error:
        if as_json:
            said = with_hint(str(error), error.hint)
            typer.echo(json.dumps({"input": source, "status": "failed", "error": said}))
        raise
