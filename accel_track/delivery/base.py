"""The delivery of a run: what each of its modes does, whichever it is, and the hand-over of a record to a tracker."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from accel_track.journal.entries import ShortRecords
from accel_track.records import Alert, AnyRecord, Artifact, Checkpoint, Config, Metrics, Rewind
from accel_track.trackers.base import GeneralTracker

if TYPE_CHECKING:
    from accel_track.journal.directory import RunDirectory
    from accel_track.media.calls import AlertLevel
    from accel_track.options import Settings
    from accel_track.outcome import Outcome
    from accel_track.values.capture import Captured


class Place(NamedTuple):
    """The place where a run keeps its journal.

    Attributes:
        directory: The logging directory, or None for the working directory.
        project: Name of the project.
        name: Name of the run.
        rank: Number of this process. Others than 0 join the run directory of rank 0's.
        run_id: Name of the run directory, or None for a new one.
        resumed: The run directory of a run to continue, or None.
        distinct: Whether the run gets another name where another run of the project has this one.
        parent: Id of the run that this one is a child of, or None.
    """

    directory: str | os.PathLike[str] | None
    project: str
    name: str
    rank: int = 0
    run_id: str | None = None
    resumed: RunDirectory | None = None
    distinct: bool = False
    parent: str | None = None


class Plan(NamedTuple):
    """One tracker that is to take part in a run.

    Attributes:
        name: Name of the tracker.
        tracker: The tracker, not started; None if the mode runs none.
        kwargs: What the user gave for its constructor.
        is_instance: Whether the user constructed it.
    """

    name: str
    tracker: GeneralTracker | None
    kwargs: Mapping[str, Any]
    is_instance: bool = False


class Delivery(Protocol):
    """One run's way from a call to its trackers; which mode it is, only this package knows."""

    runs_trackers: bool
    """Whether trackers run while the program does, so that plans have some."""
    name: str
    """The run's name: the one wanted, or where that has to be distinct, another."""
    trackers: list[GeneralTracker]
    """The trackers of this process."""

    def __init__(self, settings: Settings, place: Place) -> None:
        """Begin; no tracker takes part yet."""

    @property
    def directory(self) -> RunDirectory | None:
        """The run directory, or None if there is no journal."""

    @property
    def apart(self) -> dict[str, str]:
        """Why a tracker of the run is not in this process, by the names of those that are not."""

    @property
    def not_started(self) -> list[GeneralTracker]:
        """The trackers of this process that have not started yet; their backends cannot be reached or are slow."""

    @property
    def logged(self) -> int:
        """A number that changes with everything that is logged."""

    def add(self, plans: Sequence[Plan]) -> None:
        """Let trackers take part.

        Raises:
            Exception: A tracker's own error in `start`.
        """

    def configure(self, values: dict[str, Any], *, environment: bool = False, only: str = "") -> None:
        """Give hyperparameters, or where the program runs, to every tracker, or to the one of a name only."""

    def again(self, values: Any, step: Any, /) -> bool:
        """Log the values of a call that is like an earlier one; say whether that is done."""

    def captured(self, values: Any, kwargs: Any) -> Captured:
        """Return the values of a call of `log` in the form that this mode needs."""

    def log(self, call: Captured, step: int | None) -> None:
        """Log values."""

    def rewind(self, step: int) -> None:
        """Note that the run goes on from an earlier step."""

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Give a checkpoint to every tracker; without a path, what is known of one now, or without that, its end."""

    def artifact(
        self,
        path: str,
        name: str,
        kind: str,
        step: int | None,
        values: dict[str, Any],
        copy: bool | None,
        only: str = "",
    ) -> None:
        """Give an artifact to every tracker, or to the one of a name only; count one that cannot be read."""

    def alert(self, alert: Alert, only: str = "") -> None:
        """Give an alert to every tracker, or to the one of a name only."""

    def lost(self, name: str, error: Exception, only: str = "") -> None:
        """Count a value that could not be read as dropped, in every tracker or in the named one only."""

    def raise_failure(self) -> None:
        """Raise the first failure of a tracker that was not raised yet."""

    def no_tracker(self, name: str) -> Exception:
        """Return the error that says why the run has no tracker of a name in this process."""

    def flush(self) -> None:
        """Ask the trackers to store all logged values."""

    def settle(self, name: str) -> None:
        """Wait until a tracker is started and has had what was logged."""

    def rest(self) -> None:
        """Give back threads and files as soon as all is delivered."""

    def wake(self) -> None:
        """Take the threads and files of the run again."""

    def conclude(self, outcome: Outcome | None) -> None:
        """Note how the run has ended if nothing else follows; None: it goes on."""

    def finish(self, outcome: Outcome) -> None:
        """Deliver the remaining records and finish the trackers."""

    def end_alone(self, outcome: Outcome, then: Callable[[], None]) -> None:
        """Do the same in the background, then call a function."""

    def complete(self) -> None:
        """Wait for the end in the background."""


def unknown_tracker(name: str, names: Sequence[str]) -> ValueError:
    """Return the error for a name that no tracker has."""
    return ValueError(f"no tracker {name!r} in this run; there are: {', '.join(names) or 'none'}.")


def hand_over(tracker: GeneralTracker, records: Sequence[AnyRecord], folder: Path) -> None:
    """Hand records to a tracker: several calls of `log`, or one record of another kind.

    Args:
        tracker: Started.
        records: All of one kind.
        folder: The rank's folder, to which paths of checkpoints are relative.
    """
    if isinstance(records, ShortRecords):
        tracker.log_batch(records)
        return
    first = records[0]
    if isinstance(first, Metrics) and first.alert is not None and type(tracker).alert is not GeneralTracker.alert:
        give_alert(tracker, first.alert, first.time)
    elif isinstance(first, Metrics):
        calls = cast("Sequence[Metrics]", records)
        if some := [call for call in calls if call.values or not call.unread]:
            tracker.log_batch(some)
        for call in calls:
            if call.unread:
                _drop_unread(tracker, call.unread)
    else:
        _hand_over_other(tracker, first, folder)


def give_alert(tracker: GeneralTracker, alert: Alert, time: float | None = None) -> None:
    """Give a tracker an alert, which was raised at a time or just now."""
    tracker.record_time = time
    try:
        tracker.alert(alert.title, alert.text, cast("AlertLevel", alert.level))
    finally:
        tracker.record_time = None


def _hand_over_other(tracker: GeneralTracker, record: AnyRecord, folder: Path) -> None:
    """Hand a record over that is no call of `log`."""
    tracker.record_time = record.time
    try:
        if isinstance(record, Config):
            (tracker.store_environment if record.environment else tracker.store_init_configuration)(record.values)
        elif isinstance(record, Rewind):
            tracker.rewind(record.step)
        elif isinstance(record, Artifact):
            path, name = os.fspath(folder / record.path), record.name or None
            tracker.log_artifact(path, name, type=record.type, metadata=record.values, step=record.step)
        elif isinstance(record, Checkpoint) and record.path:
            tracker.log_checkpoint(record.name, os.fspath(folder / record.path), record.step, record.values)
        elif isinstance(record, Checkpoint) and record.values:
            tracker.describe_checkpoint(record.name, record.step, record.values)
        elif isinstance(record, Checkpoint):
            tracker.delete_checkpoint(record.name)
    finally:
        tracker.record_time = None


def _drop_unread(tracker: GeneralTracker, unread: Mapping[str, str]) -> None:
    """Count values that could not be read in the call, once the tracker has the others of it."""
    for name, why in unread.items():
        tracker.drop(name, None, f"it could not be read when it was logged ({why})")
