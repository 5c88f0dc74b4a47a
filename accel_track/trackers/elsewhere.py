"""The stand-ins for a tracker that another process runs, and for one that has not started yet."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from accel_track.errors import ElsewhereError, warn
from accel_track.media.calls import AlertLevel
from accel_track.trackers.base import GeneralTracker


class Logs(Protocol):
    """The calls of a run that the stand-in needs."""

    def log(self, values: Any, step: Any, kwargs: Mapping[str, Mapping[str, Any]] | None, *, only: str) -> None:
        """Log values for the tracker of a name."""

    def store_configuration(self, config: Any, *, only: str) -> None:
        """Store hyperparameters for the tracker of a name."""

    def alert(self, title: str, text: str, level: AlertLevel, *, only: str) -> None:
        """Raise an alert with the tracker of a name."""

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None,
        *,
        type: str | None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None,
        copy: bool | None,
        step: int | None,
        only: str,
    ) -> None:
        """Log a file or folder for the tracker of a name."""


class TrackerElsewhere(GeneralTracker):
    """The stand-in of a run for a tracker in another process.

    Values, hyperparameters, media and artifacts go through the run's journal to that tracker, and to no other one.
    An attribute that only the tracker itself has, such as its native object, is an `ElsewhereError`.

    Args:
        name: Name of the tracker.
        why: Where it is, and what to do.
        run: The run, which this does not keep from ending.
    """

    name = "elsewhere"
    requires_logging_directory = False

    def __init__(self, name: str, why: str, run: Logs) -> None:
        """Keep the way to the run."""
        super().__init__(_blank=True)
        self.name = name
        self._why = why
        self._run = weakref.ref(run)

    def __getattr__(self, name: str) -> Any:
        """Raise an error that says where the tracker is.

        Raises:
            ElsewhereError: Always.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._cannot_reach(name)

    def _cannot_reach(self, name: str) -> ElsewhereError:
        return ElsewhereError(f"`{name}` of {self.name!r} cannot be reached: it {self._why}")

    def _logs(self) -> Logs | None:
        run = self._run()
        if run is None:
            warn(f"{self.name}: the run has ended, and what is logged now is not kept.", stacklevel=4)
        return run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters, through the journal."""
        if (run := self._logs()) is not None:
            run.store_configuration(values, only=self.name)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log values, through the journal."""
        if (run := self._logs()) is not None:
            run.log(values, step, {self.name: kwargs} if kwargs else None, only=self.name)

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        self.log(values, step, **kwargs)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert with this tracker alone, through the journal."""
        if (run := self._logs()) is not None:
            run.alert(title, text, level, only=self.name)

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Log a file or a folder, through the journal."""
        if (run := self._logs()) is not None:
            run.log_artifact(path, name, type=type, metadata=metadata, copy=copy, step=step, only=self.name)

    def flush(self) -> None:
        """Wait for nothing: what was logged is safe in the journal."""


def _refused(name: str) -> Callable[..., Any]:
    def refused(self: TrackerElsewhere, *_: Any, **__: Any) -> Any:
        raise self._cannot_reach(name)

    return refused


class TrackerNotStarted(TrackerElsewhere):
    """The stand-in of a run for a tracker whose backend has not been reached yet.

    Values, hyperparameters, media and artifacts wait in the run's journal for the tracker's start. Everything else is
    asked of the tracker.

    Args:
        tracker: The tracker.
        run: The run, which this does not keep from ending.
    """

    def __init__(self, tracker: GeneralTracker, run: Logs) -> None:
        """Keep the way to both."""
        super().__init__(tracker.name, "has not started yet", run)
        self._tracker = tracker

    def __getattr__(self, name: str) -> Any:
        """Return the tracker's attribute; its native object is a `NotStartedError` until it has started."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._tracker, name)


def _asked(name: str) -> property:
    return property(lambda self: getattr(self._tracker, name))


_METHODS = (
    *("start", "rest", "finish", "store_environment", "log_batch", "log_graph", "rewind", "identity", "page"),
    *("log_checkpoint", "describe_checkpoint", "delete_checkpoint", "planned_identity", "as_experiment"),
)
_PROPERTIES = ("dropped", "started", "taken", "passing")
for _name in _METHODS:
    setattr(TrackerElsewhere, _name, _refused(_name))
for _name in _PROPERTIES:
    setattr(TrackerElsewhere, _name, property(_refused(_name)))
for _name in (*_METHODS, *_PROPERTIES):
    setattr(TrackerNotStarted, _name, _asked(_name))
