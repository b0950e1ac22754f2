"""Pictures to train on, or to score by."""

from pathlib import Path

ORIGINALS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def originals_in(folder: Path) -> list[Path]:
    """Pictures to train on or to score by, directly inside a folder, in order of name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ORIGINALS)
