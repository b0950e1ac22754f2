"""A tiny run, and pictures for it, for tests of training."""

from pathlib import Path

import numpy as np
from PIL import Image

from bnnup.train.loop import Trainer
from bnnup.train.settings import TrainingSettings

TINY = TrainingSettings(blocks=1, channels=8, steps=12, batch=2, patch=8, held_out=1, warm_up=0.2)
SIZES = [(40, 56), (48, 36), (64, 64), (37, 41)]


def write_pictures(folder: Path) -> Path:
    """Smooth random pictures, so that there is something to learn."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        noise = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        noise.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def trained(settings: TrainingSettings, pictures: Path, run: Path, **options: float) -> Trainer:
    trainer = Trainer(settings, [pictures], run)
    trainer.train(validate_every=4, **options)
    return trainer
