"""The errors and the warning that accel_track raises itself.

Wrong arguments are plain `TypeError` and `ValueError`; the classes here are for what the environment lacks.
"""

import contextlib
import logging
import threading
import traceback
import warnings
from collections.abc import Iterator

from accel_track.texts import clean

WORKER_NAME = "accel_track-"
"""How the names of the package's own threads begin."""


class AccelTrackError(Exception):
    """Base class of the package's own errors."""


class MissingPackageError(AccelTrackError, ImportError):
    """A tracker was started whose SDK is not installed."""


class NotConfiguredError(AccelTrackError):
    """A backend was asked for by name and has neither credentials nor an offline setting."""


class NotStartedError(AccelTrackError, RuntimeError):
    """A tracker, or the trackers of a front door, were used before they were started or after they were finished."""


class JournalError(AccelTrackError, ValueError):
    """A file of a run directory is damaged, of a later version, or something else."""


class DeliveryError(AccelTrackError, RuntimeError):
    """A tracker failed, and `on_error="raise"` asks to be told."""


class HalfStoredError(AccelTrackError, RuntimeError):
    """A part of what a tracker was storing may be stored: neither to be repeated nor to be refused.

    Delivery to the tracker stops with its cursor behind the last flush.
    """


class MadeWayError(HalfStoredError):
    """A tracker's run was finished for the next one of its process, since the SDK has one a process."""


class ResumeError(AccelTrackError, RuntimeError):
    """A run was to be continued that is not there, or that another process is logging to."""


class AccelTrackWarning(UserWarning):
    """Something was skipped or dropped, and training goes on."""


class UnwritableDirectoryError(AccelTrackError, OSError):
    """A directory that was given cannot be created or written to."""


@contextlib.contextmanager
def behind(error: BaseException | None) -> Iterator[None]:
    """Let an exception out of a block that ends a run only if no other, the user's own, is on its way: else warn."""
    try:
        yield
    except Exception as own:
        if error is None:
            raise
        warn(f"the run could not be ended: {type(own).__name__}: {own}", stacklevel=4)


def log_error(message: str, error: BaseException) -> None:
    """Log an error that cannot be raised, with its traceback, both cleaned."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    logging.getLogger("accel_track").error("%s", "\n".join(map(clean, [message, *lines])))


def warn(message: str, stacklevel: int = 2) -> None:
    """Warn with an `AccelTrackWarning`; in a worker's thread, where nobody could catch it, never raise it.

    Args:
        message: What to say; credentials and what a terminal would obey are taken out.
        stacklevel: As for `warnings.warn`, counted from the caller.
    """
    message = clean(message)
    try:
        warnings.warn(message, AccelTrackWarning, stacklevel=stacklevel + 1)
    except AccelTrackWarning:  # a filter turns warnings into errors
        if not threading.current_thread().name.startswith(WORKER_NAME):
            raise
        logging.getLogger("accel_track").warning(message)
