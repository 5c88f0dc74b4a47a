"""The hand-over: each kind of record goes to one method of a tracker."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from accel_track.records import AnyRecord, Checkpoint, Config, Metrics, Rewind
from accel_track.trackers.base import GeneralTracker


def hand_over(tracker: GeneralTracker, records: Sequence[AnyRecord], folder: Path) -> None:
    """Hand records to a tracker: several calls of `log`, or one record of another kind.

    Args:
        tracker: Started.
        records: All of one kind.
        folder: The rank's folder, to which paths of checkpoints are relative.
    """
    first = records[0]
    if isinstance(first, Metrics):
        calls = cast("Sequence[Metrics]", records)
        if some := [call for call in calls if call.values or not call.unread]:
            tracker.log_batch(some)
        for call in calls:
            if call.unread:
                drop_unread(tracker, call.unread)
    elif isinstance(first, Config):
        store = tracker.store_environment if first.environment else tracker.store_init_configuration
        tracker.record_time = first.time
        try:
            store(first.values)
        finally:
            tracker.record_time = None
    elif isinstance(first, Rewind):
        tracker.rewind(first.step)
    elif isinstance(first, Checkpoint) and first.path:
        tracker.log_checkpoint(first.name, os.fspath(folder / first.path), first.step, first.values)
    elif first.values:
        tracker.describe_checkpoint(first.name, first.step, first.values)
    else:
        tracker.delete_checkpoint(first.name)


def drop_unread(tracker: GeneralTracker, unread: Mapping[str, str]) -> None:
    """Count values that could not be read in the call, once the tracker has the others of it."""
    for name, why in unread.items():
        tracker.drop(name, None, f"it could not be read when it was logged ({why})")
