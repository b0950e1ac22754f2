"""``bnnup info``"""

import json
from typing import Annotated

import typer


def info(
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Only the engine's kernels, the fastest first.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Show what this installation runs on: version, engine and its kernels, cores."""
    import os
    import platform

    from bnnup import __version__
    from bnnup.backends.choose import engine

    names = [] if engine is None else engine.kernels()
    if kernels and not as_json:
        for name in names:
            typer.echo(name)
        return
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "engine": engine is not None,
        "kernels": names,
        "kernel": os.environ.get("BNNUP_KERNEL") or (names[0] if names else None),
        "cores": os.cpu_count() if engine is None else engine.usable_cores(),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"bnnup {__version__}, Python {facts['python']} on {facts['machine']}")
    if engine is None:
        typer.echo("no compiled engine: upscaling needs torch")
    else:
        typer.echo(f"engine with kernels {', '.join(names)}; {facts['kernel']} is used")
    typer.echo(f"{facts['cores']} cores")
