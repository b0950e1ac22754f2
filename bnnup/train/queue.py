"""Everything that is to be trained, in order, by one command that may be killed at any time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bnnup.measure.benchmark import benchmark, mean
from bnnup.model.file import Model, load_model, save_model
from bnnup.model.zoo import NETWORKS, Network
from bnnup.train.loop import MODEL, Trainer
from bnnup.train.settings import Settings
from bnnup.upscale.upscaler import Upscaler

BENCHMARKS = ("Set5", "Set14")
FROM_BODY = 2 / 3  # learning rate of ×3 and ×4, which start from a trained body
ORIGIN = {
    "licence": "MIT",
    "training_pictures": "freely licensed pictures only; sources in weights/ATTRIBUTION.md",
}


SCALES = (2, 4, 3)


def settings_for(network: Network, scale: int, base: Settings) -> Settings:
    """``base`` for a network of the table.

    Its steps are those of the ×2 run, from scratch; ×3 and ×4 begin with the ×2 body and
    take half as many.
    """
    settings = replace(
        base,
        architecture=network.architecture,
        blocks=network.blocks,
        channels=network.channels,
        learning_rate=network.learning_rate,
    )
    if scale == 2:
        return settings
    return replace(
        settings,
        scale=scale,
        steps=max(base.steps // 2, 1),
        learning_rate=network.learning_rate * FROM_BODY,
        real_weights=0.0,
    )


def run_queue(
    pictures: Path,
    runs: Path,
    weights: Path,
    *,
    base: Settings,
    validate_every: int,
    bench: Path | None = None,
    networks: tuple[Network, ...] = NETWORKS,
    compile_step: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Trains what is missing or unfinished, and bundles each model when its run ends.

    Runs lie in ``runs/<name>-x<scale>-<steps>``, models in ``weights``. ``bench`` holds
    the benchmark sets as ``<set>/HR``; scores are recorded, never chosen by.
    """
    for network in networks:
        for scale in SCALES:
            name = f"{network.name}-x{scale}"
            settings = settings_for(network, scale, base)
            body = None if scale == 2 else runs / f"{network.name}-x2-{base.steps}"
            run = runs / f"{name}-{base.steps}"
            report(f"{name}: {settings.steps} steps in {run}")
            trainer = Trainer(
                settings, pictures, run, initial=body, compile_step=compile_step, report=report
            )
            trainer.train(validate_every=validate_every)
            if bundle(run / MODEL, weights / f"{name}.safetensors", bench):
                report(f"{name}: bundled")


def bundle(source: Path, target: Path, bench: Path | None) -> bool:
    """Puts a trained model, with its scores, where models lie, unless a better one is there.

    Better is what validates better on held-out training pictures, at the same scale.
    """
    model = load_model(source)
    if target.exists() and _validated(load_model(target)) >= _validated(model):
        return False
    scores = {} if bench is None else {"scores": score(model, bench)}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_model(replace(model, about={**model.about, **ORIGIN, **scores}), target)
    return True


def score(model: Model, bench: Path) -> dict[str, dict[str, float]]:
    """Mean scores of a model and of bicubic on each benchmark set."""
    upscaler = Upscaler(model)
    means = {}
    for name in BENCHMARKS:
        rows = [row for _, row in benchmark(upscaler, bench / name / "HR")]
        means[name] = {key: round(value, 4) for key, value in vars(mean(rows)).items()}
    return means


def _validated(model: Model) -> float:
    return float(model.about.get("training", {}).get("validation_psnr", 0.0))
