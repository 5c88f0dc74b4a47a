"""The closing report: the wait at the end, and sentences about what is delivered and what is not."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from accel_track.journal.cursor import Cursor
from accel_track.progress import progress_bar
from accel_track.texts import clean

if TYPE_CHECKING:
    from accel_track.journal.writer import JournalWriter

UNKEPT = "checkpoint"
"""Name under which trackers count checkpoints as dropped whose backends keep none."""

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
        """How far it has got."""

    @property
    def durable(self) -> Cursor:
        """What of that stays so, whatever happens to the process now."""

    @property
    def last_error(self) -> str | None:
        """What keeps it."""

    @property
    def missing(self) -> int:
        """How many records it cannot get any more."""

    @property
    def unfinished(self) -> bool:
        """Whether the backend could not be told of the end."""

    @property
    def over(self) -> _Over:
        """Set when nothing more will be delivered."""


class Line(NamedTuple):
    """Where one tracker stands: each of the run's records that counts is in one of the first four numbers."""

    name: str
    delivered: int
    pending: int
    refused: int
    not_replayable: int
    dropped: int
    """Values of delivered records that the backend does not take."""
    unkept: int
    """Those of the delivered records that are checkpoints, where the backend keeps none."""
    error: str | None
    unfinished: bool = False

    @property
    def complete(self) -> bool:
        """Whether the backend has everything that it can take, and knows of the end."""
        return not (self.pending or self.refused or self.not_replayable or self.unfinished)

    def __str__(self) -> str:
        """Return one sentence."""
        counts = [f"{self.delivered} delivered"]
        counts += [f"{self.pending} pending"] if self.pending else []
        counts += [f"{self.refused} refused"] if self.refused else []
        counts += [f"{self.not_replayable} without portable form"] if self.not_replayable else []
        counts += [f"{self.dropped} values dropped"] if self.dropped else []
        counts += [f"{self.unkept} checkpoints not kept there"] if self.unkept else []
        counts += ["not finished"] if self.unfinished else []
        error = f" ({self.error})" if self.error and not self.complete else ""
        return f"{self.name}: {', '.join(counts)}{error}"


def line(worker: Delivering, next_seq: int) -> Line:
    """Return where a worker stands, given the number of the next record of its journal."""
    cursor = worker.durable
    counts = counted(worker.name, cursor, max(0, next_seq - cursor.seq))
    return counts._replace(error=worker.last_error, unfinished=worker.unfinished)


def counted(name: str, cursor: Cursor, pending: int) -> Line:
    """Return the counts of one cursor."""
    unkept = cursor.dropped.get(UNKEPT, 0)
    return Line(
        name,
        cursor.delivered,
        pending,
        cursor.quarantined,
        cursor.not_replayable,
        sum(cursor.dropped.values()) - unkept,
        unkept,
        None,
    )


def closing_report(
    run: Path,
    workers: Sequence[Delivering],
    journal: JournalWriter,
    going_on: Sequence[str] = (),
    objects: Collection[str] = (),
) -> str:
    """Return the report on a run that has ended, with what finishes the job if there is something left.

    Args:
        run: The run directory.
        workers: What has delivered.
        journal: The journal.
        going_on: A sentence for each process that goes on delivering; where there is none, the command is given.
        objects: Names of the trackers that were passed as objects, which no command can make.
    """
    lines = [line(worker, journal.next_seq) for worker in workers]
    pending = [one for one in lines if one.pending]
    counts = [journal.lost_from(min((worker.durable.seq for worker in workers), default=0))]
    counts += [worker.missing for worker in workers]
    reason = "the disk did not take them, or they were deleted"
    if not (run / "run.json").exists():
        counts += [one.pending for one in pending] if lines else [journal.next_seq]
        reason, pending = f"{_relative(run)} is gone", []
    lost = [f"{max(counts)} records are lost: {reason}"] if max(counts) else []
    if not lost and (not lines or not journal.next_seq):
        return ""
    head = f"accel_track: {_relative(run)}"
    if not lost and all(one.complete and not (one.dropped or one.unkept) for one in lines):
        return f"{head}: {', '.join(f'{one.name} {one.delivered}' for one in lines)} records delivered."
    text = "\n".join([f"{head}:", *[f"  {one}" for one in lines], *[f"  {one}" for one in lost]])
    if pending and going_on:
        text += "".join(f"\n  {sentence}" for sentence in going_on)
    elif [one for one in pending if one.name not in objects]:
        text += f"\n  Deliver what is pending with: accel-track sync {shlex.quote(_relative(run))}"
    if left := [one.name for one in pending if one.name in objects]:
        text += (
            f"\n  {', '.join(left)} was passed as an object, which no command can make: `accel-track sync` delivers to "
            "it once its class comes from a plugin, or to another backend with --to."
        )
    if refused := [one for one in lines if one.refused and one.name not in objects]:
        text += f"\n  Deliver what {refused[0].name} refused again with: "
        text += f"accel-track sync {shlex.quote(_relative(run))} --refused"
    return text


def show(report: str) -> None:
    """Print a report to the standard error output, each line cleaned."""
    if report and sys.stderr is not None:
        print("\n".join(map(clean, report.split("\n"))), file=sys.stderr)  # noqa: T201 - for people, and last of all


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


def _relative(path: Path) -> str:
    text = os.path.relpath(path) if os.path.splitdrive(os.getcwd())[0] == path.drive else str(path)
    return str(path) if text.startswith("..") else text
