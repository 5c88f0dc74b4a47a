"""The reader of one rank's records, past damage and while the writer appends; and the history of what still counts."""

from __future__ import annotations

import functools
import os
import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from accel_track.errors import JournalError
from accel_track.journal import frames, keysets
from accel_track.journal.checksums import Checksums
from accel_track.journal.entries import Entry, Position, ShortEntries, Stretch, last_time
from accel_track.journal.frames import segment_name
from accel_track.journal.keysets import KeySet
from accel_track.records import AnyRecord, Artifact, Metrics, Rewind, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 100
"""How many records to have in memory at once: few enough that Python's garbage collector, which stops training too and
goes through all that the process has, does not begin for them."""

_MANY_AT_ONCE = 20_000
"""Records of which no more is kept than their bytes."""

_CHUNK = 1024 * 1024
_LARGE = 2 * (frames.LONGEST + frames.FRAME.size)
_MANY = 100
_SEGMENT = re.compile(r"\d{8}\.seg")
_CHECKSUM = struct.Struct("<I")


class Damage(NamedTuple):
    """Bytes of a segment that hold no record."""

    segment: str
    offset: int
    length: int


class SegmentFiles:
    """The segments of a rank on disk.

    Args:
        folder: The rank's folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open nothing."""
        self._folder = folder

    def after(self, number: int) -> int | None:
        """Return the number of the next segment, or None if there is none.

        Raises:
            OSError: The folder cannot be read.
        """
        if os.path.exists(os.path.join(self._folder, segment_name(number + 1))):
            return number + 1
        return min((later for later, _ in segments(self._folder) if later > number), default=None)

    def read(self, number: int, offset: int, size: int) -> tuple[bytes, int]:
        """Return so many bytes of a segment from a place on, or as many as there are, and the size of its file.

        Raises:
            OSError: They cannot be read.
        """
        try:
            with open(os.path.join(self._folder, segment_name(number)), "rb") as file:
                whole = os.fstat(file.fileno()).st_size
                if offset >= whole:
                    return b"", whole
                file.seek(offset)
                return file.read(min(size, whole - offset)), whole
        except (FileNotFoundError, NotADirectoryError):
            return b"", 0


class JournalReader:
    """A reader of a rank's journal, from a position to the present end, again and again.

    Bytes that are no undamaged frame are skipped up to the next one that is, and reported in `damages`; so is a damaged
    header. At the end of the last segment they may be a record that is being written: reading stops before them.

    Args:
        folder: The rank's folder.
        position: Where to begin.
        files: Where the segments are, if not only in the folder.
    """

    def __init__(
        self,
        folder: Path,
        position: Position = Position(),  # noqa: B008 - immutable
        files: SegmentFiles | None = None,
    ) -> None:
        """Open nothing yet."""
        self.position = position
        self.damages: list[Damage] = []
        self.torn = 0
        """The number of bytes at the very end that are no record, or no whole one yet."""
        self.had = 0
        """Records with lower numbers are left out of segments that may repeat some."""
        self._files = SegmentFiles(folder) if files is None else files
        self._load_nothing()
        self._sets: dict[int, KeySet] = {}  # of the segment in the buffer
        self._defined: dict[bytes, KeySet] = {}  # the same by their definitions, which are written again and again
        self._searched = (-1, 0)  # number and size of the segment that was searched for others
        self._headed = -1  # number of the segment whose header was looked at
        self._repeats = False  # what the header says
        self._together = True  # whether many frames are checked at once

    def read(self, limit: int) -> Sequence[Entry]:
        """Return the next records, at most `limit`; an empty list where there are none yet.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        return _entries(self._found(limit))

    def read_apart(self, limit: int) -> tuple[ShortEntries, list[Entry]]:
        """Return the entries of `read`: first the records in short, not decoded, then the others, each in order.

        Raises:
            JournalError: As `read`.
            OSError: As `read`.
        """
        found = self._found(limit)
        stretches = [one for one in found if isinstance(one, Stretch)]
        return ShortEntries(stretches), [one for one in found if not isinstance(one, Stretch)]

    def read_end(self) -> tuple[int, float | None]:
        """Go to the present end; return one more than the highest number of a record there, and the last one's time.

        Records in short are not decoded. Where there is not a record, that is 0 and None.

        Raises:
            JournalError: As `read`.
            OSError: As `read`.
        """
        following, time = 0, None
        while found := self._found(_MANY_AT_ONCE):
            seqs = (one.keys.highest(one.data) if isinstance(one, Stretch) else one.record.seq for one in found)
            following = max(following, 1 + max(seqs))
            last = found[-1]
            time = last_time(ShortEntries([last]) if isinstance(last, Stretch) else [last])
        return following, time

    def _found(self, limit: int) -> list[Stretch | Entry]:
        found: list[Stretch | Entry] = []
        left = limit
        while left:
            try:
                left -= self._parse(left, found)
                if left and not self._refill():
                    break
            except (JournalError, OSError):
                if found:  # the next call meets the error again
                    break
                raise
        return found

    def damaged(self) -> int:
        """Return the number of skipped bytes."""
        return sum(damage.length for damage in self.damages)

    def __iter__(self) -> Iterator[AnyRecord]:
        """Yield all records up to the present end."""
        while entries := self.read(BATCH):
            for entry in entries:
                yield entry.record

    def _parse(self, limit: int, found: list[Stretch | Entry]) -> int:
        """Add the entries of undamaged frames in the buffer from `position` on, `limit` at most; return the number."""
        data, (segment, begin) = self._buffer, self._start
        if (at := self._place()) is None:
            return 0
        left, new = limit, len(found)
        while left:
            keys = self._key_set(at) if data.startswith(keysets.MARKER, at) else None
            if keys is not None and (count := self._undamaged(keys, at, left)):
                end = at + keys.size * count
                found.append(Stretch(keys, data[at:end], Position(segment, begin + end)))
                at, left = end, left - count
            elif (payload := self._payload_at(at, frames.MARKER)) is not None:
                at += frames.FRAME.size + len(payload)
                try:
                    found.append(Entry(decode(payload), Position(segment, begin + at)))
                    left -= 1
                except JournalError:
                    self._damaged_before(segment, begin + at, payload)
            elif (payload := self._payload_at(at, frames.KEYS)) is not None:
                at += frames.FRAME.size + len(payload)
                if (defined := self._defined.get(payload) or keysets.read(payload)) is not None:
                    self._sets[defined.number] = self._defined[payload] = defined
                else:
                    self._damaged_before(segment, begin + at, payload)
            else:
                break
        self.position = Position(segment, begin + at)
        if self._repeats:
            entries = [entry for entry in _entries(found[new:]) if entry.record.seq >= self.had]
            found[new:] = entries
            return len(entries)
        return limit - left

    def _undamaged(self, keys: KeySet, at: int, most: int) -> int:
        """Return the number of undamaged frames of a key set that follow each other in the buffer, at most `most`."""
        begun = keys.begun(self._buffer, at, most)
        count = keys.undamaged(self._buffer, at, begun, together=self._together)
        # In the rest of a buffer with damage, one by one: else each damage would cost a look at as many frames.
        self._together = self._together and count == begun
        return count

    def _place(self) -> int | None:
        """Return the place of `position` in the buffer."""
        at = self.position.offset - self._start.offset
        return at if self._start.segment == self.position.segment and 0 <= at <= len(self._buffer) else None

    def _payload_at(self, at: int, marker: bytes) -> bytes | None:
        """Return the payload of the undamaged frame with that marker at a place in the buffer, or None."""
        return frames.payload_at(self._buffer, at, marker, self._checks)

    def _short_at(self, at: int) -> KeySet | None:
        """Return the key set of the undamaged short frame at a place in the buffer, or None."""
        data = self._buffer
        keys = self._key_set(at) if data.startswith(keysets.MARKER, at) else None
        if keys is None or len(data) < (end := at + keys.size):
            return None
        return keys if self._checks.match(at, end - 4, _CHECKSUM.unpack_from(data, end - 4)[0]) else None

    def _key_set(self, at: int) -> KeySet | None:
        """Return the key set of a frame; where its definition was not met, the segment is searched for one."""
        if len(self._buffer) - at < keysets.HEAD.size:
            return None
        number = keysets.HEAD.unpack_from(self._buffer, at)[1]
        if number not in self._sets:
            self._search_sets()
        return self._sets.get(number)

    def _search_sets(self) -> None:
        """Find all definitions of the segment."""
        searched = self._start.segment, self._size
        if searched != self._searched:
            self._searched = searched
            self._sets = keysets.defined_in(self._files.read(self._start.segment, 0, self._size)[0])

    def _refill(self) -> bool:
        """Go past damage, or read on behind `position`, or go to the next segment. False at the present end."""
        if self._go_past() or (self._load(_CHUNK) and self._begins()):
            return True
        if (later := self._files.after(self.position.segment)) is None and not self._buffer:
            return False
        # Again: its last records may have been written after the first look and before a later segment was made. Or the
        # frame is longer than a chunk.
        if not self._load(_LARGE if self._buffer else _CHUNK):
            return self._go_to(later)
        if self._begins() or self._go_past():
            return True
        if not self._is_all:  # nothing in as much as a frame can have
            self._skip(frames.LONGEST)
            return True
        self.torn = len(self._buffer)
        if later is not None:
            self._damaged(self.position, len(self._buffer))
        return self._go_to(later)

    @property
    def _is_all(self) -> bool:
        """Whether there was nothing behind the buffer."""
        return self._start.offset + len(self._buffer) >= self._size

    def _begins(self) -> bool:
        """Return whether the buffer begins with an undamaged frame, or with a segment's header, which is gone past."""
        if self.position.offset == 0 and frames.is_segment(self._buffer):
            self.position = self.position._replace(offset=frames.HEADER.size)
            return True
        return self._is_whole(0)

    def _is_whole(self, at: int) -> bool:
        """Return whether an undamaged frame begins at a place in the buffer."""
        if self._buffer.startswith(keysets.MARKER, at):
            return self._short_at(at) is not None
        return any(self._payload_at(at, marker) is not None for marker in (frames.MARKER, frames.KEYS))

    def _goes_on(self, at: int) -> bool:
        """Return whether the bytes at a place in the buffer may begin a frame that ends behind the buffer."""
        data = self._buffer
        if data.startswith(keysets.MARKER, at):
            keys = self._key_set(at)
            return len(data) - at < keysets.HEAD.size or (keys is not None and len(data) - at < keys.size)
        if not data.startswith((frames.MARKER, frames.KEYS), at):
            return False
        left = len(data) - at - frames.FRAME.size
        return left < 0 or left < frames.FRAME.unpack_from(data, at)[1] <= frames.LONGEST

    def _go_past(self) -> bool:
        """Go past bytes that do not begin with a frame, to the first one that is whole in the buffer.

        False if there is none, or if one may go on behind the buffer: what it holds is no frame.
        """
        begin = self._place()
        is_all = self._is_all
        if begin is None or begin == len(self._buffer) or (not is_all and self._goes_on(begin)):
            return False
        self._search_sets()
        for match in _markers(frozenset(self._sets)).finditer(self._buffer, begin):
            at = match.start()
            if self._is_whole(at):
                self._skip(at - begin)
                return True
            if not is_all and self._goes_on(at):
                break
        return False

    def _load_nothing(self) -> None:
        self._buffer, self._size, self._start = b"", 0, self.position
        self._checks = Checksums(b"")

    def _load(self, size: int) -> bool:
        """Read on, where there is more; the file is not kept open, since others may want to delete it."""
        self.torn = 0
        number, offset = self.position
        if self._start.segment != number:
            self._sets, self._defined = {}, {}
        self._load_nothing()
        data, whole = self._files.read(number, offset, size)
        if self._headed != number:
            head = self._files.read(number, 0, frames.HEADER.size)[0] if offset else data
            if frames.is_segment(head):
                self._repeats, self._headed = frames.repeats(head, segment_name(number)), number
        self._buffer, self._size = data, whole
        self._checks, self._together = Checksums(data), True
        return self._buffer != b""

    def _skip(self, size: int) -> None:
        if size:
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


def _entries(found: Sequence[Stretch | Entry]) -> Sequence[Entry]:
    """Return entries; those of records that are all in short without a look at them."""
    stretches = [one for one in found if isinstance(one, Stretch)]
    if found and len(stretches) == len(found):
        return ShortEntries(stretches)
    groups = (ShortEntries([one]) if isinstance(one, Stretch) else [one] for one in found)
    return [entry for group in groups for entry in group]


@functools.lru_cache(maxsize=10)
def _markers(numbers: frozenset[int]) -> re.Pattern[bytes]:
    """Return the beginnings of frames in a segment with key sets of these numbers."""
    short = [b""] if len(numbers) > _MANY else [number.to_bytes(2, "little") for number in numbers]
    begins = [frames.MARKER, frames.KEYS, *(keysets.MARKER + number for number in short)]
    return re.compile(b"|".join(map(re.escape, begins)), re.DOTALL)


def segments(folder: Path) -> list[tuple[int, Path]]:
    """Return the numbers and paths of a rank's segments, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((int(name[:-4]), folder / name) for name in names if _SEGMENT.fullmatch(name))


def last_seq(folder: Path) -> int:
    """Return the highest number of a record in a rank's journal, -1 if there is none; reads all of the last segment.

    Raises:
        JournalError: The last segment is of a later version of the format.
    """
    return read_last(folder).seq


class JournalEnd(NamedTuple):
    """The present end of a rank's journal.

    Attributes:
        seq: The highest number of a record; -1 if there is none.
        time: When the last record was logged, in seconds since 1970-01-01 UTC; None if the last segment has none.
        later: A reader of what is written later.
    """

    seq: int
    time: float | None
    later: JournalReader


def read_last(folder: Path) -> JournalEnd:
    """Return the present end of a rank's journal; reads all of the last segment.

    Raises:
        JournalError: The last segment is of a later version of the format.
    """
    for number, path in reversed(segments(folder)):
        reader = JournalReader(folder, Position(number))
        following, time = reader.read_end()
        if following := following if time is not None else _begin(path):
            return JournalEnd(following - 1, time, reader)
    return JournalEnd(-1, None, JournalReader(folder))


def newest_begin(folder: Path) -> int:
    """Return the number of the first record of the last segment, there or not, as its header has it; else 0.

    Raises:
        JournalError: The last segment is of a later version of the format.
    """
    return max((_begin(path) for _, path in segments(folder)[-1:]), default=0)


def _begin(path: Path) -> int:
    with path.open("rb") as file:
        data = file.read(frames.HEADER.size)
    # It has no header if its writer was killed in between, or after damage.
    return frames.first_seq(data, str(path)) if frames.is_segment(data) else 0


_TAG = b"\xa6rewind"
"""The first bytes of the kind of such a record in MessagePack."""


class History:
    """The rewinds of one rank's journal, as they are when the history is made.

    Args:
        folder: The rank's folder.

    Raises:
        JournalError: A segment is of a later version of the format.
    """

    def __init__(self, folder: Path) -> None:
        """Find the rewinds; segments without one are searched, not decoded."""
        self.rewinds: list[Rewind] = []
        for number, path in segments(folder):
            if _TAG in path.read_bytes():
                reader = JournalReader(folder, Position(number))
                while reader.position.segment == number and (entries := reader.read(BATCH)):
                    self.rewinds += [one.record for one in entries if isinstance(one.record, Rewind)]
        self.rewinds = sorted({one.seq: one for one in self.rewinds}.values(), key=lambda one: one.seq)
        self._seqs = [one.seq for one in self.rewinds]
        self._lowest = list(accumulate((one.step for one in reversed(self.rewinds)), min))[::-1]
        """For each rewind, the lowest step that it or a later one goes back to."""

    def counting(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries whose records still count."""
        return [entry for entry in entries if self.counts(entry.record)] if self.rewinds else entries

    def counts(self, record: AnyRecord) -> bool:
        """Return whether a record still counts: no later rewind goes back to its step or to an earlier one."""
        if not self._seqs or not isinstance(record, (Metrics, Artifact)) or record.step is None:
            return True
        later = bisect_right(self._seqs, record.seq)
        return later == len(self._seqs) or self._lowest[later] > record.step

    def counting_places(self, seqs: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each of some records of metrics, by number and step (-1 for none), whether it still counts."""
        import numpy as np

        later = np.searchsorted(self._seqs, seqs, side="right")
        lowest = np.array([*self._lowest, np.iinfo("i8").max])
        return (steps < 0) | (lowest[later] > steps)
