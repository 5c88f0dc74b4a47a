"""Where workers get records: from the journal of this process, or from one on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from accel_track.journal.cursor import Cursor
from accel_track.journal.history import History
from accel_track.journal.reader import Entry, JournalReader, Position
from accel_track.journal.writer import JournalWriter, Kept
from accel_track.records import own_copy


class Source(Protocol):
    """Where a worker gets records."""

    @property
    def position(self) -> Position:
        """The place behind the last record that was read."""

    def read(self, limit: int) -> list[Entry]:
        """Return the next records; an empty list where there are none yet."""

    def damaged(self) -> int:
        """Return how many bytes were skipped so far."""


class StoredSource(JournalReader):
    """One rank's journal on disk; a worker ends behind what it has read once `stopped` is set.

    Args:
        folder: The rank's folder.
        position: Where to begin.
    """

    stopped = False

    def __init__(self, folder: Path, position: Position) -> None:
        """Find out what does not count any more."""
        super().__init__(folder, position)
        self._history = History(folder)

    def read(self, limit: int) -> list[Entry]:
        """Return the next records that still count, at most `limit`; none any more once stopped."""
        while not self.stopped and (entries := super().read(limit)):
            if counting := [entry for entry in entries if self._history.counts(entry.record)]:
                return counting
        return []


class LiveSource:
    """The journal of this process, with what is only in memory in its place.

    Args:
        writer: Who writes it.
        cursor: Where to begin.
    """

    def __init__(self, writer: JournalWriter, cursor: Cursor) -> None:
        """Read nothing yet."""
        self._writer = writer
        self._reader = JournalReader(writer.folder, cursor.position)
        self._next = cursor.seq
        self._read_all_of: tuple[int, int] | None = None
        self._history = History(writer.folder)

    @property
    def position(self) -> Position:
        """The place behind the last record that was read from disk."""
        return self._reader.position

    def damaged(self) -> int:
        """Return how many bytes were skipped."""
        return self._reader.damaged()

    def read(self, limit: int) -> list[Entry]:
        """Return the next records that still count, at most `limit` of those on disk."""
        while entries := self._read(limit):
            if counting := [entry for entry in entries if self._history.counts(entry.record)]:
                return counting
        return []

    def _read(self, limit: int) -> list[Entry]:
        written, before = self._writer.written, self.position
        if written == self._read_all_of:
            return []
        settled = self._writer.next_seq  # what is older is on disk or in memory by now
        limit = min(limit, max(1, settled - self._next))  # without a look for more, which costs as much as to read it
        try:
            entries = self._reader.read(limit)
        except OSError:  # such as a folder that is gone
            entries = []
        if len(entries) < limit:
            self._read_all_of = written
        # After the disk was read: what is older than its last record is in memory by now, if it is there at all.
        kept = self._writer.kept_since(self._next)
        if kept:
            end = max((entry.record.seq + 1 for entry in entries), default=0)
            end = end if len(entries) == limit else max(end, settled)
            entries = _merged(entries, [one for one in kept if one.record.seq < end], before)
        self._next = max([self._next, *(entry.record.seq + 1 for entry in entries)])
        return entries


def _merged(entries: list[Entry], kept: list[Kept], before: Position) -> list[Entry]:
    """Return records from disk and memory in their order; one that is in both is whole in memory only."""
    records = {one.record.seq: own_copy(one.record) for one in kept}
    merged = [entry._replace(record=records.pop(entry.record.seq, entry.record)) for entry in entries]
    on_disk = {one.record.seq for one in kept if one.on_disk}
    merged += [Entry(record, before) for seq, record in records.items() if seq not in on_disk]
    merged.sort(key=lambda entry: entry.record.seq)
    for index, entry in enumerate(merged):  # the place behind a record in memory is that of the last one before it
        before = max(before, entry.end)
        merged[index] = entry._replace(end=before)
    return merged
