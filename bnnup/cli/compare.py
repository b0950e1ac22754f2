"""``bnnup compare``"""

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    source: Annotated[
        Path, typer.Argument(metavar="A", exists=True, dir_okay=False, help="The small picture.")
    ],
    result: Annotated[
        Path, typer.Argument(metavar="B", exists=True, dir_okay=False, help="The same, enlarged.")
    ],
    original: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The original, to score against."),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Part of B to look at closely; by default, where it differs most from bicubic.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="A picture with all of them side by side, such as sheet.png."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="One self-contained page with a slider.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The scores as one JSON object on standard output.")
    ] = False,
) -> None:
    """Put bicubic, a result and the original side by side."""
    from bnnup.measure import compare as looking
    from bnnup.pictures import formats, write
    from bnnup.pictures.picture import Picture
    from bnnup.system import files

    if output is None and html is None:
        raise typer.BadParameter("name a sheet with -o, a page with --html, or both")
    try:
        box = None if crop is None else looking.read_crop(crop)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if output is not None:
        formats.format_of(output)
    for path in (output, html):
        if path is not None:
            files.check_writable(path, force=force)
    views = looking.load_views(source, result, original)
    if output is not None:
        sheet = looking.draw_sheet(views, box or looking.find_crop(views))
        write.write_picture(Picture(sheet), output)
    if html is not None:
        with files.writing(html) as file:
            file.write(looking.make_page(views).encode())
    if as_json:
        typer.echo(json.dumps(looking.to_dict(views)))
    else:
        for view in views:
            height, width = view.pixels.shape[:2]
            typer.echo(f"{view.caption}  {width}×{height}", err=True)
