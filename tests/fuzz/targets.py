"""What is done to each input, and what must be true of it.

A target makes the input of a number, always the same, and takes it as bnnup would. Whatever
it raises is a fault: what is wrong with an input must end as a BnnupError.
"""

import json
import struct
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import mutate
import numpy as np
import seeds
import tifffile
from PIL import Image, UnidentifiedImageError

from bnnup.backends.choose import choose_backend
from bnnup.backends.engine import Engine, kernels
from bnnup.errors import BnnupError, WeightsError
from bnnup.folders.batch import Batch
from bnnup.folders.settings import Machine, Settings
from bnnup.folders.tasks import Stream, Task
from bnnup.model.file import Model, load_model, save_model, serialize
from bnnup.model.operations import Bicubic
from bnnup.model.program import Program
from bnnup.pictures.formats import TABLE, register
from bnnup.upscale.size import Size

WORK = 1 << 24  # multiply-adds a pixel: what takes more is not run, only looked at
REPAIRED = 0.7  # of the networks, how many get the tensors that they ask for
MEGAPIXELS = 2


class Target(Protocol):
    """Inputs by number, and what is done to them."""

    def make(self, random: Random) -> bytes: ...

    def accepts(self, content: bytes) -> bool:
        """False if the input is refused as it should be."""
        ...


def _write_anew(path: Path, content: bytes) -> None:
    """Without cutting the old file short: ext4 would then write the new one to the disk at once."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


class Networks:
    """Model files: their text, their tensors, and the engine that is told of them."""

    def __init__(self) -> None:
        self._seeds = seeds.networks()
        self._folder = TemporaryDirectory()

    def make(self, random: Random) -> bytes:
        content, other = random.choice(self._seeds), random.choice(self._seeds)
        if random.random() < 0.2:
            return mutate.mutate(random, content, other)
        header, tensors = _taken_apart(content)
        part = random.choice(("program", "program", "program", "about", "header"))
        for _ in range(random.choice((1, 1, 2, 4))):
            if part == "header":
                header = mutate.change_tree(random, header)
            else:
                texts = header["__metadata__"]
                texts[part] = json.dumps(mutate.change_tree(random, json.loads(texts[part])))
        if part == "program" and random.random() < REPAIRED:
            return _repaired(header["__metadata__"]["program"]) or _put_together(header, tensors)
        return _put_together(header, tensors)

    def accepts(self, content: bytes) -> bool:
        path = Path(self._folder.name) / "model.safetensors"
        _write_anew(path, content)
        try:
            model = load_model(path)
            choose_backend(model, 1, backend="engine")
        except BnnupError:
            return False
        _write_anew(path, serialize(model))
        assert load_model(path).program == model.program, "a program is not what was stored"
        _run(model)
        return True


def _taken_apart(content: bytes) -> tuple[Any, bytes]:
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _put_together(header: Any, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def _repaired(text: str) -> bytes | None:
    """A file with all tensors that a program asks for, if it is one, and a small one."""
    try:
        network = Program.from_json(text)
    except WeightsError:
        return None
    shapes = [spec.shape for spec in network.tensors().values()]
    if sum(np.prod(shape, dtype=float) for shape in shapes) > mutate.LARGEST:
        return None
    return serialize(seeds.model_of(network, np.random.default_rng(0)))


def _run(model: Model) -> None:
    """The same bits by every kernel; nothing depends on the threads."""
    network = model.program
    work = sum(each.multiply_adds(network.inputs(each)).full for each in network.operations)
    work += sum(each.multiply_adds(network.inputs(each)).binary for each in network.operations)
    if work > WORK:
        return
    luma = np.random.default_rng(1).random((9, 7), np.float32)
    results = {
        Engine(model, threads, kernel).run(luma).tobytes()
        for kernel, threads in zip(kernels(), (1, 2, 3, 1, 2, 3), strict=False)
    }
    assert len(results) == 1, "kernels differ"


class Pictures:
    """Picture files, through all stages of a job; the result is read by others."""

    def __init__(self) -> None:
        for plugin in {kind.plugin for kind in TABLE} - {""}:
            register(plugin)
        self._seeds = seeds.pictures()
        self._folder = TemporaryDirectory()
        path = Path(self._folder.name) / "bicubic-x2.safetensors"
        save_model(Model(Program(2, (Bicubic("result", "luma", 2),)), {}), path)
        machine = Machine(threads=1, megapixels=MEGAPIXELS)
        self._batch = Batch.of(Settings(Size(factor=2), model=str(path)), machine)

    def make(self, random: Random) -> bytes:
        content, other = random.choice(self._seeds), random.choice(self._seeds)
        return mutate.mutate(random, content, other)

    def accepts(self, content: bytes) -> bool:
        result = BytesIO()
        task = Task(Stream(BytesIO(content), "in"), Stream(result, "out"))
        (work,) = self._batch.run([task])
        if work.status == "failed":
            if not isinstance(work.cause, BnnupError):
                raise AssertionError(work.error) from work.cause
            assert not result.getvalue(), "of a result that failed, something was written"
            return False
        assert _size(result) == work.size, "the result has another size than was said"
        return True


def _size(file: BytesIO) -> tuple[int, int]:
    """Width and height of a picture that Pillow, or else tifffile, decodes."""
    try:
        with Image.open(file) as image:
            image.load()
            return image.size
    except UnidentifiedImageError:
        file.seek(0)
        height, width = tifffile.imread(file).shape[:2]
        return width, height


TARGETS: dict[str, type[Target]] = {"networks": Networks, "pictures": Pictures}
