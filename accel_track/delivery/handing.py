"""Which method of a tracker a record goes to."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
        tracker.log_batch(cast("Sequence[Metrics]", records))
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
    else:
        tracker.delete_checkpoint(first.name)
