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
        str,
        typer.Option(
            "--repo",
            metavar="OWNER/NAME",
            help="Repository to publish to, created if it does not exist.",
        ),
    ],
    example: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A picture for the card, whose middle is shown enlarged.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="Licence, as the Hub spells it (mit); by default, the models' own."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    dry_run: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write everything into this folder and upload nothing."
        ),
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
