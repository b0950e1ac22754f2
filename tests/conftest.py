"""What several test files share: small networks made on the spot, and the pictures to test on.

Nothing here needs trained weights or a network connection.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hub_server import published, server  # noqa: F401
from nodes import nodes  # noqa: F401
from PIL import Image
from web_page import address, browser, page, site  # noqa: F401

from bnnup import cli
from bnnup.model.file import Model, save_model
from bnnup.model.operations import Bicubic
from bnnup.model.program import Program
from bnnup.upscale.upscaler import Upscaler

# On networks this small, threads of torch wait for each other more than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Of the cache on Windows, where not every user may make links.
os.environ.setdefault("HF_HUB_DISABLE_SYMLINKS_WARNING", "1")

# Shells let programs in the background ignore Ctrl-C, which theirs would then ignore, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]

# Ends a process with no chance to tidy up, as any signal sent from outside does on Windows.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
KILLED, ABORTED = (KILL, 3) if os.name == "nt" else (-KILL, -signal.SIGABRT)  # exit codes


@pytest.fixture
def data() -> Path:
    """Folder of benchmark and training pictures, which are not part of the project."""
    folder = Path(os.environ.get("BNNUP_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no pictures in {folder}; set BNNUP_DATA to the folder that holds bench/")
    return folder


@pytest.fixture(scope="session")
def models() -> dict[int, Model]:
    """A network per scale: EDSR, 1 block of 8 channels, every parameter random."""
    import torch

    from bnnup.nn import EDSR, export

    made = {}
    for scale in (2, 3, 4):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(scale)
            network = EDSR(scale, blocks=1, channels=8).eval()
            for name, tensor in network.state_dict().items():
                if "num_batches" in name:
                    continue
                if "running_var" in name:
                    tensor.uniform_(0.5, 2)
                else:
                    tensor.add_(torch.randn(tensor.shape) * 0.3)
            made[scale] = Model(*export(network, scale), {"architecture": "edsr"})
    return made


@pytest.fixture(scope="session")
def upscaler(models: dict[int, Model]) -> Upscaler:
    return Upscaler(models[2])


@pytest.fixture(scope="session")
def model_files(models: dict[int, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the same networks: tiny-x2.safetensors, -x3 and -x4."""
    folder = tmp_path_factory.mktemp("models")
    for scale, model in models.items():
        save_model(model, folder / f"tiny-x{scale}.safetensors")
    return folder


# The command line


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program as its entry point does, without the cost of a new process."""
    for name in ("BNNUP_DEBUG", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["bnnup", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture of 12×9 pixels, photo.jpg."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95)
    return tmp_path


@pytest.fixture
def tiny(model_files: Path) -> Path:
    return model_files / "tiny-x2.safetensors"


@pytest.fixture
def links(tmp_path: Path) -> None:
    """Skips where links cannot be made, which not every user may on Windows."""
    link = tmp_path / "link"
    try:
        link.symlink_to(tmp_path)
        link.unlink()
    except OSError as error:
        pytest.skip(f"no links here: {error.strerror}")


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """An empty memory://."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield fsspec.filesystem("memory")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(scope="session")
def bicubic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is bicubic and nothing else, so that what comes out is known."""
    path = tmp_path_factory.mktemp("bicubic") / "bicubic-x2.safetensors"
    save_model(Model(Program(2, (Bicubic("result", "luma", 2),)), {}), path)
    return path
