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
"""Prefix of the names of the package's own threads."""


class AccelTrackError(Exception):
    """Base class of the package's own errors."""


class MissingPackageError(AccelTrackError, ImportError):
    """The SDK of a tracker is not installed."""


class NotConfiguredError(AccelTrackError):
    """A backend was asked for by name and has neither credentials nor an offline setting."""


class NotStartedError(AccelTrackError, RuntimeError):
    """A tracker, or the trackers of a front door, were used before they were started or after they were finished."""


class ElsewhereError(NotStartedError, AttributeError):
    """A tracker is in another process, so that neither its native object nor what only it has can be reached.

    As an AttributeError, it is also what `hasattr` and `getattr` with a default look for.
    """


class JournalError(AccelTrackError, ValueError):
    """A file of a run directory is damaged, was written by a later version, or is something else."""


class DamagedMediumError(AccelTrackError, ValueError):
    """The file of a medium is damaged, or is not what its name says."""


class DeliveryError(AccelTrackError, RuntimeError):
    """A tracker failed, and `on_error` is "raise"."""


class HalfStoredError(AccelTrackError, RuntimeError):
    """A part of a batch may be stored already, so that the batch can be neither repeated nor quarantined.

    Delivery to the tracker stops with its cursor behind the last flush.
    """


class MadeWayError(HalfStoredError):
    """A tracker's run was finished to make way for the next one, since its SDK has one run a process."""


class NotReadableError(AccelTrackError, RuntimeError):
    """What a backend has of a run cannot be read: there is no such run, no reader, or no way to it from here."""


class ResumeError(AccelTrackError, RuntimeError):
    """The run to continue does not exist, or another process is logging to it."""


class AccelTrackWarning(UserWarning):
    """Something was skipped or dropped, and training goes on."""


class UnwritableDirectoryError(AccelTrackError, OSError):
    """A directory that was given cannot be created or written to."""


@contextlib.contextmanager
def behind(error: BaseException | None) -> Iterator[None]:
    """Let an exception out of a block that ends a run, unless the user's own is being raised: then warn of it."""
    try:
        yield
    except Exception as own:
        if error is None:
            raise
        warn(f"the run could not be ended: {type(own).__name__}: {own}", stacklevel=4)


def log_error(message: str, error: BaseException) -> None:
    """Log an error that cannot be raised, with its traceback, both without credentials and control characters."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    logging.getLogger("accel_track").error("%s", "\n".join(map(clean, [message, *lines])))


def warn(message: str, stacklevel: int = 2) -> None:
    """Warn with an `AccelTrackWarning`; in a worker's thread, where nobody could catch it, never raise it.

    Args:
        message: The text; credentials and control sequences are taken out of it.
        stacklevel: As for `warnings.warn`, counted from the caller.
    """
    message = clean(message)
    try:
        warnings.warn(message, AccelTrackWarning, stacklevel=stacklevel + 1)
    except AccelTrackWarning:  # a filter turns warnings into errors
        if not threading.current_thread().name.startswith(WORKER_NAME):
            raise
        logging.getLogger("accel_track").warning(message)
