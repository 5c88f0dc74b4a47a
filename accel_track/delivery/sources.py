"""Sources of records for workers: the journal of this process, or one on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from accel_track.journal.cursor import Cursor
from accel_track.journal.entries import Entry, Position, next_seq
from accel_track.journal.memory import Kept
from accel_track.journal.reader import BATCH, History, JournalReader, SegmentFiles
from accel_track.journal.writer import JournalWriter
from accel_track.records import AnyRecord, own_copy


class Source(Protocol):
    """The source of a worker's records."""

    @property
    def position(self) -> Position:
        """The place behind the last record that was read."""

    @property
    def missing(self) -> int:
        """The number of records that should be there and are nowhere."""

    def read(self, limit: int) -> Sequence[Entry]:
        """Return the next records; an empty list where there are none yet.

        Raises:
            UnreadableError: They cannot be read at the moment.
        """

    def damaged(self) -> int:
        """Return the number of bytes skipped so far."""


class UnreadableError(OSError):
    """The journal cannot be read at the moment."""


class StoredSource:
    """One rank's journal on disk; a worker ends behind what it has read once `stopped` is set.

    Args:
        folder: The rank's folder.
        cursor: Where to begin.
    """

    missing = 0
    stopped = False

    def __init__(self, folder: Path, cursor: Cursor) -> None:
        """Read nothing yet."""
        self._folder = folder
        self._reader = JournalReader(folder, cursor.position)
        self._reader.had = cursor.seq
        self._history: History | None = None

    @property
    def position(self) -> Position:
        """The place behind the last record that was read."""
        return self._reader.position

    def damaged(self) -> int:
        """Return the number of skipped bytes."""
        return self._reader.damaged()

    def read(self, limit: int) -> Sequence[Entry]:
        """Return the next records that still count, at most `limit`; none any more once stopped.

        Raises:
            UnreadableError: They cannot be read at the moment.
        """
        with _readable(self._folder):
            history = self._history = self._history or History(self._folder)
            while not self.stopped and (entries := self._reader.read(limit)):
                if counting := history.counting(entries):
                    return counting
        return []


class _LiveFiles(SegmentFiles):
    """The segments of this process's journal; the newest ones can be read wherever their files are by now.

    Args:
        writer: Who writes them.
    """

    def __init__(self, writer: JournalWriter) -> None:
        """Open nothing."""
        super().__init__(writer.folder)
        self._writer = writer

    def after(self, number: int) -> int | None:
        """Return the number of the next segment, or None if there is none."""
        if number >= self._writer.number:
            return None
        later = [one.number for one in self._writer.open_segments if one.number > number]
        if number + 1 in later:
            return number + 1
        return min(filter(None, [*later, super().after(number)]), default=None)

    def read(self, number: int, offset: int, size: int) -> tuple[bytes, int]:
        """Return bytes of a segment and the size of its file, from the writer's descriptor or else by its path."""
        for segment in self._writer.open_segments:
            if segment.number == number:
                with contextlib.suppress(OSError, AttributeError):  # the descriptor is bad; Windows has no `pread`
                    return segment.read(offset, size)
        return super().read(number, offset, size)


class LiveSource:
    """The journal of this process, with what is only in memory in its place.

    Args:
        writer: Who writes it.
        cursor: Where to begin.
    """

    def __init__(self, writer: JournalWriter, cursor: Cursor) -> None:
        """Read nothing yet."""
        self._writer = writer
        self._reader = JournalReader(writer.folder, cursor.position, _LiveFiles(writer))
        self._next = self._expected = cursor.seq
        self._read_all_of: tuple[int, ...] | None = None
        self._history: History | None = None

    @property
    def position(self) -> Position:
        """The place behind the last record that was read from disk."""
        return self._reader.position

    @property
    def missing(self) -> int:
        """The number of records, up to the last one read, that are neither on disk nor in memory."""
        return max(0, self._next - self._expected)

    def damaged(self) -> int:
        """Return the number of skipped bytes."""
        return self._reader.damaged()

    def read(self, limit: int) -> Sequence[Entry]:
        """Return the next records that still count, at most `limit` of those on disk.

        Raises:
            UnreadableError: They cannot be read at the moment.
        """
        with _readable(self._writer.folder):
            history = self._history = self._history or History(self._writer.folder)
            while entries := self._read(limit):
                if counting := history.counting(entries):
                    return counting
        return []

    def _read(self, limit: int) -> Sequence[Entry]:
        written, before = self._writer.written, self.position
        if written == self._read_all_of:
            return []
        settled = self._writer.next_seq  # what is older is on disk or in memory by now
        limit = min(limit, max(1, settled - self._next))  # without a look for more, which costs as much as to read it
        self._reader.had = self._next
        moves = self._writer.moves
        entries = self._reader.read(limit)
        kept = self._writer.kept_since(self._next)
        while moves != self._writer.moves:  # what was in memory may be on disk by now
            moves = self._writer.moves
            entries = [*entries, *self._reader.read(limit - len(entries))]
            # After the disk was read: what is older than its last record is in memory by now, if it is there at all.
            kept = self._writer.kept_since(self._next)
        if len(entries) < limit:
            self._read_all_of = written
        if kept:
            end = next_seq(entries)
            end = end if len(entries) == limit else max(end, settled)
            entries = _merged(entries, [one for one in kept if one.record.seq < end], before)
        self._next = max(self._next, next_seq(entries))
        self._expected += len(entries)
        return entries


def earlier(folder: Path, seq: int) -> Iterator[AnyRecord]:
    """Yield the records of a rank's journal before a number, those that still count.

    Raises:
        UnreadableError: They cannot be read at the moment.
    """
    with _readable(folder):
        history, reader = History(folder), JournalReader(folder)
        while entries := reader.read(BATCH):
            for entry in history.counting(entries):
                if entry.record.seq >= seq:
                    return
                yield entry.record


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn an OSError of the journal's disk into an `UnreadableError`, which is no error of a tracker's."""
    try:
        yield
    except OSError as error:
        message = f"cannot read {error.filename or folder}: {error.strerror}"
        raise UnreadableError(message) from error


def _merged(entries: Sequence[Entry], kept: list[Kept], before: Position) -> list[Entry]:
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
