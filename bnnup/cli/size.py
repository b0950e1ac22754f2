"""How large results should be, as people write it, for pictures and films."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bnnup.upscale.size import Size

PANEL = "Size of the result"


def read_factor(text: str) -> float:
    """ "2", "2.5", "2x" or "x2"."""
    try:
        return float(text.strip().lower().replace("×", "x").strip("x"))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a number; try 2 or 2.5") from error


Factor = Annotated[
    float | None,
    typer.Option(
        *("-s", "--scale"),
        parser=read_factor,
        metavar="FACTOR",
        help="How many times larger: 2 (default), 3, 4, 2.5 …",
    ),
]
Width = Annotated[int | None, typer.Option(min=1, help="Width in pixels.", rich_help_panel=PANEL)]
Height = Annotated[int | None, typer.Option(min=1, help="Height in pixels.", rich_help_panel=PANEL)]
Fit = Annotated[
    str | None,
    typer.Option(
        metavar="WxH", help="The largest size that fits into a box.", rich_help_panel=PANEL
    ),
]
Megapixels = Annotated[
    float | None, typer.Option(help="Width times height, in megapixels.", rich_help_panel=PANEL)
]


def read_size(
    factor: float | None,
    width: int | None,
    height: int | None,
    fit: str | None,
    megapixels: float | None,
) -> "Size":
    """What the options say; twice as large if they say nothing."""
    from bnnup.upscale.size import Size, read_box

    if (factor, width, height, fit, megapixels) == (None,) * 5:
        factor = 2
    try:
        return Size(factor, width, height, None if fit is None else read_box(fit), megapixels)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
