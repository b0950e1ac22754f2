"""``bnnup upscale``"""

import json
from pathlib import Path
from typing import Annotated

import typer

Scale = Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="2, 3 or 4.")]
ModelName = Annotated[
    str, typer.Option("-m", "--model", help="A model's name, or a path to a .safetensors file.")
]


def upscale(
    source: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, dir_okay=False, help="The picture.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to write it; beside the input if not given."),
    ] = None,
    scale: Scale = 2,
    model: ModelName = "edsr",
    tile: Annotated[
        int | None,
        typer.Option(min=1, help="Input pixels a tile, each way; by default what --memory allows."),
    ] = None,
    memory: Annotated[
        int, typer.Option(min=1, help="Megabytes to work in, beside the pictures themselves.")
    ] = 400,
    threads: Annotated[
        int | None,
        typer.Option(min=1, envvar="BNNUP_THREADS", help="By default as many as there are cores."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on standard output.")
    ] = False,
) -> None:
    """Enlarge a picture 2, 3 or 4 times."""
    from bnnup import formats, image, report
    from bnnup.cli.progress import progress_bar
    from bnnup.upscaler import load

    target = output or source.with_name(f"{source.stem}_x{scale}{source.suffix}")
    encoding = formats.Encoding(formats.format_of(target))
    formats.check_writable(target, force=force)
    picture = image.read_picture(source)
    height, width = picture.pixels.shape[:2]
    formats.check_fits(picture, (width * scale, height * scale), encoding, target.name)
    upscaler = load(model, scale=scale, tile=tile, memory=memory << 20, threads=threads)
    with progress_bar(source.name, quiet=as_json) as progress, report.stopwatch() as seconds:
        pixels = upscaler.enlarge(picture.pixels, progress)
    formats.write_picture(image.Picture(pixels, picture.info), target)
    result = report.Report.of(upscaler, model, picture.pixels.shape, seconds(), str(target))
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    else:
        typer.echo(result.to_text(), err=True)
