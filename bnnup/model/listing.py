"""What models there are, where they are, and what is in them."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bnnup.errors import ModelNotFoundError
from bnnup.model.cost import count
from bnnup.model.file import Model, load_model
from bnnup.model.find import default_repository
from bnnup.model.zoo import ZOO, entries_named


@dataclass(frozen=True)
class Row:
    """A model in the list: ``where`` is "bundled", "cached" or "known".

    What is only known has no path, and nothing is known of its content.
    """

    name: str
    scale: int
    where: str
    description: str = ""
    repository: str | None = None
    path: str | None = None
    bytes: int | None = None
    licence: str | None = None
    scores: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_models() -> list[Row]:
    """Every model in the package, then those in the cache, then those only known by name."""
    from bnnup.model import hub

    bundled, known = [], []
    cached = [
        _row(str(item.place), "cached", item.path, item.model, item.place.repository)
        for item in hub.list_cached()
    ]
    for entry in ZOO:
        if path := entry.bundled_path:
            row = _row(entry.label, "bundled", path, load_model(path))
            bundled.append(replace(row, description=entry.description))
        else:
            known.append(
                Row(entry.label, entry.scale, "known", entry.description, default_repository())
            )
    return bundled + cached + known


def _row(name: str, where: str, path: Path, model: Model, repository: str | None = None) -> Row:
    about = model.about
    return Row(
        name=name,
        scale=model.program.scale,
        where=where,
        description=str(about.get("architecture", "")),
        repository=repository,
        path=str(path),
        bytes=path.stat().st_size,
        licence=str(about["licence"]) if "licence" in about else None,
        scores=scores_of(model),
    )


def scores_of(model: Model) -> dict[str, dict[str, float]] | None:
    """``{"Set5": {"psnr": 37.2, …}}`` as far as the file has such; it may hold anything."""
    scores = model.about.get("scores")
    if not isinstance(scores, dict):
        return None
    return {
        name: {key: value for key, value in row.items() if isinstance(value, int | float)}
        for name, row in scores.items()
        if isinstance(row, dict)
    }


def remove(name: str, scale: int | None = None) -> list[Path]:
    """Removes a model from the cache; ModelNotFoundError if there is nothing to remove."""
    from bnnup.model import hub

    entries = [entry for entry in entries_named(name) if scale in (None, entry.scale)]
    if any(entry.bundled_path for entry in entries):
        raise ModelNotFoundError(f"{name} is part of the package, not of the cache: it stays")
    names = [f"{default_repository()}/{entry.file}" for entry in entries] or [name]
    removed = []
    for item in hub.list_cached():
        for place in map(hub.Place.parse, names):
            if item.belongs_to(place) and scale in (None, item.model.program.scale):
                hub.discard(item.path)
                removed.append(item.path)
    if not removed:
        raise ModelNotFoundError(f"{name} is not in the cache", hint="models")
    return removed


def describe(path: Path, width: int, height: int) -> dict[str, Any]:
    """What is in a model file, and its work on a picture of ``width`` × ``height`` pixels."""
    model = load_model(path)
    cost = count(model.program, height, width)
    return {
        "path": str(path),
        "scale": model.program.scale,
        "bytes": path.stat().st_size,
        "fp32_bytes": cost.fp32_bytes,
        "parameters": cost.parameters,
        "binary_parameters": cost.binary_parameters,
        "operations": dict(Counter(operation.op for operation in model.program.operations)),
        "halo": model.program.halo,
        "width": width,
        "height": height,
        "binary_macs": cost.binary_macs,
        "full_macs": cost.full_macs,
        "ops": cost.ops,
        "about": model.about,
    }
