"""Colour conversion against the matrix of BT.601 in float64."""

import numpy as np

from bnnup.pixels import color

BT601 = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.5],
        [0.5, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


def random_rgb() -> np.ndarray:
    return np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)


def test_split_is_bt601() -> None:
    rgb = random_rgb()
    expected = rgb.astype(np.float64) @ BT601.T
    np.testing.assert_allclose(np.stack(color.split(rgb), -1), expected, atol=1e-6)


def test_merge_is_the_inverse() -> None:
    rgb = random_rgb()
    expected = np.stack(color.split(rgb), -1).astype(np.float64) @ np.linalg.inv(BT601).T
    np.testing.assert_allclose(color.merge(*color.split(rgb)), expected, atol=1e-6)


def test_every_8_bit_grey_survives_unchanged() -> None:
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    grey = np.repeat(levels[:, None, None], 3, axis=2)
    back = np.rint(color.merge(*color.split(grey)) * 255)
    np.testing.assert_array_equal(back[:, 0], np.arange(256)[:, None].repeat(3, 1))
