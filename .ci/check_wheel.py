"""Whether an installed wheel works: every kernel of this machine enlarges to the same bits.

Needs what the wheel needs, no compiler and no network.
"""

import os
import sys

import numpy as np

import bnnup
from bnnup.backends import engine


def main() -> None:
    random = np.random.default_rng(1)
    picture = random.integers(0, 256, (40, 60, 3), np.uint8)
    results = {}
    for kernel in engine.kernels():
        os.environ["BNNUP_KERNEL"] = kernel
        results[kernel] = bnnup.load("edsr-small", scale=2)(picture).tobytes()
    print(f"{sys.platform}: {', '.join(results)}")
    if len(set(results.values())) != 1:
        sys.exit("the kernels differ")


if __name__ == "__main__":
    main()
