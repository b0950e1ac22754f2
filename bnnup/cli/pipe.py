"""``bnnup pipe``"""

import sys
from typing import Annotated

import typer

from bnnup.cli.options import Backend, Memory, ModelName, Scale, Threads


def pipe(
    scale: Scale = 2,
    model: ModelName = "auto",
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="WxH:PIX_FMT",
            help="Raw frames instead of YUV4MPEG2: 640x360:yuv420p, 640x360:nv12 …",
        ),
    ] = None,
    memory: Memory = 400,
    threads: Threads = None,
    backend: Backend = None,
) -> None:
    """Enlarge uncompressed video from standard input to standard output.

    ffmpeg -i in.mkv -f yuv4mpegpipe -strict -1 - | bnnup pipe | ffmpeg -i - out.mkv
    """
    from bnnup.upscale.choice import for_film
    from bnnup.upscale.upscaler import load
    from bnnup.video import y4m
    from bnnup.video.pipe import enlarge_stream

    stream = None if raw is None else y4m.read_raw_format(raw)
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise typer.BadParameter("standard input and output must be pipes or files")
    name = for_film(model, scale).model
    upscaler = load(name, scale=scale, memory=memory << 20, threads=threads, backend=backend)
    # Unbuffered: neither blocks the end of the program, whoever still waits for it.
    with (
        open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as source,
        open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as target,
    ):
        tally = enlarge_stream(upscaler, source, target, stream)
    if tally.is_whole:
        typer.echo(f"frames: {tally.frames}, pixels reused: {tally.reused:.0%}", err=True)
