"""Enlarges a picture four times: python examples/enlarge.py examples/coffee.png large.png"""

import sys

from PIL import Image

import bnnup

source, target = sys.argv[1:]
upscaler = bnnup.load(scale=4)
upscaler(Image.open(source)).save(target)
