"""The errors and the warning that accel_track raises itself.

Wrong arguments are plain `TypeError` and `ValueError`; the classes here are for what the environment lacks.
"""


class AccelTrackError(Exception):
    """Base class of the package's own errors."""


class MissingPackageError(AccelTrackError, ImportError):
    """A tracker was started whose SDK is not installed."""


class NotConfiguredError(AccelTrackError):
    """A backend was asked for by name and has neither credentials nor an offline setting."""


class NotStartedError(AccelTrackError, RuntimeError):
    """A tracker, or the trackers of a front door, were used before they were started or after they were finished."""


class AccelTrackWarning(UserWarning):
    """Something was skipped or dropped, and training goes on."""


class UnwritableDirectoryError(AccelTrackError, OSError):
    """A directory that was given cannot be created or written to."""
