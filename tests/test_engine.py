"""The engine as a whole: what it computes, that nothing but the picture decides it, and
that nothing it is told makes it crash."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnnup.errors import StoppedError
from bnnup.model.file import Model
from bnnup.model.operations import (
    ACTIVATIONS,
    KERNELS,
    OPERATIONS,
    Add,
    Bicubic,
    BinaryConvolution,
    ChannelAttention,
    Concatenate,
    Convolution,
    Operation,
    PixelShuffle,
    QuantizedConvolution,
)
from bnnup.model.program import INPUT, Program
from bnnup.pixels import bicubic, chroma, color
from bnnup.pixels.tiling import plan_tiles
from bnnup.system.stages import go_on

engine = pytest.importorskip("bnnup.backends.engine", exc_type=ImportError)

from bnnup import _native  # noqa: E402

Picture = NDArray[np.float32]


def picture(height: int, width: int) -> Picture:
    return np.random.default_rng(height * width).random((height, width), np.float32)


def random_tensors(network: Program, seed: int) -> dict[str, NDArray[np.generic]]:
    """Tensors that keep values within about ±10 and signs mixed."""
    random = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.generic]] = {}
    for operation in network.operations:
        inputs = network.inputs(operation)
        for part, spec in operation.tensors(inputs).items():
            values = random.standard_normal(spec.shape)
            if spec.dtype == "uint8":
                channels = inputs[0].channels
                bits = random.integers(0, 2, (*spec.shape[:-1], channels), np.uint8)
                tensors[f"{operation.name}.{part}"] = np.packbits(bits, -1, bitorder="little")
                continue
            if part in ("weight", "down", "up"):
                values /= np.sqrt(np.prod(spec.shape[1:]))
            if part == "scale":
                values /= np.sqrt(inputs[0].channels * 9)
            if spec.dtype == "int16":
                tensors[f"{operation.name}.{part}"] = random.integers(-20, 21, spec.shape, np.int16)
                continue
            if isinstance(operation, QuantizedConvolution):
                values *= {"levels": 500, "scale": 2e-4}.get(part, 1)
            tensors[f"{operation.name}.{part}"] = values.astype(np.float32)
    return tensors


def random_model(seed: int) -> Model:
    """A network of ten random operations, every kind being likely."""
    random = np.random.default_rng(seed)
    scale = int(random.integers(1, 5))
    operations: list[Operation] = [Convolution("head", INPUT, int(random.integers(1, 40)), 3)]
    while len(operations) < 11:
        values = Program(1, (*operations, Convolution("end", INPUT, 1, 1))).values
        x = [str(name) for name in random.choice([o.name for o in operations], 3)]
        channels = values[x[0]].channels
        name = f"o{len(operations)}"
        kernel = int(random.choice(KERNELS))
        activation = str(random.choice(list(ACTIVATIONS)))
        skips = {"none": 20, "identity": channels}
        skips |= {"average": channels // 2} if channels % 2 == 0 else {}
        skip = str(random.choice(list(skips)))
        alike = [o.name for o in operations if values[o.name] == values[x[0]]]
        choices: list[Operation] = [
            Convolution(name, x[0], int(random.integers(1, 40)), kernel),
            QuantizedConvolution(name, x[0], int(random.integers(1, 40)), kernel),
            BinaryConvolution(name, x[0], skips[skip], kernel, skip, activation),
            Add(name, x[0], str(random.choice(alike))),
            Concatenate(name, tuple(x)),
            ChannelAttention(name, x[0], 3, int(random.choice([1, 5, 9]))),
        ]
        operations.append(choices[int(random.integers(len(choices)))])
    end = (
        Concatenate("all", tuple(o.name for o in operations[::3])),
        Convolution("tail", "all", 2 * scale**2, 3),
        PixelShuffle("shuffle", "tail", scale),
        Convolution("one", "shuffle", 1, 3),
        Bicubic("bicubic", INPUT, scale),
        Add("result", "bicubic", "one"),
    )
    network = Program(scale, (*operations, *end))
    return Model(network, random_tensors(network, seed))


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_agree_with_torch_in_double_precision(seed: int) -> None:
    torch_backend = pytest.importorskip("bnnup.backends.torch")
    model = random_model(seed)
    luma = picture(9, 14)
    expected = torch_backend.TorchBackend(model, dtype=torch_backend.torch.float64).run(luma)
    result = engine.Engine(model).run(luma)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(24, 34))
def test_kernel_threads_and_tiles_leave_no_trace(seed: int) -> None:
    model = random_model(seed)
    luma = picture(33, 47)
    expected = engine.Engine(model, threads=1, kernel="portable").run(luma)
    for kernel in engine.kernels():
        for threads in (1, 2, 3, 7):
            result = engine.Engine(model, threads=threads, kernel=kernel).run(luma)
            assert result.tobytes() == expected.tobytes(), (kernel, threads)
    network = engine.Engine(model, threads=2)
    for size in (7, 16, 20, 33, 64):
        result = np.empty_like(expected)
        for tile in plan_tiles(33, 47, size, model.program.halo):
            tile.place(network.run(luma[tile.outer]), result, model.program.scale)
        assert result.tobytes() == expected.tobytes(), size


@pytest.mark.parametrize("seed", range(24, 36))
@pytest.mark.parametrize("shape", [(11, 900), (2500, 6)])
def test_bands_and_blocks_leave_no_trace(seed: int, shape: tuple[int, int]) -> None:
    """Tiles are too small for more than one of either."""
    model = random_model(seed)
    luma = picture(*shape)
    results = [engine.Engine(model, threads=threads).run(luma) for threads in (1, 3)]
    result = np.empty_like(results[0])
    network = engine.Engine(model, threads=1)
    for tile in plan_tiles(*shape, 30, model.program.halo):
        tile.place(network.run(luma[tile.outer]), result, model.program.scale)
    assert {each.tobytes() for each in results} == {result.tobytes()}


def chain(length: int, channels: int = 64) -> Model:
    """As deep as EDSR: rows of many operations are in flight together."""
    names = [f"c{i}" for i in range(length)]
    network = Program(
        2,
        (
            Convolution("head", INPUT, channels, 3),
            *(
                BinaryConvolution(name, before, channels, 3, "identity", "rprelu")
                for name, before in zip(names, ["head", *names], strict=False)
            ),
            Add("sum", "head", names[-1]),
            Convolution("tail", "sum", 4, 3),
            PixelShuffle("shuffle", "tail", 2),
            Bicubic("bicubic", INPUT, 2),
            Add("result", "bicubic", "shuffle"),
        ),
    )
    return Model(network, random_tensors(network, 0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (100, 37), (5, 2000)])
def test_order_of_rows_leaves_no_trace(shape: tuple[int, int]) -> None:
    """Pictures whose rows fit the cache many times, once, or not at all."""
    model, luma = chain(12), picture(*shape)
    whole = engine.Engine(model, threads=1).run(luma)
    for threads in (2, 5):
        assert engine.Engine(model, threads=threads).run(luma).tobytes() == whole.tobytes()
    network = engine.Engine(model, threads=2)
    for tile in plan_tiles(*shape, 50, model.program.halo):
        part = np.zeros_like(whole)
        tile.place(network.run(luma[tile.outer]), part, 2)
        core = tuple(slice(2 * s.start, 2 * s.stop) for s in tile.core)
        np.testing.assert_array_equal(part[core], whole[core])


def test_deep_network_agrees_with_torch_in_double_precision() -> None:
    torch_backend = pytest.importorskip("bnnup.backends.torch")
    model, luma = chain(12), picture(40, 60)
    expected = torch_backend.TorchBackend(model, dtype=torch_backend.torch.float64).run(luma)
    error = np.mean((engine.Engine(model).run(luma) - expected) ** 2) / expected.var()
    assert 10 * np.log10(error) < -70


def test_one_engine_runs_in_many_threads() -> None:
    network = engine.Engine(chain(4), threads=2)
    pictures = [picture(20 + i, 30) for i in range(6)]
    expected = [network.run(luma) for luma in pictures]
    results: list[Picture | None] = [None] * len(pictures)

    def work(i: int) -> None:
        for _ in range(5):
            results[i] = network.run(pictures[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_no_thread_is_left() -> None:
    network = engine.Engine(chain(2), threads=5)
    before = len(os.listdir("/proc/self/task"))
    network.run(picture(30, 30))
    assert len(os.listdir("/proc/self/task")) <= before


@pytest.mark.parametrize("kernel", engine.kernels())
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.25, -0.5)])
def test_enlarge_equals_resize(factor: int, shift: tuple[float, float], kernel: str) -> None:
    for shape in ((1, 1), (2, 7), (31, 18)):
        plane = picture(*shape)
        expected = bicubic.enlarge(plane, factor, shift)
        assert engine.enlarge(plane, factor, shift, kernel).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 21), (1, 64), (65, 130)])
@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_merge_equals_color_and_chroma(
    factor: int, damaged: bool, shape: tuple[int, int], dtype: type
) -> None:
    random = np.random.default_rng(0)
    y, cb, cr = random.uniform(-0.7, 1.2, (3, *shape)).astype(np.float32)
    luma = random.uniform(-0.7, 1.2, [factor * side for side in shape]).astype(np.float32)
    assert_merged_alike((y, cb, cr), luma, dtype, damaged)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_merge_equals_color_where_numbers_end(dtype: type) -> None:
    halves = (np.arange(0, 256) + 0.5) / 255  # between two integers
    ends = [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3e38, -3e38]
    luma = np.concatenate([halves, ends]).astype(np.float32)[None].repeat(2, axis=0)
    for value in (*ends, 0.5):
        small = np.full((3, 1, luma.shape[1] // 2), value, np.float32)
        assert_merged_alike((small[0], small[1], small[2]), luma, dtype, damaged=True)
        grey = np.zeros_like(small[0])
        assert_merged_alike((small[0], grey, grey), luma, dtype, damaged=False)


def assert_merged_alike(
    small: tuple[Picture, Picture, Picture], luma: Picture, dtype: type, damaged: bool
) -> None:
    """The bits of numpy; a fourth sample stays what it was."""
    y, factor = small[0], len(luma) // len(small[0])
    wanted: np.dtype[Any] = np.dtype(dtype)
    with np.errstate(all="ignore"):
        cb, cr = (chroma.follow(c, y, luma, factor, damaged=damaged) for c in small[1:])
        expected = color.quantize(color.merge(luma, cb, cr), wanted)
    for kernel, threads in itertools.product(engine.kernels(), (1, 3)):
        merged = np.full((*luma.shape, 4), 7, wanted)
        engine.merge(small, luma, merged, damaged=damaged, threads=threads, kernel=kernel)
        np.testing.assert_array_equal(merged[..., :3], expected)
        assert (merged[..., 3] == 7).all()


def test_a_forced_kernel_is_forced_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNNUP_KERNEL", "abacus")
    plane = picture(3, 4)
    with pytest.raises(ValueError, match="abacus"):
        engine.enlarge(plane, 2)
    with pytest.raises(ValueError, match="abacus"):
        engine.merge((plane, plane, plane), plane, np.empty((3, 4, 3), np.uint8), damaged=False)
    with pytest.raises(ValueError, match="abacus"):
        engine.Engine(chain(1))


def test_memory_is_what_a_picture_needs() -> None:
    deep = engine.Engine(chain(40), threads=1)
    small, large = deep.memory(400, 400), deep.memory(800, 800)
    assert 400 * 400 * 64 * 4 < small < 400 * 400 * 64 * 4 * 3
    assert 3.5 < large / small < 4.5


def test_memory_is_for_the_rows_in_flight() -> None:
    """Where a single sweep does it all, a higher picture needs no more."""
    shallow = engine.Engine(chain(5), threads=2)
    assert shallow.memory(4000, 300) == shallow.memory(400, 300) < 4000 * 300 * 64


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kernel", engine.kernels())
def test_a_run_that_nobody_wants_ends_on_the_way(kernel: str, threads: int) -> None:
    """What the question raises comes out; the engine is as good as before."""
    # Takes seconds, and the question is asked ten times in each, by one of the threads: enough
    # even if that one has to wait for its core.
    model = chain(40)
    network = engine.Engine(model, threads=threads, kernel=kernel)
    luma = picture(20_000, 300)
    result = np.full((40_000, 600), np.nan, np.float32)

    def refuse() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        network._runner.run(luma, result, threads, refuse)
    assert np.isnan(result[-1]).all()
    part = luma[:40]
    np.testing.assert_array_equal(network.run(part), engine.Engine(model).run(part))


def test_merging_that_nobody_wants_ends_on_the_way() -> None:
    plane = picture(2_000, 1_500)
    luma = np.zeros((8_000, 6_000), np.float32)
    pixels = np.full((*luma.shape, 3), 7, np.uint8)
    lead = engine._lead((plane, plane, plane), luma, True, 1.0, (0.0, 0.0))

    def refuse() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        _native.merge(lead, color.MERGING, pixels, 1, refuse, "portable")
    assert (pixels[-1] == 7).all()


def test_a_run_is_interrupted_by_a_signal() -> None:
    """Also where no thread of bnnup stands between: from Python, on the main thread."""
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    network = engine.Engine(chain(5), threads=1, kernel="portable")
    luma = picture(40_000, 300)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        network.run(luma)


def test_importing_the_engine_imports_no_torch() -> None:
    code = "import sys, bnnup.backends.engine; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_kernel_is_chosen_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNNUP_KERNEL", "portable")
    assert engine.Engine(chain(1)).kernel == "portable"
    monkeypatch.setenv("BNNUP_KERNEL", "abacus")
    with pytest.raises(ValueError, match=r"abacus.*portable"):
        engine.Engine(chain(1))


def test_what_cannot_be_run_is_refused() -> None:
    network = engine.Engine(chain(1))
    with pytest.raises(ValueError):
        network.run(np.empty((0, 5), np.float32))
    with pytest.raises(ValueError):
        network.run(np.empty((5, 5, 1), np.float32))
    runner = network._runner
    luma = picture(4, 4)
    with pytest.raises(ValueError, match="shape"):
        runner.run(luma, np.empty((4, 4), np.float32), 1, go_on)
    with pytest.raises(ValueError, match="threads"):
        runner.run(luma, np.empty((8, 8), np.float32), 0, go_on)
    with pytest.raises(TypeError):
        runner.run(luma.astype(np.float64), np.empty((8, 8), np.float32), 1, go_on)
    with pytest.raises(ValueError):
        runner.memory(1 << 30, 1 << 30, 1)


NONE = np.empty(0, np.float32)
SMALL = st.integers(-2, 9)
ANY = SMALL | st.sampled_from([-(2**31), 63, 64, 65, 4096, 4097, 2**31 - 1, 2**40])
METHODS = st.sampled_from(sorted(OPERATIONS))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_description_crashes(data: st.DataObject) -> None:
    """Calls with numbers, names and sizes that fit now and then."""
    network = _native.Network(data.draw(st.integers(1, 3)), "")
    for _ in range(data.draw(st.integers(1, 8))):
        sizes = st.sampled_from([0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 18, 20, 36, 64, 576])

        def floats(sizes: st.SearchStrategy[int] = sizes) -> Picture:
            return np.full(data.draw(sizes), data.draw(st.sampled_from([0, -1, np.nan, np.inf])))

        names = st.sampled_from(["none", "identity", "average", "rprelu", "", "é" * 99])
        numbers = [data.draw(ANY) for _ in range(3)]
        skip, activation = data.draw(names), data.draw(names)
        tensors = [floats().astype(np.float32) for _ in range(4)]
        weight = np.zeros(data.draw(sizes), np.uint8)
        integers = np.full(data.draw(sizes), data.draw(st.integers(-(2**15), 2**15 - 1)), np.int16)
        arguments = {
            "convolution": (*numbers, *tensors[:2]),
            "quantized_convolution": (*numbers, integers, *tensors[:3]),
            "binary_convolution": (*numbers, skip, activation, weight, *tensors),
            "add": numbers[:2],
            "concatenate": (numbers,),
            "pixel_shuffle": numbers[:2],
            "bicubic": (*numbers[:2], tensors[0]),
            "channel_attention": (*numbers, *tensors),
        }
        method = data.draw(METHODS)
        try:
            getattr(network, method)(*arguments[method])
        except (ValueError, TypeError):
            continue
    try:
        runner = _native.Runner(network)
    except ValueError:
        return
    for scale in (1, 2, 3):
        try:
            result = np.empty((3 * scale, 4 * scale), np.float32)
            runner.run(picture(3, 4), result, 2, go_on)
        except ValueError:
            continue


def test_pixels_of_another_shape_are_refused() -> None:
    plane, large, pixels = picture(3, 4), picture(6, 8), np.empty((6, 8, 3), np.uint8)

    def merge(
        small: tuple[Picture, Picture, Picture],
        luma: Picture,
        result: np.ndarray,
        threads: int = 1,
    ) -> None:
        engine.merge(small, luma, result, damaged=False, threads=threads)

    for small in ((plane, plane, plane[:2]), (plane, plane[:, :2], plane)):
        with pytest.raises(ValueError, match="shape"):
            merge(small, large, pixels)
    for luma in (large[:5], large[:, :7]):
        with pytest.raises(ValueError, match="shape"):
            merge((plane, plane, plane), luma, pixels)
    with pytest.raises(ValueError, match="shape"):
        merge((plane, plane, plane), large, pixels[:4].copy())
    with pytest.raises(ValueError, match="three or four"):
        merge((plane, plane, plane), large, pixels[..., :2].copy())
    with pytest.raises(TypeError):
        merge((plane, plane, plane), large, pixels.astype(np.int32))
    with pytest.raises(ValueError, match="threads"):
        merge((plane, plane, plane), large, pixels, threads=0)


def test_bits_past_the_channels_are_refused() -> None:
    network = _native.Network(1, "")
    ones = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="bits past"):
        network.binary_convolution(
            0, 1, 1, "none", "none", np.array([2], np.uint8), ones, ones, NONE, NONE
        )
