"""Everything that bnnup tells a user instead of a traceback.

Each message is one line that says what is wrong and what to do about it. The
library raises, the command line prints, in one place.
"""

import errno
import os


class BnnupError(Exception):
    """Base of all errors that a user can cause and remedy. Exit code 1.

    ``hint`` names the option that would help, if there is one ("force"); the command line
    knows how it is given.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class WeightsError(BnnupError):
    """A model file is damaged, malformed, or of a format that is not understood."""


class ModelNotFoundError(BnnupError):
    """There is no model of that name and scale."""


class HubError(BnnupError):
    """The Hub refuses what it was asked for, or cannot be reached."""


class MediaError(BnnupError):
    """A picture cannot be read, or a result cannot be written."""


class FullError(BnnupError):
    """There is no room left where the results go, for any of them."""


class ClusterError(BnnupError):
    """No cluster can be reached, or it cannot do the work."""


class BackendError(BnnupError):
    """Nothing installed can run the network."""


class TrainingError(BnnupError):
    """Training data or a run folder cannot be used."""


class StoppedError(Exception):
    """Nobody wants the result any more; never shown."""


def how_to_install(extra: str) -> str:
    """How to get an optional part of the package."""
    return f"pip install '.[{extra}]' in a clone of bnnup"


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk or a quota is behind an error."""
    while error is not None:
        # libav's errors have numbers, too, though not all of them are OSErrors.
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def has_left(error: OSError) -> bool:
    """Whether a write failed as whoever read the other end of a pipe has gone."""
    return error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL)


def reason(error: BaseException) -> str:
    """What went wrong, in one line, without the path, which the message names anyway."""
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return " ".join(text.split()) or type(error).__name__
