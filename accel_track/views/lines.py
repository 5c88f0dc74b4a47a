"""The lines of a run: its calls of log in the order of their times, the last ones and those that come."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.journal.entries import Position
from accel_track.journal.reader import BATCH, JournalReader, segments
from accel_track.records import AnyRecord, Metrics, Rewind, media_in
from accel_track.rules import any_of
from accel_track.values.plain import leaves

_BACK = (2**16, 2**20, 2**24)
"""The sizes of the ends of a segment, in bytes, that are read one after the other before all of it is."""


class Line(NamedTuple):
    """A call of log, or a rewind.

    Attributes:
        time: Wall-clock time in seconds since 1970-01-01 UTC.
        rank: The rank that logged it; None if the run has one alone.
        step: Training step, or None.
        values: Values by name; names of nested ones are joined with "/".
        rewind: The step to which the run went back, or None.
    """

    time: float
    rank: int | None
    step: int | None
    values: dict[str, Any]
    rewind: int | None = None


class Lines:
    """The lines of a run, read as they come.

    Args:
        run: The run directory.
        patterns: Of which metrics; patterns as those of rules. Empty: of all.
    """

    def __init__(self, run: RunDirectory, patterns: Sequence[str] = ()) -> None:
        """Read nothing yet."""
        self._run, self._names, self._fits = run, frozenset(patterns), any_of(patterns)
        self._readers: dict[int, JournalReader] = {}

    def last(self, count: int) -> list[Line]:
        """Return the last lines there are, oldest first; `new` goes on behind them.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        ranks = self._run.ranks()
        found = [self._last_of(rank, count, several=len(ranks) > 1) for rank in ranks]
        merged = list(heapq.merge(*found, key=lambda line: line.time))
        return merged[len(merged) - count :] if count < len(merged) else merged

    def _last_of(self, rank: int, count: int, *, several: bool) -> list[Line]:
        """Read the end of a rank's journal, from ever earlier places until there are enough lines."""
        folder, found = self._run.rank(rank), deque[Line](maxlen=count)
        reader = JournalReader(folder)
        for place in _places(folder):
            found.clear()
            reader = JournalReader(folder, place)
            found.extend(self._of(reader, rank if several else None))
            if len(found) == count:
                break
        self._readers[rank] = reader
        return list(found)

    def new(self) -> Iterator[Line]:
        """Yield the lines that came since, those of all ranks in the order of their times.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        ranks = self._run.ranks()
        for rank in ranks:
            if rank not in self._readers:
                self._readers[rank] = JournalReader(self._run.rank(rank))
        found = [list(self._of(self._readers[rank], rank if len(ranks) > 1 else None)) for rank in ranks]
        yield from heapq.merge(*found, key=lambda line: line.time)

    def _of(self, reader: JournalReader, rank: int | None) -> Iterator[Line]:
        while entries := reader.read(BATCH):
            for entry in entries:
                if (line := self._line(entry.record, rank)) is not None:
                    yield line

    def _line(self, record: AnyRecord, rank: int | None) -> Line | None:
        if isinstance(record, Rewind):
            return Line(record.time, rank, None, {}, record.step)
        if not isinstance(record, Metrics):
            return None
        values = {name: _told(value) for name, value in leaves(record.values) if self._wanted(name)}
        return Line(record.time, rank, record.step, values) if values else None

    def _wanted(self, name: str) -> bool:
        return self._fits is None or name in self._names or self._fits.fullmatch(name) is not None


def _places(folder: Path) -> Iterator[Position]:
    """Yield places ever further before the end of a journal, which can be read from anywhere; the last is its begin."""
    there = segments(folder)
    if there:
        number, path = there[-1]
        size = path.stat().st_size
        yield from (Position(number, size - back) for back in _BACK if back < size)
    many = 1
    while many < len(there):
        yield Position(there[-many][0])
        many *= 2
    if there:
        yield Position(there[0][0])


def _told(value: Any) -> Any:
    """Return a value, or how many media of which kind it is."""
    found = list(media_in(value))
    if not found:
        return value
    return f"({found[0].kind})" if len(found) == 1 else f"({len(found)} of {found[0].kind})"
