"""Options that several commands have."""

from typing import Annotated, Literal

import typer

PIPE = "-"  # standard input, or standard output


def _complete_model(beginning: str) -> list[str]:
    from bnnup.model.zoo import NETWORKS

    names = ("auto", *(network.name for network in NETWORKS))
    return [name for name in names if name.startswith(beginning)]


Scale = Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="Scale factor: 2, 3 or 4.")]
ModelName = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        autocompletion=_complete_model,
        help="auto (chosen for the picture or film), the name of a model, a .safetensors file, or "
        "owner/repo on the Hub.",
    ),
]
Memory = Annotated[
    int, typer.Option(min=1, help="Working memory in megabytes, in addition to the frames.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, envvar="BNNUP_THREADS", help="Number of threads; by default, one per core."
    ),
]
Backend = Annotated[
    Literal["engine", "torch"] | None,
    typer.Option(help="What runs the network; torch uses a GPU if there is one."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on a Ray cluster: its address, auto (find it) or local (this machine).",
    ),
]
