"""The page that introduces a repository of models on the Hub."""

from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCardData
from PIL import Image

from bnnup.model.cost import count
from bnnup.model.file import Model
from bnnup.model.listing import scores_of
from bnnup.upscale.upscaler import Upscaler

EXAMPLE = "example.png"
CROP = 192  # pixels each way, at most, of the picture that is enlarged as an example
WIDTH, HEIGHT = 320, 180  # pixels of the small picture for which work is counted
TAGS = ("super-resolution", "image-upscaling", "binary-neural-network", "cpu")
METRICS = {"psnr": "PSNR (dB, luma)", "ssim": "SSIM (luma)"}

BODY = """
# {title}

One-bit networks for bnnup, which enlarges photos and video on an ordinary CPU: weights and
activations are one bit, and an XNOR-popcount engine runs them. They are faithful: they restore
edges and lines, and invent no texture.
{example}
## Use

```sh
bnnup upscale photo.jpg -s {scale} -m {name}
```

```python
import bnnup

upscaler = bnnup.load("{name}", scale={scale})
large = upscaler(picture)  # a PIL image or an array
```

## Models

| file | scale | size | parameters | OPs at {width}×{height} | {headings} |
|---|---|---|---|---|{rules}|
{rows}

Scores are PSNR in dB / SSIM on luma with `scale` pixels shaved from each border, bicubic's after
them. OPs are binary multiply-adds / 64 + full-precision multiply-adds.

## Origin

{origin}
"""


def make_card(
    models: Mapping[str, Model],
    repository: str,
    *,
    licence: str | None = None,
    example: bool = False,
) -> str:
    """The text of README.md for files by name, smallest scale first; ``example``: show EXAMPLE."""
    first = next(iter(models.values()))
    sets = sorted({name for model in models.values() for name in scores_of(model) or {}})
    body = BODY.format(
        title=repository.partition("/")[2],
        name=repository if _is_unambiguous(models) else f"{repository}/{next(iter(models))}",
        scale=first.program.scale,
        width=WIDTH,
        height=HEIGHT,
        headings=" | ".join(sets) or " ",
        rules="|".join("---" for _ in sets) or "---",
        rows="\n".join(_row(file, model, sets) for file, model in models.items()),
        example=f"\n![Bicubic on the left, a model on the right]({EXAMPLE})\n" if example else "",
        origin="\n".join(_origin(file, model) for file, model in models.items()),
    )
    return f"---\n{_metadata(models, repository, licence).to_yaml()}\n---\n{body}"


def draw_example(picture: Image.Image, model: Model) -> Image.Image:
    """The middle of a picture, enlarged: bicubic on the left, the network on the right."""
    width, height = (min(length, CROP) for length in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    small = picture.convert("RGB").crop((left, top, left + width, top + height))
    large = Upscaler(model)(small)
    pair = Image.new("RGB", (2 * large.width, large.height))
    pair.paste(small.resize(large.size, Image.Resampling.BICUBIC), (0, 0))
    pair.paste(large, (large.width, 0))
    return pair


def licence_of(models: Mapping[str, Model]) -> str:
    """As the Hub writes licences; "other" where they differ, "unknown" where none is given."""
    licences = {str(model.about.get("licence", "unknown")).lower() for model in models.values()}
    return licences.pop() if len(licences) == 1 else "other"


def _metadata(models: Mapping[str, Model], repository: str, licence: str | None) -> ModelCardData:
    datasets = sorted({d for model in models.values() for d in _strings(model, "datasets")})
    architectures = {str(model.about.get("architecture", "")) for model in models.values()}
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name=f"Image super-resolution ×{model.program.scale}",
            dataset_type=name.lower(),
            dataset_name=f"{name} ×{model.program.scale}",
            dataset_config=file.removesuffix(".safetensors"),
            metric_type=metric,
            metric_name=label,
            metric_value=scores[metric],
        )
        for file, model in models.items()
        for name, scores in (scores_of(model) or {}).items()
        for metric, label in METRICS.items()
        if metric in scores
    ]
    return ModelCardData(
        license=licence or licence_of(models),
        library_name="bnnup",
        pipeline_tag="image-to-image",
        tags=[*TAGS, *sorted(architectures - {""})],
        datasets=datasets or None,
        metrics=list(METRICS) if results else None,
        model_name=repository.partition("/")[2],
        eval_results=results or None,
    )


def _row(file: str, model: Model, sets: list[str]) -> str:
    cost = count(model.program, HEIGHT, WIDTH)
    cells = [f"`{file}`", f"×{model.program.scale}", f"{model.file_bytes / 1e3:.0f} kB"]
    cells += [f"{cost.parameters:,}", f"{cost.ops / 1e9:.2f} G"]
    cells += [_score((scores_of(model) or {}).get(name, {})) for name in sets] or [""]
    return f"| {' | '.join(cells)} |"


def _score(scores: Mapping[str, float]) -> str:
    if not {"psnr", "ssim"} <= scores.keys():
        return ""
    text = f"**{scores['psnr']:.2f}** / {scores['ssim']:.4f}"
    if not {"bicubic_psnr", "bicubic_ssim"} <= scores.keys():
        return text
    return f"{text} ({scores['bicubic_psnr']:.2f} / {scores['bicubic_ssim']:.4f})"


def _origin(file: str, model: Model) -> str:
    """What the file says of itself, apart from the scores."""
    facts = []
    for key, value in model.about.items():
        if key != "scores":
            parts = value.items() if isinstance(value, dict) else [(None, value)]
            told = ", ".join(f"{part} {told}" if part else str(told) for part, told in parts)
            facts.append(f"{key.replace('_', ' ')}: {told}")
    return f"- `{file}`: {'; '.join(facts) or 'nothing is known'}."


def _strings(model: Model, key: str) -> list[str]:
    value = model.about.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_unambiguous(models: Mapping[str, Model]) -> bool:
    scales = [model.program.scale for model in models.values()]
    return len(set(scales)) == len(scales)
