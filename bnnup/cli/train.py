"""``bnnup train``"""

from pathlib import Path
from typing import Annotated

import typer

from bnnup.cli.upscale import Scale
from bnnup.train.settings import Settings

Pictures = Annotated[
    Path,
    typer.Argument(metavar="PICTURES", exists=True, file_okay=False, help="Folder of originals."),
]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Steps between validations.")]
CompileStep = Annotated[
    bool, typer.Option("--compile", help="Compile the step: slower start, then faster.")
]


def train(
    pictures: Pictures,
    run: Annotated[
        Path, typer.Option("-o", "--run", help="Run folder; a run that is there is resumed.")
    ],
    scale: Scale = 2,
    architecture: Annotated[str, typer.Option(help="The backbone.")] = Settings.architecture,
    blocks: Annotated[int, typer.Option(min=1, help="Residual blocks.")] = Settings.blocks,
    channels: Annotated[
        int, typer.Option(min=1, help="Channels of the features.")
    ] = Settings.channels,
    steps: Annotated[int, typer.Option(min=1, help="Length of the schedule.")] = Settings.steps,
    minutes: Annotated[
        float | None, typer.Option(help="Fit the schedule into this much training time instead.")
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(help="Stop after so many minutes; the same command goes on from there."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Patches a step, per device.")] = Settings.batch,
    patch: Annotated[
        int, typer.Option(min=1, help="Pixels of a small patch, each way.")
    ] = Settings.patch,
    learning_rate: Annotated[
        float, typer.Option(help="Adam's, at its peak.")
    ] = Settings.learning_rate,
    warm_up: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run with rising learning rate.")
    ] = Settings.warm_up,
    real_weights: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run before weights turn binary.")
    ] = Settings.real_weights,
    held_out: Annotated[
        int, typer.Option(min=1, help="Pictures kept for validation.")
    ] = Settings.held_out,
    validate_every: ValidateEvery = 1000,
    precision: Annotated[str, typer.Option(help="bf16, or 'no' for float32.")] = Settings.precision,
    seed: Annotated[int, typer.Option(help="Seed of weights and patches.")] = Settings.seed,
    initial: Annotated[
        Path | None,
        typer.Option("--from", exists=True, help="Start from this run: a ×2 body for ×3 and ×4."),
    ] = None,
    compile_step: CompileStep = False,
) -> None:
    """Train a network on a folder of pictures, or go on with a run."""
    from bnnup.errors import TrainingError, how_to_install

    try:
        from bnnup.train.loop import Trainer
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error}; training needs {how_to_install('train')}") from error
    settings = Settings(
        architecture=architecture,
        scale=scale,
        blocks=blocks,
        channels=channels,
        steps=steps,
        minutes=minutes,
        batch=batch,
        patch=patch,
        learning_rate=learning_rate,
        warm_up=warm_up,
        real_weights=real_weights,
        held_out=held_out,
        precision=precision,
        seed=seed,
    )
    trainer = Trainer(
        settings, pictures, run, initial=initial, compile_step=compile_step, report=typer.echo
    )
    seconds = None if stop_after is None else 60 * stop_after
    trainer.train(validate_every=validate_every, stop_after=seconds)
