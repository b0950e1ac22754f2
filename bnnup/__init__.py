"""Enlarges pictures with one-bit neural networks on an ordinary CPU."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnnup.upscale.upscaler import Upscaler, load

__version__ = "0.1.0"
__all__ = ["Upscaler", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that ``bnnup --help`` waits for nothing (PEP 562).
    if name in ("Upscaler", "load"):
        from bnnup.upscale import upscaler

        return getattr(upscaler, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
