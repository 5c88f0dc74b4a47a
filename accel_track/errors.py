"""The errors and the warning of accel_track's own.

A wrong argument is a plain `TypeError` or `ValueError`; the classes here tell of everything else that goes wrong.
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
    """The base class of the package's own errors."""


class MissingPackageError(AccelTrackError, ImportError):
    """The SDK of a tracker is not installed."""


class NotConfiguredError(AccelTrackError):
    """A backend that was named has neither credentials nor an offline setting."""


class NotStartedError(AccelTrackError, RuntimeError):
    """A tracker was used before its start or after its end, or while its backend had not been reached."""


class ElsewhereError(NotStartedError, AttributeError):
    """A tracker is in another process, where its native object and its own methods cannot be reached.

    The error is also an AttributeError, which `hasattr` and `getattr` with a default expect.
    """


class JournalError(AccelTrackError, ValueError):
    """A file of a run directory is damaged, unreadable, no such file at all, or of a later version of the package."""


class DamagedMediumError(AccelTrackError, ValueError):
    """The file of a medium is damaged, or has another format than its name says."""


class DeliveryError(AccelTrackError, RuntimeError):
    """A tracker failed, and `on_error` is "raise"."""


class HalfStoredError(AccelTrackError, RuntimeError):
    """A part of a batch may be stored already, so that the batch can be neither repeated nor quarantined.

    Delivery to the tracker stops, with the cursor at the last flush; `accel-track sync` delivers the rest.
    """


class MadeWayError(HalfStoredError):
    """A tracker's run was finished before the next one started, since its SDK has only one run per process."""


class EndedError(HalfStoredError):
    """A tracker's run takes nothing any more: the program or the server has ended it, or its files are gone."""


class NotReadableError(AccelTrackError, RuntimeError):
    """A backend run cannot be read: it does not exist, its tracker has no reader, or it is out of reach from here."""


class ResumeError(AccelTrackError, RuntimeError):
    """The run to continue does not exist, or another process is logging to it."""


class AccelTrackWarning(UserWarning):
    """A problem that does not stop the training, such as a dropped value or a backend that cannot be reached."""


class UnwritableDirectoryError(AccelTrackError, OSError):
    """A given directory cannot be created or written to."""


@contextlib.contextmanager
def behind(error: BaseException | None) -> Iterator[None]:
    """Raise an exception of a block that ends a run, or only warn of it while the user's own exception is raised.

    Args:
        error: The user's own exception, or None.
    """
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
        message: The text, from which credentials and control sequences are taken out.
        stacklevel: The `stacklevel` of `warnings.warn`, counted from the caller.
    """
    message = clean(message)
    try:
        warnings.warn(message, AccelTrackWarning, stacklevel=stacklevel + 1)
    except (OSError, ValueError):  # the program has closed its standard error output
        return
    except AccelTrackWarning:  # a filter turns warnings into errors
        if not threading.current_thread().name.startswith(WORKER_NAME):
            raise
        logging.getLogger("accel_track").warning(message)
