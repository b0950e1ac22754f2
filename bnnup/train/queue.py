"""Trains everything, in order, by one command that may be killed at any time."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bnnup.measure.benchmark import benchmark, mean
from bnnup.model.file import Model, load_model, save_model
from bnnup.model.zoo import NETWORKS, SCALES, Network
from bnnup.system.files import replacing
from bnnup.train.loop import LATENT, MODEL, Trainer, is_finished
from bnnup.train.settings import TrainingSettings
from bnnup.upscale.upscaler import Upscaler

BENCHMARKS = ("Set5", "Set14")
# Those for screenshots have pictures of their own, which ``train.pages`` draws.
QUEUED = tuple(network for network in NETWORKS if network.trained_for != "screen")
FROM_BODY = 2 / 3  # learning rate of ×3 and ×4, which start from a trained body
ORIGIN = {
    "licence": "MIT",
    "training_pictures": "freely licensed pictures only; sources in weights/ATTRIBUTION.md",
}

# In which order networks are trained, by name and scale: those that are chosen for pictures
# early, ``edsr`` and its kind last. What starts from a body comes after it.
ORDER = (
    *((name, scale) for name in ("hybrid", "hybrid-large") for scale in SCALES),
    *(("hybrid-large-real", 2), ("hybrid-large-real", 4), ("hybrid-large-real", 3)),
    *(("hybrid-large-film", 2), ("hybrid-large-film", 4), ("hybrid-large-film", 3)),
    *((name, scale) for name in ("srresnet", "rcan", "rdn") for scale in (2, 4, 3)),
    *(("edsr-small", 2), ("edsr-small-real", 2), ("edsr-small-real", 3), ("edsr-small-real", 4)),
    *(("edsr-small", 3), ("edsr-small", 4), ("edsr", 2), ("edsr", 3), ("edsr", 4)),
    *(("edsr-real", 2), ("edsr-real", 4), ("edsr-real", 3)),
)


def settings_for(network: Network, scale: int, base: TrainingSettings) -> TrainingSettings:
    """``base`` for a network of the table.

    Its steps are those of a ×2 run from scratch. What starts from a body takes half as
    many, at a lower rate, and is binary from the first.
    """
    settings = replace(
        base,
        architecture=network.architecture,
        scale=scale,
        blocks=network.blocks,
        channels=network.channels,
        optimizer=network.optimizer,
        learning_rate=network.learning_rate,
        trained_for=network.trained_for,
    )
    if scale == 2 and network.body is None:
        return settings
    return replace(
        settings,
        steps=max(base.steps // 2, 1),
        learning_rate=network.learning_rate * FROM_BODY,
        real_weights=0.0,
    )


def run_queue(
    pictures: Sequence[Path],
    runs: Path,
    weights: Path,
    *,
    base: TrainingSettings,
    validate_every: int,
    bench: Path | None = None,
    networks: tuple[Network, ...] = QUEUED,
    compile_step: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Trains what is missing or unfinished, and bundles each model when its run ends.

    Runs lie in ``runs/<name>-x<scale>-<steps>``, models in ``weights``, and their latent
    weights in ``weights/latent``. ``bench`` holds the benchmark sets as ``<set>/HR``;
    scores are recorded, never chosen by.
    """
    known = {network.name: network for network in networks}
    order = [(name, scale) for name, scale in ORDER if name in known]
    order += [(name, scale) for name in known for scale in SCALES if (name, scale) not in order]
    for name, scale in order:
        network = known[name]
        label = f"{name}-x{scale}"
        settings = settings_for(network, scale, base)
        run = runs / f"{label}-{base.steps}"
        report(f"{label}: {settings.steps} steps in {run}")
        if not is_finished(run, settings):
            trainer = Trainer(
                settings,
                pictures,
                run,
                initial=_body(network, scale, runs, base.steps),
                compile_step=compile_step,
                report=report,
            )
            trainer.train(validate_every=validate_every)
        if bundle(run, weights / f"{label}.safetensors", bench):
            report(f"{label}: bundled")


def _body(network: Network, scale: int, runs: Path, steps: int) -> Path | None:
    """The run that a network starts from: its own ×2 run, or that of the network it refines."""
    if scale != 2:
        return runs / f"{network.name}-x2-{steps}"
    return None if network.body is None else runs / f"{network.body}-x2-{steps}"


def bundle(run: Path, target: Path, bench: Path | None) -> bool:
    """Puts a run's model, with its scores, where models lie, unless a better one is there.

    Better is what validates better on held-out training pictures, at the same scale. The
    latent weights go to the folder ``latent`` beside it.
    """
    model = load_model(run / MODEL)
    if target.exists() and _validated(load_model(target)) >= _validated(model):
        return False
    scores = {} if bench is None else {"scores": score_benchmarks(model, bench)}
    latent = target.parent / "latent" / target.name
    latent.parent.mkdir(parents=True, exist_ok=True)
    with replacing(latent) as temporary:
        shutil.copyfile(run / LATENT, temporary)
    # The model comes last: where it lies, all of the bundle does.
    save_model(replace(model, about={**model.about, **ORIGIN, **scores}), target)
    return True


def score_benchmarks(model: Model, bench: Path) -> dict[str, dict[str, float]]:
    """Mean scores of a model and of bicubic on each benchmark set."""
    upscaler = Upscaler(model)
    means = {}
    for name in BENCHMARKS:
        rows = [row for _, row in benchmark(upscaler, bench / name / "HR")]
        means[name] = {key: round(value, 4) for key, value in vars(mean(rows)).items()}
    return means


def _validated(model: Model) -> float:
    return float(model.about.get("training", {}).get("validation_psnr", 0.0))
