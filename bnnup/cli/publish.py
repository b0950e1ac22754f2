"""``bnnup publish``"""

from pathlib import Path
from typing import Annotated

import typer


def publish(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Models to publish."),
    ],
    repository: Annotated[
        str, typer.Option("--repo", metavar="OWNER/NAME", help="Created if it does not exist.")
    ],
    example: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A picture to show enlarged; its middle is taken."
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="As the Hub writes it, like mit; the models' own if absent.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Hide a repository that is created.")
    ] = False,
    dry_run: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write everything there and upload nothing."),
    ] = None,
) -> None:
    """Put models on the Hugging Face Hub, with a card that introduces them.

    Needs a token: 'hf auth login', or HF_TOKEN.
    """
    from bnnup.publish import publish as hub

    if dry_run is not None:
        hub.prepare(files, dry_run, repository, licence=licence, example=example)
        typer.echo(dry_run)
    else:
        address = hub.publish(files, repository, private=private, licence=licence, example=example)
        typer.echo(address)
