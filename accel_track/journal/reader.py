"""Read one rank's records from its segments, past damage, also while they are being written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from accel_track.errors import JournalError
from accel_track.journal import frames, keysets
from accel_track.journal.keysets import KeySet
from accel_track.records import AnyRecord, decode

BATCH = 100
"""How many records to have in memory at once: few enough that Python's garbage collector, which stops training too and
goes through all that the process has, does not begin for them."""

_CHUNK = 1024 * 1024
_MARKERS = re.compile(b"|".join(map(re.escape, (frames.MARKER, frames.KEYS, keysets.MARKER))), re.DOTALL)


_new = tuple.__new__  # a named tuple's own takes three times as long


class Position(NamedTuple):
    """A place in a rank's journal: number of the segment, and byte in it."""

    segment: int = 0
    offset: int = 0


class Entry(NamedTuple):
    """A record and the place behind it."""

    record: AnyRecord
    end: Position


class Damage(NamedTuple):
    """Bytes of a segment that hold no record."""

    segment: str
    offset: int
    length: int


class JournalReader:
    """Reads from a position to the present end, again and again.

    Bytes that are no undamaged frame are skipped up to the next one that is, and reported in `damages`; so is a damaged
    header. At the end of the last segment they may be a record that is being written: reading stops before them.

    Args:
        folder: The rank's folder.
        position: Where to begin.
    """

    def __init__(self, folder: Path, position: Position = Position()) -> None:  # noqa: B008 - immutable
        """Open nothing yet."""
        self.folder = folder
        self.position = position
        self.damages: list[Damage] = []
        self.torn = 0
        """How many bytes at the very end are no record, or not yet."""
        self._buffer = b""
        self._start = position  # of the buffer
        self._sets: dict[int, KeySet] = {}  # of the segment in the buffer
        self._searched = (-1, 0)  # number and size of the segment that was searched for others

    def read(self, limit: int) -> list[Entry]:
        """Return the next records, at most `limit`; an empty list where there are none yet.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        entries: list[Entry] = []
        while len(entries) < limit:
            try:
                entries += self._parse(limit - len(entries))
                if len(entries) < limit and not self._refill():
                    break
            except (JournalError, OSError):
                if entries:  # the next call meets the error again
                    break
                raise
        return entries

    def damaged(self) -> int:
        """Return how many bytes were skipped."""
        return sum(damage.length for damage in self.damages)

    def __iter__(self) -> Iterator[AnyRecord]:
        """Yield all records up to the present end."""
        while entries := self.read(BATCH):
            for entry in entries:
                yield entry.record

    def _parse(self, limit: int) -> list[Entry]:
        """Return the records of the undamaged frames in the buffer from `position` on, at most `limit`."""
        entries: list[Entry] = []
        data, (segment, begin) = self._buffer, self._start
        at = self.position.offset - begin
        if segment != self.position.segment or at < 0:
            return entries
        while len(entries) < limit:
            if data.startswith(keysets.MARKER, at):
                keys = self._key_set(data, at)
                found = [] if keys is None else keys.records(data, at, limit - len(entries))
                if keys is None or not found:
                    break
                ends = range(begin + at + keys.size, begin + len(data) + 1, keys.size)
                entries += [
                    _new(Entry, (record, _new(Position, (segment, end))))
                    for record, end in zip(found, ends)  # noqa: B905
                ]
                at += keys.size * len(found)
            elif (payload := frames.payload_at(data, at)) is not None:
                at += frames.FRAME.size + len(payload)
                try:
                    entries.append(Entry(decode(payload), Position(segment, begin + at)))
                except JournalError:
                    self._damaged_before(segment, begin + at, payload)
            elif (payload := frames.payload_at(data, at, frames.KEYS)) is not None:
                at += frames.FRAME.size + len(payload)
                if (new := keysets.read(payload)) is not None:
                    self._sets[new.number] = new
                else:
                    self._damaged_before(segment, begin + at, payload)
            else:
                break
        self.position = Position(segment, begin + at)
        return entries

    def _key_set(self, data: bytes, at: int) -> KeySet | None:
        """Return the key set of a frame; where its definition was not met, the segment is searched for one."""
        if len(data) - at < keysets.HEAD.size:
            return None
        number = keysets.HEAD.unpack_from(data, at)[1]
        if number not in self._sets:
            segment = self._start.segment
            path = self.folder / segment_name(segment)
            searched = segment, path.stat().st_size
            if searched != self._searched:
                self._searched = searched
                self._sets = keysets.defined_in(path.read_bytes())
        return self._sets.get(number)

    def _refill(self) -> bool:
        """Read on behind `position`; go past damage, or to the next segment. False at the present end."""
        path = os.path.join(self.folder, segment_name(self.position.segment))
        if self._load(path, _CHUNK) and self._begins(path):
            return True
        later = min((number for number, _ in segments(self.folder) if number > self.position.segment), default=None)
        # Again: its last records may have been written after the first look and before a later segment was made. Or the
        # frame is longer than a chunk.
        size = 2 * (frames.LONGEST + frames.FRAME.size) if self._buffer else _CHUNK
        if not self._load(path, size):
            return self._go_to(later)
        return self._begins(path) or self._go_past(path, later)

    def _begins(self, path: str) -> bool:
        """Whether the buffer begins with an undamaged frame, or with a segment's header, which is gone past."""
        if self.position.offset == 0 and frames.is_segment(self._buffer):
            frames.first_seq(self._buffer, path)
            self.position = self.position._replace(offset=frames.HEADER.size)
            return True
        return self._whole(self._buffer, 0)

    def _whole(self, data: bytes, at: int) -> bool:
        """Whether an undamaged frame begins at a place in the buffer."""
        if data.startswith(keysets.MARKER, at):
            keys = self._key_set(data, at)
            return keys is not None and bool(keys.records(data, at, 1))
        return any(frames.payload_at(data, at, marker) is not None for marker in (frames.MARKER, frames.KEYS))

    def _next_frame(self, data: bytes) -> int | None:
        """Return where the first undamaged frame behind the beginning is."""
        places = (match.start() for match in _MARKERS.finditer(data, 1))
        return next((at for at in places if self._whole(data, at)), None)

    def _go_past(self, path: str, later: int | None) -> bool:
        """Go past bytes that do not begin with a frame. False if they are the journal's end."""
        data = self._buffer
        skipped = self._next_frame(data)
        if skipped is None and len(data) > frames.LONGEST and self.position.offset + len(data) < os.stat(path).st_size:
            skipped = frames.LONGEST  # nothing in all of it, and more behind it
        if skipped is not None:
            self._skip(skipped)
            return True
        self.torn = len(data)
        if later is not None:
            self._damaged(self.position, len(data))
        return self._go_to(later)

    def _load(self, path: str, size: int) -> bool:
        """Read on, where there is more; the file is not kept open, since others may want to delete it."""
        self.torn, self._buffer = 0, b""
        if self._start.segment != self.position.segment:
            self._sets = {}
        self._start = self.position
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            left = os.fstat(file.fileno()).st_size - self.position.offset
            if left > 0:
                file.seek(self.position.offset)
                self._buffer = file.read(min(size, left))
        return self._buffer != b""

    def _skip(self, size: int) -> None:
        self._damaged(self.position, size)
        self.position = self.position._replace(offset=self.position.offset + size)

    def _damaged_before(self, segment: int, end: int, payload: bytes) -> None:
        size = frames.FRAME.size + len(payload)
        self._damaged(Position(segment, end - size), size)

    def _damaged(self, begin: Position, size: int) -> None:
        name, last = segment_name(begin.segment), self.damages[-1] if self.damages else None
        if last is not None and last.segment == name and last.offset + last.length == begin.offset:
            self.damages[-1] = last._replace(length=last.length + size)
        else:
            self.damages.append(Damage(name, begin.offset, size))

    def _go_to(self, segment: int | None) -> bool:
        if segment is None:
            return False
        self.position = Position(segment)
        return True


def segment_name(number: int) -> str:
    """Return the name of a segment's file."""
    return f"{number:08d}.seg"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """Return the numbers and paths of a rank's segments, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((int(name[:-4]), folder / name) for name in names if re.fullmatch(r"\d{8}\.seg", name))


def last_seq(folder: Path) -> int:
    """Return the highest number of a record in a rank's journal, -1 if there is none; reads all of the last segment.

    Raises:
        JournalError: The last segment is of a later version of the format.
    """
    return read_last(folder)[0]


def read_last(folder: Path) -> tuple[int, JournalReader]:
    """Return what `last_seq` does, and a reader of what is written later.

    Raises:
        JournalError: The last segment is of a later version of the format.
    """
    for number, path in reversed(segments(folder)):
        with path.open("rb") as file:
            data = file.read(frames.HEADER.size)
        # It has no header if its writer was killed in between, or after damage.
        before = frames.first_seq(data, str(path)) - 1 if frames.is_segment(data) else -1
        reader = JournalReader(folder, Position(number))
        last = max((record.seq for record in reader), default=before)
        if last >= 0:
            return last, reader
    return -1, JournalReader(folder)
