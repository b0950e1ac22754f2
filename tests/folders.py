"""Folders of pictures and of results, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bnnup.folders.ledger import NAME


def save(path: Path, seed: int = 0, shape: tuple[int, ...] = (9, 12, 3), **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the record, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != NAME
    }


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]
