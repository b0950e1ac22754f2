"""``bnnup train``"""

from pathlib import Path
from typing import Annotated

import typer

from bnnup.cli.options import Scale
from bnnup.train.settings import TrainingSettings, size_of

Pictures = Annotated[
    list[Path],
    typer.Argument(
        metavar="PICTURES...", exists=True, file_okay=False, help="Folders of originals."
    ),
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
    architecture: Annotated[
        str, typer.Option(help="The backbone.")
    ] = TrainingSettings.architecture,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="Blocks; by default the architecture's.")
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(min=1, help="Channels of the features; by default the architecture's."),
    ] = None,
    trained_for: Annotated[
        str,
        typer.Option(
            "--for",
            help="clean reductions, real pictures (damaged ones, too), or screen: what was drawn "
            "at several sizes.",
        ),
    ] = TrainingSettings.trained_for,
    steps: Annotated[
        int, typer.Option(min=1, help="Length of the schedule.")
    ] = TrainingSettings.steps,
    minutes: Annotated[
        float | None, typer.Option(help="Fit the schedule into this much training time instead.")
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(help="Stop after so many minutes; the same command goes on from there."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Patches a step, per device.")
    ] = TrainingSettings.batch,
    patch: Annotated[
        int, typer.Option(min=1, help="Pixels of a small patch, each way.")
    ] = TrainingSettings.patch,
    learning_rate: Annotated[
        float, typer.Option(help="Adam's, at its peak.")
    ] = TrainingSettings.learning_rate,
    warm_up: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run with rising learning rate.")
    ] = TrainingSettings.warm_up,
    real_weights: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run before weights turn binary.")
    ] = TrainingSettings.real_weights,
    held_out: Annotated[
        int, typer.Option(min=1, help="Pictures kept for validation.")
    ] = TrainingSettings.held_out,
    validate_every: ValidateEvery = 1000,
    precision: Annotated[
        str, typer.Option(help="bf16, 'no' for float32, or auto: bf16 where it is the faster.")
    ] = TrainingSettings.precision,
    seed: Annotated[int, typer.Option(help="Seed of weights and patches.")] = TrainingSettings.seed,
    frozen_statistics: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the run, at its end, on batch norm's averages."),
    ] = TrainingSettings.frozen_statistics,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Start from this run, checkpoint, latent or model file, or known model.",
        ),
    ] = None,
    compile_step: CompileStep = False,
) -> None:
    """Train a network on folders of pictures, or continue a run.

    --from edsr fine-tunes the bundled network on your pictures.
    """
    from bnnup.errors import TrainingError, how_to_install

    try:
        from bnnup.train.loop import Trainer, find_initial
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error}; training needs {how_to_install('train')}") from error
    settings = TrainingSettings(
        architecture=architecture,
        scale=scale,
        **size_of(architecture, blocks, channels),
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
        trained_for=trained_for,
        frozen_statistics=frozen_statistics,
    )
    start = None if initial is None else find_initial(initial, scale)
    trainer = Trainer(
        settings, pictures, run, initial=start, compile_step=compile_step, report=typer.echo
    )
    seconds = None if stop_after is None else 60 * stop_after
    trainer.train(validate_every=validate_every, stop_after=seconds)
