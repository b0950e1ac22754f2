"""The command line: options, progress, printing. One file a command.

Only typer and the standard library may be imported before a command runs, so that
``--help`` answers at once.
"""

import logging
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import Annotated

import typer

from bnnup import __version__
from bnnup.cli import (
    benchmark,
    compare,
    info,
    models,
    pipe,
    publish,
    queue,
    train,
    upscale,
    video,
    web,
)
from bnnup.cli.inputs import expanded
from bnnup.cli.output import print_everywhere, printable, with_hint
from bnnup.errors import BnnupError, reason

WINDOWS = os.name == "nt"
INTERRUPTED = 130  # exit code after Ctrl-C

app = typer.Typer(
    name="bnnup",
    help="Enlarges pictures on an ordinary CPU with one-bit neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    upscale.upscale,
    video.video,
    pipe.pipe,
    web.web,
    compare.compare,
    benchmark.benchmark,
    train.train,
    queue.queue,
    info.info,
    publish.publish,
):
    app.command()(command)
app.add_typer(models.models, name="models")


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bnnup {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show version.")
    ] = False,
    hub_repo: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            envvar="BNNUP_HUB_REPO",
            help="Hub repository with the known models that are not in the package.",
        ),
    ] = None,
) -> None:
    if hub_repo:
        os.environ["BNNUP_HUB_REPO"] = hub_repo  # where bnnup.model.find looks for it


def _open_closed_streams() -> None:
    """Gives standard streams that the caller closed a place, before a file of ours takes it.

    What is written to such an output fails, as it would have to.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            how = os.O_WRONLY if name == "stderr" else os.O_RDONLY
            setattr(sys, name, os.fdopen(os.open(os.devnull, how), mode))


def _end_tidily_by_signals() -> None:
    """Whoever is told to end, or whose terminal closes, leaves nothing half done."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for name in "SIGTERM", "SIGHUP", "SIGBREAK":  # the last is Windows', for a closed console
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _give_up_output() -> None:
    """What could not be written to standard output is not tried again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _leave_threads(code: object) -> None:
    """Ends at once if threads still compute, which a second Ctrl-C did not wait for.

    The interpreter's own end would meet them in the engine, and abort.
    """
    if threading.active_count() > 1 and isinstance(code, int) and code > 128:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


def _hush_libraries() -> None:
    """Libraries' remarks on odd files are for developers, whichever way they come."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    own = sys.__stderr__
    if own is None or sys.stderr is not own:
        return
    with suppress(OSError):  # libpng and libtiff write to the descriptor, past Python
        sys.stderr = os.fdopen(os.dup(2), "w", 1, own.encoding, own.errors)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def main() -> None:
    """Runs the command line. A user's mistake is one red line and exit code 1."""
    _open_closed_streams()
    print_everywhere()
    _end_tidily_by_signals()
    debug = bool(os.environ.get("BNNUP_DEBUG"))
    if not (debug or sys.warnoptions):
        _hush_libraries()
    try:
        app(expanded(sys.argv[1:]) if WINDOWS else sys.argv[1:])
    except BnnupError as error:
        if debug:
            raise
        text = with_hint(str(error), error.hint)
        typer.secho(printable(f"error: {text}"), fg="red", err=True)
        _give_up_output()
        sys.exit(1)
    except OSError as error:  # of standard output, as all others are explained where they happen
        if debug:
            raise
        text = f"error: {error.filename or 'output'}: {reason(error)}"
        typer.secho(printable(text), fg="red", err=True)
        _give_up_output()
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # of which typer says nothing
            typer.secho("interrupted", fg="yellow", err=True)
        _leave_threads(end.code)
        raise
