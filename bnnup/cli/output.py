"""What the command line says to people: on standard error, in its own words."""

import codecs
import sys
import unicodedata
from io import TextIOWrapper

import typer

# Signs of ours that the oldest consoles lack, and what stands for them there.
PLAIN = {"×": "x", "−": "-", "–": "-", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "’": "'"}

# How the options that errors hint at are given here.
HINTS = {
    "force": "overwrite it with --force",
    "output": "name another with -o",
    "force or output": "name another with -o, or overwrite it with --force",
    "megapixels": "if that is its real size, raise --max-megapixels",
    "scale": "choose it with -s",
    "repository": "name a repository that has it with 'bnnup --hub-repo owner/repo …'",
    "models": "'bnnup models' lists what there is",
    "memory": "allow more with --memory",
    "threads": "lower --threads",
    "encoding": "try another --codec, --preset or --scale-to",
    "sides": "choose others with --fit or --scale-to, or another --codec",
    "codec": "choose another --codec",
    "codec or extension": "choose another --codec, or another extension for the output",
    "pix_fmt": "convert with --pix-fmt",
    "pix_fmt or codec": "choose another --codec, or convert with --pix-fmt",
    "pix_fmt or ffv1": "choose --codec ffv1 and an .mkv output, or convert with --pix-fmt",
    "aspect": "use --codec x264 or x265, an .mp4 output, or --scale-to for square pixels",
    "parts": "choose them with --start and --duration",
    "audio_codec": "choose another --audio-codec, like aac, opus or flac",
    "probe": "look farther into the film for them with --probe 00:10:00, or leave them out with "
    "--drop-misfits",
    "drop_misfits": "leave them out with --drop-misfits, or convert audio with --audio-codec",
    "frames": "choose a smaller size with --fit, or another --codec: ffv1 needs the least",
    "dolby": "take the film without it all the same with --drop-misfits",
    "deinterlace": "deinterlace it with --deinterlace, or with --bob for a frame from each field; "
    "if it is a cinema film of 29.97 frames a second, use --detelecine",
    "discard": "or discard it with --force",
    "raw": "or describe raw frames with --raw",
    "port": "choose another with --port",
    "cluster": "start one with 'ray start --head', or use --cluster local",
}


def print_everywhere() -> None:
    """Makes standard output accept any text, in the letters that its encoding has."""
    codecs.register_error("plain", _plain)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Letters without their accents, for codecs; ? where there is none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    bare = (PLAIN.get(sign, unicodedata.normalize("NFKD", sign)[0]) for sign in text)
    return "".join(sign if sign.isascii() else "?" for sign in bare), error.end


def with_hint(text: str, hint: str) -> str:
    """An error's text, and what to do about it."""
    return f"{text}; {HINTS[hint]}" if hint in HINTS else text


def printable(text: str) -> str:
    """A line of text that is safe on a terminal: names of files may hold anything."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def warn(text: str, kind: str = "warning") -> None:
    """A line on standard error."""
    typer.secho(printable(f"{kind}: {text}"), fg={"error": "red"}.get(kind, "yellow"), err=True)
