"""``bnnup train``"""

from pathlib import Path
from typing import Annotated

import typer

from bnnup.cli.options import Scale
from bnnup.train.settings import CONTINUED, TrainingSettings, complete

Pictures = Annotated[
    list[Path],
    typer.Argument(
        metavar="PICTURES...", exists=True, file_okay=False, help="Folders of originals."
    ),
]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Steps between validations.")]
CompileStep = Annotated[
    bool, typer.Option("--compile", help="Compile the training step: a slower start, then faster.")
]


def train(
    pictures: Pictures,
    run: Annotated[
        Path,
        typer.Option(
            "-o", "--run", help="Folder for the run; a run that is already there is resumed."
        ),
    ],
    scale: Scale = 2,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="The backbone, such as edsr or rcan; by default, that of --from, or "
            f"{TrainingSettings.architecture}."
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of blocks; by default, that of --from, or the architecture's own."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of channels; by default, that of --from, or the architecture's own."
        ),
    ] = None,
    trained_for: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="What to train for: clean reductions, real (damaged) pictures, film (compressed "
            "ones), or screen, which is drawn at several sizes; by default, what --from was "
            f"trained for, or {TrainingSettings.trained_for}.",
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Length of the schedule in steps.")
    ] = TrainingSettings.steps,
    minutes: Annotated[
        float | None,
        typer.Option(help="Fit the schedule into so many minutes of training instead."),
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(help="Stop after so many minutes; the same command resumes."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Patches per step and device.")
    ] = TrainingSettings.batch,
    patch: Annotated[
        int, typer.Option(min=1, help="Side of a small patch in pixels.")
    ] = TrainingSettings.patch,
    loss: Annotated[
        str,
        typer.Option(
            help="l1, mean absolute error; mse, mean square error; psnr, the mean PSNR of patches, "
            "best for a last, short run."
        ),
    ] = TrainingSettings.loss,
    optimizer: Annotated[
        str, typer.Option(help="adam, or soap: slower steps that bring more.")
    ] = TrainingSettings.optimizer,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate at its peak; by default, "
            f"{CONTINUED['learning_rate']} with --from, or {TrainingSettings.learning_rate}."
        ),
    ] = None,
    warm_up: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run in which the learning rate rises.")
    ] = TrainingSettings.warm_up,
    real_weights: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the run before weights turn binary; by default, "
            f"{CONTINUED['real_weights']} with --from, or {TrainingSettings.real_weights}.",
        ),
    ] = None,
    held_out: Annotated[
        int,
        typer.Option(min=1, help="Pictures of each folder kept for validation, at most an eighth."),
    ] = TrainingSettings.held_out,
    validate_every: ValidateEvery = 1000,
    precision: Annotated[
        str, typer.Option(help="bf16, no (float32), or auto: bf16 where that is faster.")
    ] = TrainingSettings.precision,
    seed: Annotated[
        int, typer.Option(help="Seed for weights and patches.")
    ] = TrainingSettings.seed,
    frozen_statistics: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of the run, at its end, that uses batch norm's averages."
        ),
    ] = TrainingSettings.frozen_statistics,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Start from a run, a checkpoint, latent weights, a model file or a known model.",
        ),
    ] = None,
    compile_step: CompileStep = False,
) -> None:
    """Train a network on folders of pictures, or continue a run.

    --from hybrid-large fine-tunes the bundled network on your pictures.
    """
    from bnnup.errors import TrainingError, how_to_install

    try:
        from bnnup.train.initial import describe_initial, find_initial
        from bnnup.train.loop import Trainer
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error}; training needs {how_to_install('train')}") from error
    start = None if initial is None else find_initial(initial, scale)
    began = {} if initial is None else CONTINUED | describe_initial(initial, scale)
    chosen = complete(
        began,
        architecture=architecture,
        blocks=blocks,
        channels=channels,
        trained_for=trained_for,
        learning_rate=learning_rate,
        real_weights=real_weights,
    )
    settings = TrainingSettings(
        **chosen,
        scale=scale,
        steps=steps,
        minutes=minutes,
        batch=batch,
        patch=patch,
        loss=loss,
        optimizer=optimizer,
        warm_up=warm_up,
        held_out=held_out,
        precision=precision,
        seed=seed,
        frozen_statistics=frozen_statistics,
    )
    trainer = Trainer(
        settings, pictures, run, initial=start, compile_step=compile_step, report=typer.echo
    )
    seconds = None if stop_after is None else 60 * stop_after
    trainer.train(validate_every=validate_every, stop_after=seconds)
