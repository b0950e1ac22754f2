"""What can run a network, and the choice between them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import BackendError, how_to_install
from bnnup.model.file import Model
from bnnup.pixels import bicubic, chroma, color
from bnnup.pixels.color import Sample

try:
    from bnnup.backends import engine as engine
except ImportError:  # installed without a compiler
    engine = None  # type: ignore[assignment]


Planes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

BACKENDS = ("engine", "torch")
BUILD = "install a C++ compiler, and bnnup again"


class Backend(Protocol):
    """A network ready to run."""

    @property
    def name(self) -> str:
        """What runs, as reported to the user."""
        ...

    @property
    def threads(self) -> int:
        """Threads that it may use."""
        ...

    def run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) luma, black 0 and white 1, to (scale·H, scale·W), not clipped."""
        ...

    def memory(self, height: int, width: int) -> int:
        """Bytes that ``run`` takes for (height, width), beside luma and result."""
        ...


def choose_backend(
    model: Model, threads: int | None = None, *, backend: str | None = None
) -> Backend:
    """What ``backend`` names, "engine" or "torch"; None: the engine, or torch where it is missing.

    ``threads`` are by default as many as the process has cores; torch takes a GPU
    instead where it finds one. BackendError where what is wanted is not installed.
    """
    if backend not in (None, *BACKENDS):
        raise BackendError(f"no backend {backend!r}; known: {', '.join(BACKENDS)}")
    if backend == "torch" or (backend is None and engine is None):
        return _load_torch(model, threads)
    if engine is None:
        raise BackendError(f"bnnup was installed without its engine: {BUILD}")
    try:
        return engine.Engine(model, threads)
    except ValueError as error:  # BNNUP_KERNEL names a kernel that does not run here
        raise BackendError(str(error)) from error


def _load_torch(model: Model, threads: int | None) -> Backend:
    try:
        from bnnup.backends.torch import TorchBackend, find_device
    except ModuleNotFoundError as error:
        instead = "" if engine is not None else f"the engine is missing, too: {BUILD}; or "
        raise BackendError(f"torch is not installed; {instead}{how_to_install('torch')}") from error
    return TorchBackend(model, find_device(), threads=threads)


def enlarge(
    plane: NDArray[np.float32], factor: int, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """``bicubic.enlarge``, by the engine where there is one: the same bits, only sooner."""
    fastest = bicubic.enlarge if engine is None else engine.enlarge
    return fastest(plane, factor, shift)


def follow(
    small: Planes,
    luma: NDArray[np.float32],
    *,
    damaged: bool,
    white: float,
    shift: tuple[float, float],
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``chroma.follow`` of Cb and Cr, by the engine where there is one.

    ``small`` is (H, W) Y', Cb and Cr, ``luma`` (factor·H, factor·W) what became of Y'.
    """
    if engine is not None:
        return engine.follow(
            small, luma, damaged=damaged, white=white, shift=shift, threads=threads
        )
    y, *both = small
    factor = len(luma) // len(y)
    cb, cr = (
        chroma.follow(c, y, luma, factor, damaged=damaged, white=white, shift=shift) for c in both
    )
    return cb, cr


def merge(
    small: Planes,
    luma: NDArray[np.float32],
    result: NDArray[Sample],
    *,
    damaged: bool,
    threads: int = 1,
) -> None:
    """Fills the first three samples of ``result`` with ``luma`` and the chroma that follows it.

    ``small`` is (H, W) Y', Cb and Cr, ``luma`` (factor·H, factor·W) what became of Y', ``result``
    (factor·H, factor·W, 3 or 4). By the engine where there is one.
    """
    if engine is not None:
        engine.merge(small, luma, result, damaged=damaged, threads=threads)
        return
    y, *both = small
    factor = len(luma) // len(y)
    cb, cr = (chroma.follow(c, y, luma, factor, damaged=damaged) for c in both)
    result[..., :3] = color.quantize(color.merge(luma, cb, cr), result.dtype)
