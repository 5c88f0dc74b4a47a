"""The traces of each rank: its last records, and the evidence that its last process left."""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
from typing import NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.journal.entries import Entry, Position
from accel_track.journal.reader import JournalReader, segments
from accel_track.records import Metrics
from accel_track.views.autopsy.dumps import Dump, parsed
from accel_track.watchdog.evidence import Beat, Began, Death, Evidence

_AT_ONCE = 20_000
_LAST = 200
"""Records whose distance in time is looked at."""
_ERROR = re.compile(r"^# (\d{1,12}\.\d+)(?: in the thread (.*))?$", re.MULTILINE)


class Progress(NamedTuple):
    """The last records of a rank.

    Attributes:
        records: Number of the next record.
        step: The step that was logged last, or None.
        time: When the last record of metrics was logged, in seconds since 1970-01-01 UTC, or None.
        interval: Median seconds from one of the last records to the next, or None.
    """

    records: int = 0
    step: int | None = None
    time: float | None = None
    interval: float | None = None


class Error(NamedTuple):
    """An exception that nobody caught.

    Attributes:
        time: When it was noted, in seconds since 1970-01-01 UTC.
        thread: The thread that it ended; None for the program itself.
        text: The traceback.
    """

    time: float
    thread: str | None
    text: str

    @property
    def line(self) -> str:
        """Its last line: class and message."""
        lines = [one for one in self.text.splitlines() if one.strip() and not one.startswith(" ")]
        return lines[-1] if lines else ""

    @property
    def place(self) -> str:
        """The place where the exception was raised, or ""."""
        found = re.findall(r'^  File "(.*)", line (\d+), in (.*)$', self.text, re.MULTILINE)
        return f"{found[-1][2]}, {'/'.join(found[-1][0].split('/')[-2:])}:{found[-1][1]}" if found else ""


class Trace(NamedTuple):
    """The traces of a rank.

    Attributes:
        rank: Its number.
        progress: How far it has logged.
        processes: How many processes have left evidence.
        began: Who the last one was, or None.
        beat: Its last sign of life, or None.
        death: What a companion saw of its end, or None.
        dumps: Its stacks.
        dumped: When stacks were last written, in seconds since 1970-01-01 UTC, or None.
        children: Stacks of forked children that fatal signals ended.
        errors: Exceptions that nobody caught.
    """

    rank: int
    progress: Progress
    processes: int = 0
    began: Began | None = None
    beat: Beat | None = None
    death: Death | None = None
    dumps: list[Dump] = []  # noqa: RUF012 - never changed
    dumped: float | None = None
    children: list[Dump] = []  # noqa: RUF012 - never changed
    errors: list[Error] = []  # noqa: RUF012 - never changed

    @property
    def seen(self) -> float | None:
        """The last sign of life: of a record or of the watch, in seconds since 1970-01-01 UTC."""
        signs = [self.progress.time, None if self.beat is None else self.beat.time]
        return max((one for one in signs if one is not None), default=None)

    @property
    def fatal(self) -> Dump | None:
        """The stacks that a fatal signal caused, or None."""
        return next((one for one in reversed(self.dumps) if one.error), None)

    @property
    def stalled(self) -> Dump | None:
        """The stacks that were written since no record had come, if none came later."""
        found = next((one for one in reversed(self.dumps) if one.silent is not None), None)
        ended = None if found is None else found.time
        return found if ended is not None and (self.progress.time or 0.0) <= ended else None


def trace_of(run: RunDirectory, rank: int) -> Trace:
    """Return the traces of a rank.

    Raises:
        JournalError: A segment is of a later version of the format.
        OSError: A segment cannot be read.
    """
    progress, found = _progress(run, rank), Evidence.all(run.rank(rank))
    if not found:
        return Trace(rank, progress)
    last, dumped = found[-1], None
    with contextlib.suppress(OSError):
        dumped = last.stacks.stat().st_mtime
    stacks, children = last.text(last.stacks), parsed(last.text(last.children))
    documents = (last.load(Began), last.load(Beat), last.load(Death))
    return Trace(
        rank, progress, len(found), *documents, parsed(stacks), dumped if stacks else None, children, _errors(last)
    )


def _errors(evidence: Evidence) -> list[Error]:
    text = evidence.text(evidence.error)
    heads = list(_ERROR.finditer(text))
    ends = [*(one.start() for one in heads), len(text)][1:]
    bodies = (text[one.end() : end].strip("\n") for one, end in zip(heads, ends, strict=True))
    return [Error(float(one[1]), one[2], body) for one, body in zip(heads, bodies, strict=True)]


def _progress(run: RunDirectory, rank: int) -> Progress:
    """Return the last records of a rank, from its last segments."""
    folder, records = run.rank(rank), 0
    for number, _ in reversed(segments(folder)):
        last: list[Entry] = []
        reader = JournalReader(folder, Position(number))
        while entries := reader.read(_AT_ONCE):
            last = [*last, *entries[-_LAST:]][-_LAST:]
        records = max(records, max((one.record.seq + 1 for one in last), default=0))
        calls = [one.record for one in last if isinstance(one.record, Metrics)]
        if calls:
            times = [one.time for one in calls]
            between = [later - earlier for earlier, later in itertools.pairwise(times)]
            step = next((one.step for one in reversed(calls) if one.step is not None), None)
            return Progress(records, step, max(times), statistics.median(between) if len(between) > 1 else None)
    return Progress(records)
