"""Run directories as programs leave them, with times and ids of choice, written by the package's own writers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo, TrackerInfo
from accel_track.journal.past import PastWriter
from accel_track.records import Alert


def made(
    folder: Path | str,
    project: str,
    name: str | None,
    created: float,
    *,
    digits: str = "",
    status: str = "finished",
    config: Mapping[str, Any] | None = None,
    values: Sequence[Mapping[str, Any]] = ({"loss": 1.0},),
    each: float = 1.0,
    every: int = 1,
    raised: Sequence[Alert] = (),
    pending: int | None = None,
    **more: Any,
) -> RunDirectory:
    """Make a run that is over.

    Args:
        folder: The logging directory.
        project: Its project.
        name: Its name.
        created: When it began.
        digits: The random digits of its id; by default made of the time.
        status: What `run.json` says.
        config: Hyperparameters.
        values: What it logged, a call each.
        each: Seconds between two calls.
        every: Steps between two calls.
        raised: Alerts that it raised at its end.
        pending: How many records the tracker "tensorboard" lacks; None: the run has no tracker.
        **more: Fields of `run.json`.
    """
    random = digits or f"{crc32(repr((project, name, created)).encode()) & 0xFFFFFF:06x}"
    run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(created))}-{random}"
    run = RunDirectory.of(folder, project, run_id)
    run.path.mkdir(parents=True, mode=0o700)
    trackers = {} if pending is None else {"tensorboard": TrackerInfo()}
    run.save(RunInfo(run_id, project, created, name, status, trackers=trackers, **more))
    writer = PastWriter(run.rank(), created)
    if config:
        writer.config(dict(config))
    for step, one in enumerate(values):
        writer.moment = created + each * (step + 1)
        writer.metrics(dict(one), step * every, {})
    for alert in raised:
        writer.metrics(alert.values, None, {}, alert=alert)
    if pending is not None:
        run.cursor("tensorboard").parent.mkdir(exist_ok=True)
        had = writer.next_seq - pending
        cursors.save(run.cursor("tensorboard"), cursors.Cursor(seq=had, delivered=had))
    writer.close()
    return run
