"""Options that several commands have."""

from typing import Annotated, Literal

import typer

PIPE = "-"  # standard input, or standard output


def _complete_model(beginning: str) -> list[str]:
    from bnnup.model.zoo import NETWORKS

    names = ("auto", *(network.name for network in NETWORKS))
    return [name for name in names if name.startswith(beginning)]


Scale = Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="2, 3 or 4.")]
ModelName = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        autocompletion=_complete_model,
        help="auto (chosen for each picture), a model's name, a .safetensors file, or owner/repo "
        "on the Hub.",
    ),
]
Memory = Annotated[
    int, typer.Option(min=1, help="Megabytes for the network to work in, beside the frames.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, envvar="BNNUP_THREADS", help="By default as many as there are cores."
    ),
]
Backend = Annotated[
    Literal["engine", "torch"] | None,
    typer.Option(help="What runs the network; torch takes a GPU where there is one."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Work on a Ray cluster: its address, auto (find it) or local."
    ),
]
