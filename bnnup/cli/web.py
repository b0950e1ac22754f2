"""``bnnup web``"""

from pathlib import Path
from typing import Annotated

import typer


def web(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            file_okay=False,
            help="Write the page's files into this folder, for any static host; serve nothing.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write even if the folder is not empty.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this computer; 0 picks a free one.")
    ] = 8417,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Enlarge pictures in a browser, on this computer: nothing is uploaded.

    Serves a page to this computer alone until Ctrl-C.
    """
    from bnnup.web.page import copy_page, page_folder
    from bnnup.web.serve import serve

    if output is not None:
        copy_page(output, force=force)
        typer.echo(output)
        return

    def started(address: str) -> None:
        typer.echo(address)
        typer.echo("Ctrl-C ends it", err=True)
        if browser:
            typer.launch(address)

    serve(page_folder(), port, started)
