"""The closing report: the wait at the end, and sentences about what is delivered and what is not."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from accel_track.delivery.status import TrackerStatus
from accel_track.folders import shown_path
from accel_track.journal.cursor import Cursor
from accel_track.progress import progress_bar
from accel_track.texts import counted, tell

if TYPE_CHECKING:
    from accel_track.journal.writer import JournalWriter

_PATIENCE = 2.0
"""Seconds before a progress bar appears."""


class _Over(Protocol):
    def wait(self, timeout: float) -> bool: ...


class Delivering(Protocol):
    """A tracker that is delivered to: by a worker, or in the companion process."""

    @property
    def name(self) -> str:
        """Name of the tracker."""

    @property
    def cursor(self) -> Cursor:
        """The cursor of the tracker."""

    @property
    def durable(self) -> Cursor:
        """The cursor of the records that stay with the backend, whatever happens to the process now."""

    @property
    def last_error(self) -> str | None:
        """The error that keeps the tracker from the next record."""

    @property
    def missing(self) -> int:
        """The number of records that the tracker can no longer get."""

    @property
    def unfinished(self) -> bool:
        """Whether the backend could not be told of the end."""

    @property
    def over(self) -> _Over:
        """Set when nothing more will be delivered."""


def status_of_worker(worker: Delivering, next_seq: int) -> TrackerStatus:
    """Return the state of a worker's tracker, given the number of the next record of its journal."""
    cursor = worker.durable
    status = TrackerStatus.of(worker.name, cursor, max(0, next_seq - cursor.seq))
    status.unfinished = worker.unfinished or not (status.pending or worker.over.wait(0.0))
    if not status.complete or status.not_replayable:  # else the error has passed
        status.error = worker.last_error
    return status


def closing_report(
    run: Path,
    workers: Sequence[Delivering],
    journal: JournalWriter,
    going_on: Sequence[str] = (),
    objects: Collection[str] = (),
    notes: Sequence[str] = (),
    looks: Iterable[str] = (),
) -> str:
    """Return the report on a run that has ended, with what finishes the job if there is something left.

    Args:
        run: The run directory.
        workers: What has delivered.
        journal: The journal.
        going_on: A sentence for each process that goes on delivering; where there is none, the command is given.
        objects: Names of the trackers that were passed as objects, which no command can make.
        notes: Sentences about anything else.
        looks: Pages of the backend runs, and commands that show them.
    """
    found = [status_of_worker(worker, journal.next_seq) for worker in workers]
    pending = [one for one in found if one.pending]
    counts = [journal.lost_from(min((worker.durable.seq for worker in workers), default=0))]
    counts += [worker.missing for worker in workers]
    reason = "the disk did not take them, or they were deleted"
    if not (run / "run.json").exists():
        counts += [one.pending for one in pending] if found else [journal.next_seq]
        reason, pending = f"{shown_path(run)} is gone", []
    lost = [f"{counted(max(counts), 'record')} lost: {reason}"] if max(counts) else []
    if not (lost or notes) and (not found or not journal.next_seq):
        return ""
    head = f"accel_track: {shown_path(run)}"
    look_at_it = "".join(f"\n  look at it: {one}" for one in looks)
    if not (lost or notes) and all(one.whole for one in found):
        *others, last = found
        each = [
            *[f"{one.name} {one.delivered:,}" for one in others],
            f"{last.name} {counted(last.delivered, 'record')}",
        ]
        return f"{head}: {', '.join(each)} delivered." + look_at_it
    text = "\n".join([f"{head}:", *[f"  {one}" for one in found], *[f"  {one}" for one in (*lost, *notes)]])
    if pending and going_on:
        text += "".join(f"\n  {sentence}" for sentence in going_on)
    elif [one for one in pending if one.name not in objects]:
        text += f"\n  Deliver what is pending with: accel-track sync {shlex.quote(shown_path(run))}"
    if left := [one.name for one in pending if one.name in objects]:
        text += (
            f"\n  {', '.join(left)} was passed as an object, which no command can make: `accel-track sync` delivers to "
            "it once its class comes from a plugin, or to another backend with --to."
        )
    if refused := [one for one in found if one.quarantined and one.name not in objects]:
        text += f"\n  Deliver what {refused[0].name} refused again with: "
        text += f"accel-track sync {shlex.quote(shown_path(run))} --quarantined"
    return text + look_at_it


def show(report: str) -> None:
    """Print a report to the standard error output, each line cleaned."""
    if report:
        tell(report)


def wait_for(workers: Sequence[Delivering], next_seq: int, timeout: float) -> None:
    """Wait until workers are through, with a progress bar on a terminal if it takes long.

    Args:
        workers: Workers that were told to close.
        next_seq: Number of the next record of their journal.
        timeout: The longest wait, in seconds.
    """
    end = time.monotonic() + timeout
    begun = [worker.cursor.seq for worker in workers]

    def all_over(until: float) -> bool:
        return all(worker.over.wait(max(0.0, until - time.monotonic())) for worker in workers)

    if all_over(min(end, time.monotonic() + _PATIENCE)) or time.monotonic() >= end:
        return
    with progress_bar() as bars:
        tasks = [
            bars.add_task(f"delivering to {worker.name}", total=next_seq - first)
            for worker, first in zip(workers, begun, strict=True)
        ]
        while time.monotonic() < end:
            for task, worker, first in zip(tasks, workers, begun, strict=True):
                bars.update(task, completed=worker.cursor.seq - first)
            if all_over(min(end, time.monotonic() + 0.1)):
                return
