"""``bnnup queue``"""

from pathlib import Path
from typing import Annotated

import typer

from bnnup.cli.train import CompileStep, Pictures, ValidateEvery
from bnnup.train.settings import TrainingSettings


def queue(
    pictures: Pictures,
    runs: Annotated[
        Path, typer.Option("-o", "--runs", help="Folder for the runs, each in a folder of its own.")
    ],
    weights: Annotated[
        Path, typer.Option(help="Folder for the trained models; a better one that is there stays.")
    ],
    bench: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder with Set5/HR and Set14/HR, for the scores."
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Length of a ×2 run; ×3 and ×4 take half.")
    ] = TrainingSettings.steps,
    validate_every: ValidateEvery = 1000,
    compile_step: CompileStep = False,
) -> None:
    """Train every network that is missing or unfinished.

    After an interruption, the same command resumes where it stopped."""
    from bnnup.errors import TrainingError, how_to_install

    try:
        from bnnup.train.queue import run_queue
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error}; training needs {how_to_install('train')}") from error
    run_queue(
        pictures,
        runs,
        weights,
        base=TrainingSettings(steps=steps),
        validate_every=validate_every,
        bench=bench,
        compile_step=compile_step,
        report=typer.echo,
    )
