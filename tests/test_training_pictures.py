"""Pictures to train on: which are taken, what is read of them, and the patches they become."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from training import TINY, trained, write_pictures

from bnnup.errors import TrainingError
from bnnup.pixels import bicubic
from bnnup.train.data import CLEAN, WHITE, PatchPool, read_pair
from bnnup.train.loop import Trainer
from bnnup.train.pack import pack
from bnnup.train.pictures import hold_out, list_pictures, read_pixels
from bnnup.train.validation import validate


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_held_out_pictures_are_spread_and_disjoint(pictures: Path) -> None:
    paths = list_pictures(pictures, scale=2)
    assert [path.name for path in paths] == ["0.png", "1.png", "2.png", "3.png"]
    training, validation = hold_out(paths, 36)
    assert [path.name for path in validation] == ["2.png"]  # an eighth, but one at least
    assert sorted(training + validation) == paths
    many = [Path(f"{i:02}.png") for i in range(32)]
    training, validation = hold_out(many, 2)
    assert [path.name for path in validation] == ["08.png", "24.png"]
    assert sorted(training + validation) == many
    assert len(hold_out(many, 36)[1]) == 4


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_are_luma_of_the_8_bit_reduction(pictures: Path, scale: int) -> None:
    high, low = read_pair(pictures / "3.png", scale)
    rgb = np.asarray(Image.open(pictures / "3.png"))
    rgb = rgb[: 37 - 37 % scale, : 41 - 41 % scale]
    weights = np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(high / WHITE, rgb @ weights, atol=1 / WHITE)
    np.testing.assert_allclose(low / WHITE, bicubic.reduce(rgb, scale) @ weights, atol=1 / WHITE)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two pictures drawn at 1x, 2x and 3x, each with one grey per size and place."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    for name in "ab":
        for density in (1, 2, 3):
            rows, columns = np.indices((20 * density, 24 * density)) // density
            grey = 40 * density + (rows + columns) % 7
            path = folder / f"{name}@{density}x.png"
            Image.fromarray(grey.astype(np.uint8)).save(path)
    return folder


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("side", [None, 18])
def test_drawn_pairs_are_what_was_drawn_at_both_sizes(
    drawn: Path, scale: int, side: int | None
) -> None:
    paths = list_pictures(drawn, scale=scale)
    assert [path.name for path in paths] == [f"a@{scale}x.png", f"b@{scale}x.png"]
    high, low = read_pair(paths[0], scale, side)
    if side is not None:
        assert low.shape == (side // scale, side // scale)
    # The same place of the drawing: the two differ by their sizes' greys alone.
    repeated = low.repeat(scale, 0).repeat(scale, 1)
    assert (high - repeated == 40 * (scale - 1) * 128).all()


def test_drawn_pictures_are_whole_multiples(drawn: Path) -> None:
    Image.new("L", (24, 19)).save(drawn / "a@1x.png")
    with pytest.raises(TrainingError, match="not 2 times as large"):
        read_pair(drawn / "a@2x.png", 2)
    with pytest.raises(TrainingError, match="drawn at 4x"):
        list_pictures(drawn, scale=4)


@pytest.mark.parametrize("scale", [2, 3])
def test_patches_are_crops_of_a_picture_under_one_of_eight_symmetries(
    pictures: Path, scale: int
) -> None:
    paths = list_pictures(pictures, scale=scale)
    pool = PatchPool.load(paths, scale, torch.device("cpu"))
    low, high = pool.sample(64, 8, torch.Generator().manual_seed(0))
    assert low.shape == (64, 1, 8, 8)
    assert high.shape == (64, 1, 8 * scale, 8 * scale)
    pairs = [[plane / np.float32(WHITE) for plane in read_pair(p, scale)] for p in paths]
    symmetries = {find_crop(low[i, 0].numpy(), high[i, 0].numpy(), pairs, scale) for i in range(64)}
    assert len(symmetries) == 8


def find_crop(
    low: np.ndarray, high: np.ndarray, pairs: list[list[NDArray[Any]]], scale: int
) -> tuple[int, bool]:
    """The (quarter turns, mirrored) under which both patches stand at one place."""
    for turns in range(4):
        for mirrored in (False, True):
            a, b = (np.rot90(np.fliplr(p) if mirrored else p, turns) for p in (low, high))
            for whole_high, whole_low in pairs:
                windows = np.lib.stride_tricks.sliding_window_view(whole_low, a.shape)
                for top, left in np.argwhere((windows == a).all((2, 3))):
                    rows = slice(top * scale, top * scale + len(b))
                    columns = slice(left * scale, left * scale + len(b))
                    if np.array_equal(whole_high[rows, columns], b):
                        return turns, mirrored
    raise AssertionError("the patch stands nowhere")


def test_pictures_smaller_than_a_patch_are_left_out(pictures: Path) -> None:
    paths = list_pictures(pictures, scale=2, least=48)
    assert [path.name for path in paths] == ["2.png"]  # the others are 36 … 41 pixels high or wide
    with pytest.raises(TrainingError, match=r"as large as a patch of 65 pixels.*smaller patches"):
        list_pictures(pictures, scale=2, least=65)


@pytest.mark.parametrize("side", [1, 7, 31])
def test_a_picture_too_small_to_be_used_changes_nothing(
    pictures: Path, tmp_path: Path, side: int
) -> None:
    """In the midst of the list, where it would be held out, or else trained on."""
    settings = replace(TINY, scale=4)  # patches of 32 pixels
    folder = write_pictures(tmp_path / "pictures")
    Image.new("RGB", (64, side)).save(folder / "1a.png")
    Image.new("RGB", (side, 64)).save(folder / "3a.png")
    plain = trained(settings, pictures, tmp_path / "plain")
    run = trained(settings, folder, tmp_path / "run")
    assert run.best == plain.best > 0
    for name, tensor in plain.network.state_dict().items():
        assert torch.equal(run.network.state_dict()[name], tensor), name


def test_patches_of_a_single_pixel_are_validated(pictures: Path, tmp_path: Path) -> None:
    """Validation shaves pictures, so they may be too small for it where they are not for these."""
    folder = write_pictures(tmp_path / "pictures")
    Image.new("RGB", (4, 4)).save(folder / "1a.png")
    run = trained(replace(TINY, patch=1), folder, tmp_path / "run")
    assert np.isfinite(run.best)


def flat(path: Path, grey: int) -> Path:
    Image.new("L", (64, 64), grey).save(path)
    return path


def test_flat_pictures_do_not_decide_about_a_run(pictures: Path, tmp_path: Path) -> None:
    """A network may hit them exactly at one time and be a level off at another."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for grey in (0, 77):
        flat(folder / f"{grey}.png", grey)
    trainer = Trainer(TINY, [pictures, folder], tmp_path / "run")
    trainer.train(validate_every=4)
    alone = Trainer(TINY, [pictures], tmp_path / "alone")
    alone.network.load_state_dict(trainer.network.state_dict())
    run = trainer._run_network
    assert trainer._score(run) == alone._score(alone._run_network)
    with pytest.raises(TrainingError, match=r"flat centres: .*77\.png; remove"):
        Trainer(TINY, [folder], tmp_path / "other")


def test_an_exact_result_has_a_finite_score(pictures: Path) -> None:
    high, low = read_pair(pictures / "2.png", 2)
    exact = (high / WHITE).astype(np.float32)
    assert validate(lambda luma: exact, [(high, low)], 2) == 100
    off = exact.copy()
    off[20, 20] += 1 / 219 if off[20, 20] < 0.5 else -1 / 219
    assert validate(lambda luma: off, [(high, low)], 2) == pytest.approx(
        10 * np.log10(255**2 * 60 * 60)
    )


@pytest.mark.parametrize("name", ["integers.png", "integers.tif", "floats.tif"])
def test_grey_with_more_than_8_bits_keeps_its_values(tmp_path: Path, name: str) -> None:
    grey = np.full((8, 8), 10000, np.uint16)
    grey[4:] = 40000
    floats = (grey / 65535).astype(np.float32)
    Image.fromarray(floats if name == "floats.tif" else grey).save(tmp_path / name)
    read = read_pixels(tmp_path / name)
    assert read.shape == (8, 8, 3)
    assert read.dtype == np.uint8
    assert (read[:4] == round(10000 / 257)).all()
    assert (read[4:] == round(40000 / 257)).all()


def test_pictures_that_cannot_be_read_are_named(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(tmp_path / "integers.tif")
    with pytest.raises(
        TrainingError, match=r"integers\.tif: its samples are .*; remove or replace"
    ):
        read_pixels(tmp_path / "integers.tif")
    content = (pictures / "2.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"cannot read .*cut\.png: .*; remove or replace"):
        read_pixels(tmp_path / "cut.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(TrainingError, match=r"cannot read .*0\.png: .*; remove or replace"):
        list_pictures(pictures, least=2)


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_what_is_kept_of_damaged_pictures_is_made_anew_if_it_is_broken(
    pictures: Path, tmp_path: Path, left: float
) -> None:
    """As a power cut can leave it: cut off, or of the right length but empty."""

    def load() -> PatchPool:
        return PatchPool.load(
            paths, 2, torch.device("cpu"), trained_for="film", cache=tmp_path / "pools"
        )

    paths = list_pictures(pictures, scale=2)
    whole = load().low
    (kept,) = (tmp_path / "pools").iterdir()
    content = kept.read_bytes()
    length = int(left * len(content))
    for broken in (content[:length], content[:length] + bytes(len(content) - length)):
        kept.write_bytes(broken)
        remade = load().low
        assert remade.shape == whole.shape
        with np.load(kept) as file:
            np.testing.assert_array_equal(file["low"], remade)


def test_a_share_of_the_patches_is_clean(pictures: Path) -> None:
    paths, device = list_pictures(pictures, scale=2), torch.device("cpu")
    pool = PatchPool.load(paths, 2, device, trained_for="film")
    clean = PatchPool.load(paths, 2, device)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    (low, high), (clean_low, clean_high) = (
        p.sample(2000, 8, g) for p, g in zip((pool, clean), generators, strict=True)
    )
    assert torch.equal(high, clean_high), "the same places, damaged or not"
    share = (low == clean_low).all((1, 2, 3)).float().mean().item()
    assert share == pytest.approx(CLEAN, abs=0.05)


def test_packed_pictures_train_alike(pictures: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    assert pack([pictures], packed) == 4
    for path in list_pictures(packed):
        luma, expected = read_pair(path, 2)[0], read_pair(pictures / f"{path.stem}.png", 2)[0]
        assert luma.shape == expected.shape
        assert abs(luma - expected.astype(float)).mean() / WHITE < 0.02
    with pytest.raises(TrainingError, match="exists"):
        pack([pictures], packed)
    with pytest.raises(TrainingError, match="two pictures are called 0"):
        pack([pictures, pictures], tmp_path / "twice")


@pytest.mark.parametrize(
    "options",
    [
        ["bnnup.train.pack", "nowhere", "-o", "packed"],
        ["bnnup.train.pages", "pages", "--photos", "nowhere"],
    ],
)
def test_what_a_folder_lacks_is_said_in_one_line(
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", options)
    with pytest.raises(SystemExit) as end:
        importlib.import_module(options[0]).main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: nowhere is not a folder of pictures\n"
    assert not list(tmp_path.iterdir())
