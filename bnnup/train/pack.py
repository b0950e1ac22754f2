"""Training pictures in a small folder: python -m bnnup.train.pack FOLDER ... -o PACKED

Networks learn from luma alone, so grey JPEGs do: 711 pictures of 263 megapixels become 54 MiB.
Compressed once more, they are for where a folder has to be carried; what is kept for good
is better trained from the pictures themselves.
"""

import argparse
from pathlib import Path

from PIL import Image

from bnnup.errors import TrainingError
from bnnup.train.pictures import list_pictures, read_pixels

QUALITY = 88


def pack(folders: list[Path], packed: Path, quality: int = QUALITY) -> int:
    """Writes the pictures of all folders as grey JPEGs under their names; how many there are.

    TrainingError for two of one name, and for a ``packed`` that is there already.
    """
    paths = list_pictures(*folders)
    names = [path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrainingError(f"two pictures are called {twice[0]}; rename one")
    try:
        packed.mkdir(parents=True)
    except FileExistsError as error:
        raise TrainingError(f"{packed} exists; name a new folder") from error
    for path in paths:
        grey = Image.fromarray(read_pixels(path)).convert("L")
        grey.save(packed / f"{path.stem}.jpg", quality=quality)
    return len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=QUALITY)
    options = parser.parse_args()
    try:
        pack(options.folders, options.output, options.quality)
    except TrainingError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
