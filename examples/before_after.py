"""Bicubic beside bnnup, ×4: python examples/before_after.py docs/before_after.png"""

import sys
from pathlib import Path

from PIL import Image

import bnnup

EXAMPLES = Path(__file__).parent
CROPS = {  # left, top, right, bottom in pixels of the small picture
    "astronaut.png": (75, 20, 155, 90),
    "chelsea.png": (80, 30, 160, 100),
    "coffee.png": (120, 60, 200, 130),
}
SCALE = 4

upscaler = bnnup.load(scale=SCALE)
rows = []
for name, crop in CROPS.items():
    small = Image.open(EXAMPLES / name)
    large = small.width * SCALE, small.height * SCALE
    box = tuple(SCALE * edge for edge in crop)
    bicubic = small.resize(large, Image.Resampling.BICUBIC)
    rows.append([bicubic.crop(box), upscaler(small).crop(box)])

width, height = rows[0][0].size
sheet = Image.new("RGB", (2 * width + 4, len(rows) * (height + 4) - 4), "white")
for i, row in enumerate(rows):
    for j, picture in enumerate(row):
        sheet.paste(picture, (j * (width + 4), i * (height + 4)))
sheet.save(sys.argv[1], optimize=True)
