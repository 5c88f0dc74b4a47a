"""Deliveries on the command line: progress bars, and the status of a tracker for JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from accel_track.cli._common import say
from accel_track.progress import progress_bar
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.delivery.sync import Job, Sync


def delivered(one: Sync, *, follow: bool, timeout: float) -> list[TrackerStatus]:
    """Deliver a run, with a progress bar, and return where its trackers stand then."""
    with contextlib.redirect_stdout(sys.stderr), _bars(follow=follow) as watch:  # what SDKs print is not our output
        return one.deliver(follow=follow, timeout=timeout, watch=watch)


def status_document(status: TrackerStatus) -> dict[str, Any]:
    """Return the status of a tracker that was delivered to, for JSON."""
    told = {**asdict(status), "complete": status.complete}
    return {name: value for name, value in told.items() if name not in ("under_way", "lag")}  # those are a live run's


@contextlib.contextmanager
def _bars(*, follow: bool) -> Iterator[Callable[[Sequence[Job]], None]]:
    """Yield a function that shows the workers' progress on a terminal."""
    if follow and not sys.stderr.isatty():
        say("following the run until it ends; Ctrl-C stops", err=True)
    with progress_bar() as bars:
        tasks: dict[str, Any] = {}

        def watch(jobs: Sequence[Job]) -> None:
            for job in jobs:
                if job.name not in tasks:
                    from rich.markup import escape

                    tasks[job.name] = bars.add_task(f"delivering to {escape(printable(job.name))}")
                bars.update(tasks[job.name], completed=job.worker.cursor.seq, total=job.records())

        yield watch
