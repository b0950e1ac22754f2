"""What can run a network, and which of it does."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import BackendError
from bnnup.model.file import Model
from bnnup.pixels import bicubic, color
from bnnup.pixels.color import Sample

try:
    from bnnup.backends import engine as engine
except ImportError:  # installed without a compiler
    engine = None  # type: ignore[assignment]


class Backend(Protocol):
    """A network ready to run."""

    @property
    def name(self) -> str:
        """What runs, as reported to the user."""
        ...

    def run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) luma, black 0 and white 1, to (scale·H, scale·W), not clipped."""
        ...

    def memory(self, height: int, width: int) -> int:
        """Bytes that ``run`` takes for (height, width), beside luma and result."""
        ...


def choose_backend(model: Model, threads: int | None = None) -> Backend:
    """The engine, or torch where there is none; BackendError where there is neither.

    ``threads`` are by default as many as the process has cores.
    """
    if engine is not None:
        try:
            return engine.Engine(model, threads)
        except ValueError as error:  # BNNUP_KERNEL names a kernel that does not run here
            raise BackendError(str(error)) from error
    try:
        from bnnup.backends.torch import TorchBackend
    except ModuleNotFoundError as error:
        raise BackendError(
            "nothing can run the network: bnnup was installed without a compiler, and so without "
            "its engine; install a C++ compiler and bnnup again, or 'pip install bnnup[torch]'"
        ) from error
    return TorchBackend(model, threads=threads)


def enlarge(
    plane: NDArray[np.float32], factor: int, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """``bicubic.enlarge``, by the engine where there is one: the same bits, only sooner."""
    fastest = bicubic.enlarge if engine is None else engine.enlarge
    return fastest(plane, factor, shift)


def merge(
    y: NDArray[np.float32],
    cb: NDArray[np.float32],
    cr: NDArray[np.float32],
    dtype: np.dtype[Sample],
) -> NDArray[Sample]:
    """Y', Cb and Cr, each (H, W), to (H, W, 3) pixels, by the engine where there is one."""
    if engine is not None:
        return engine.merge(y, cb, cr, dtype)
    return color.quantize(color.merge(y, cb, cr), dtype)
