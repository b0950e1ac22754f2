"""What can run a network, and which of it does."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnup.errors import BackendError
from bnnup.weights import Model


class Backend(Protocol):
    """A network ready to run."""

    @property
    def name(self) -> str:
        """What runs, as reported to the user."""
        ...

    def run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) luma, black 0 and white 1, to (scale·H, scale·W), not clipped."""
        ...


def choose_backend(model: Model) -> Backend:
    """The best backend that is installed; BackendError when there is none."""
    try:
        from bnnup.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        raise BackendError(
            f"nothing can run the network: {error}; install it with 'pip install bnnup[torch]'"
        ) from error
    return TorchBackend(model)
