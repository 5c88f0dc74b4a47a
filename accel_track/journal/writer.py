"""The writer: the one who appends a rank's records to segment files, with one `os.write` each."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from accel_track.errors import warn
from accel_track.files import make_private, sync_file
from accel_track.journal import frames
from accel_track.journal.keysets import MARKER, NO_STEP, TICKS, Key
from accel_track.journal.memory import Kept, Memory, Outage
from accel_track.journal.reader import last_seq, segments
from accel_track.journal.segment import Segment, fdatasync
from accel_track.records import (
    Alert,
    AnyRecord,
    Artifact,
    Checkpoint,
    Config,
    Metrics,
    Name,
    Rewind,
    encode,
    numbers,
    size_in_memory,
)
from accel_track.values.arrays import scalar

TAIL = 10_000
"""The number of records in memory while the disk takes none, and of those without a portable form, at most."""

_AT_ONCE = 256
"""The number of records that go from memory to a disk that works again, at first, before others may log."""

_NOTHING: dict[str, str] = {}
_NUMBERS, _TEXT = frozenset((float, int, bool)), frozenset((str,))


class JournalWriter:
    """The only writer of one rank's journal. Any thread may append; a signal handler may, in the middle of an append.

    A disk that takes no more never raises here: the records since are kept in memory, at most `TAIL`, for the workers
    of this process, until `recover` has written them; they are counted in `lost` when they cannot be kept.

    Args:
        folder: The rank's folder; created when missing. Every writer begins a segment of its own, after those there.
        rank: Number of the process.
        durability: "process": on return, a record survives the end of the process; `sync` must be called now and then
            for it to survive a power cut. "power": it survives that too, `fdatasync` is part of each append.
        segment_size: Size in bytes at which the next segment begins.
        first_seq: A number that the first record has at least.
    """

    def __init__(
        self,
        folder: Path,
        rank: int = 0,
        durability: str = "process",
        segment_size: int = frames.SEGMENT_SIZE,
        first_seq: int = 0,
    ) -> None:
        """Begin a segment."""
        self.folder = folder
        self.rank = rank
        self.next_seq = first_seq
        self.keeps_objects = True
        """Whether records that are on disk without their objects are kept, for workers of this process."""
        self.moves = 0
        """The number of times that records went from memory to disk."""
        self.resting = False
        """Whether no file is open, until the next record."""
        self.clock: Callable[[], float] = _now
        """Says when a record is logged; `again`, which has no call to spare, asks the system's clock."""
        self.on_wake: Callable[[], None] = _nothing
        """Called before the record that ends a rest; if it raises, the rest goes on, and the record is not taken."""
        self._memory = Memory(TAIL)
        self._outage = Outage()
        self._power = durability == "power"
        self._limit = segment_size
        self._lock = threading.RLock()
        self._segment: Segment | None = None
        self._previous: Segment | None = None
        self._rested: Segment | None = None
        self._late: Segment | None = None  # gets what was in memory
        self.number = -1
        """Number of the last segment that was begun."""
        self.given = 0
        """Number of the first record that not every tracker was given."""
        self._until = 0  # number of the first record that was not written to a segment before the outage
        self._counted = 0  # number of the first record that is not among those counted as lost with their segments
        self._dirty = False
        self._gone = False
        try:
            make_private(folder)
            self.number = max((number for number, _ in segments(folder)), default=-1)
            self.next_seq = max(first_seq, _patiently(last_seq, folder) + 1)
            self._begin_segment(self.next_seq)
        except OSError as error:
            self._fail(error)
        self._numbers: Iterator[int] = itertools.count(self.next_seq)

    @property
    def written(self) -> tuple[int, int, int, int]:
        """A version that changes with every append.

        `next_seq` alone does not, when a signal handler's record has a higher number.
        """
        segment = self._segment
        number, size = (-1, 0) if segment is None else (segment.number, segment.size)
        return self.next_seq, self.moves, number, size

    @property
    def kept(self) -> deque[Kept]:
        """Records that are not, or not in full, on disk, oldest first."""
        return self._memory.kept

    @property
    def lost(self) -> int:
        """The number of records that were given up and are neither on disk nor with every worker."""
        return self._memory.lost

    @property
    def open_segments(self) -> list[Segment]:
        """The segments that can be read without their path, oldest first."""
        last = self._segment  # first: it may become the previous one meanwhile
        previous = self._previous
        return [one for one in (None if previous is last else previous, last) if one is not None]

    def config(self, values: Mapping[str, Any], *, environment: bool = False, only: str = "") -> int:
        """Append hyperparameters, or where the program runs; return the record's number."""
        with self._lock:
            return self._append(Config(next(self._numbers), self.clock(), dict(values), environment, only))

    def again(self, values: Any, step: Any) -> bool:  # noqa: C901, PLR0911, PLR0912 - in one frame, for a call costs a tenth of it
        """Append the values of one call if the segment knows their names and types; say whether that is done.

        Names of numbers that the segment does not know are defined if they are plain texts. Everything else is left to
        `metrics`, so nothing has to be checked before.
        """
        if type(values) is not dict or (step is not None and (type(step) is not int or not 0 <= step < NO_STEP)):
            return False
        with self._lock:
            segment = self._segment
            if segment is None:
                return False
            names, types, keys = tuple(values), tuple(map(type, values.values())), segment.last
            numbers: Iterable[Any] = values.values()
            try:
                if keys is None or keys.names != names or keys.types != types:  # cheaper than hashing them
                    if dict in types:
                        keys, numbers = segment.shaped(names, types, values)
                    elif (keys := segment.sets.get((names, types))) is not None:
                        segment.last = keys
                    elif not _NUMBERS.issuperset(types):
                        keys, numbers = segment.unlike(names, types, values)
            except Exception:  # noqa: BLE001 - a class that cannot be hashed, a tensor that cannot be read: the long way names it
                return False
            if keys is None:
                return _NUMBERS.issuperset(types) and self._unknown(segment, values, (names, types), step)
            size = segment.size
            if size + keys.size + (0 if keys.left else len(keys.definition)) > self._limit:
                return False
            seq, now = next(self._numbers), time.time()
            ticks = int((now - keys.time) * TICKS)
            try:
                data = keys.pack(MARKER, keys.number, seq, NO_STEP if step is None else step, ticks, *numbers)
                data += crc32(data).to_bytes(4, "little")
                if segment is self._segment:  # else a signal handler has begun another
                    if keys.left:
                        keys.left -= 1
                    else:
                        data = keys.defined() + data
                    written = os.write(segment.file, data)
                    if written == len(data):
                        segment.size += written
                        self._dirty = True
                        if self.next_seq <= seq:
                            self.next_seq = seq + 1
                        if self._power:
                            self.sync()
                        return True
                    segment.take_back(size, written)
            except (struct.error, OSError):  # an integer beyond 64 bits, the clock set back, a full disk
                if keys.types != types:
                    segment.unlearn()  # the next such call goes the long way
            self._append(Metrics(seq, now, _plain(values), step))
            return True

    def _unknown(self, segment: Segment, values: dict[Any, Any], key: Key, step: int | None) -> bool:
        """Append a call of numbers whose names the segment does not know, if these are plain texts; say whether."""
        names = key[0]
        if not (_TEXT.issuperset(map(type, names)) and "".join(names).isascii()):  # type: ignore[arg-type]  # as shown
            return False
        record = Metrics(next(self._numbers), time.time(), values, step)
        packed = segment.packed(record, values, key)
        data = frames.frame(encode(record)[0]) if packed is None else packed.data
        with contextlib.suppress(OSError):
            if segment is self._segment and segment.size + len(data) <= self._limit and len(data) <= frames.LONGEST:
                segment.append(data, packed)
                self._dirty = True
                if self.next_seq <= record.seq:
                    self.next_seq = record.seq + 1
                if self._power:
                    self.sync()
                return True
        self._append(Metrics(record.seq, record.time, dict(values), step))
        return True

    def metrics(
        self,
        values: Mapping[str, Any],
        step: int | None,
        kwargs: Mapping[str, Mapping[str, Any]],
        moment: float | None = None,
        unread: Mapping[str, str] = _NOTHING,
        only: str = "",
        alert: Alert | None = None,
    ) -> int:
        """Append the captured values of one call, made now or at that moment; return the record's number."""
        with self._lock:
            now = self.clock() if moment is None else moment
            return self._append(
                Metrics(next(self._numbers), now, values, step, kwargs, unread, only, alert)  # type: ignore[arg-type]  # as above
            )

    def rewind(self, step: int) -> int:
        """Append a rewind, that the run goes on from an earlier step; return the record's number."""
        with self._lock:
            return self._append(Rewind(next(self._numbers), self.clock(), {}, step))

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> int:
        """Append a checkpoint, or with an empty path the end of one; return the record's number."""
        with self._lock:
            return self._append(Checkpoint(next(self._numbers), self.clock(), values, name, path, step))

    def artifact(
        self,
        name: str,
        path: str,
        kind: str,
        step: int | None,
        values: dict[str, Any],
        files: dict[str, Any],
        only: str = "",
    ) -> int:
        """Append an artifact; return the record's number."""
        with self._lock:
            return self._append(
                Artifact(next(self._numbers), self.clock(), values, name, path, kind, step, files, only)
            )

    def _append(self, record: AnyRecord) -> int:
        if self.resting:
            self.wake()
        values, payload, portable = _encoded(record)
        fits = len(payload) <= frames.LONGEST
        written = False
        try:
            written = fits and self._write(record, values, payload)
        finally:  # also where a filter turns the warning into an error
            if not written or (not portable and self.keeps_objects):
                size = size_in_memory(record.values)
                self._memory.keep(Kept(record, written, waits=fits and not written, size=size))
            # A signal handler's record, made in the middle of this one, has a higher number. There is no call between
            # the comparison and the assignment, so that no handler runs there.
            if self.next_seq <= record.seq:
                self.next_seq = record.seq + 1
        return record.seq

    def _write(self, record: AnyRecord, values: Mapping[Name, float] | None, payload: bytes) -> bool:
        """Write a record; False if the disk does not take it."""
        try:
            while not self._outage.lasts:
                if self._written(record, values, payload):
                    self._dirty = True
                    if self._power:
                        self.sync()
                    return True
        except OSError as error:
            self._fail(error)
        return False

    def _written(self, record: AnyRecord, values: Mapping[Name, float] | None, payload: bytes) -> bool:
        """Write a record; False if a signal handler has begun another segment meanwhile.

        Raises:
            OSError: It cannot be written.
        """
        segment = self._segment
        if segment is None:
            self._begin_segment(record.seq)
            return False
        data, packed = segment.form(record, values, payload)
        if segment.has_no_room(data, self._limit):
            self._begin_segment(record.seq)
            return False
        if segment is not self._segment:
            return False
        segment.append(data, packed)
        return True

    def _begin_segment(self, first_seq: int) -> None:
        last = self._segment
        begun = self._new_segment(first_seq)
        if begun is None or self._segment is not last:  # a signal handler has begun one, or a later one, since
            return
        # There is no call from the comparison to the last assignment, so that no handler runs in between.
        self._previous, self._segment = last or self._previous, begun

    def _new_segment(self, first_seq: int, kind: int = 0) -> Segment | None:
        """Return a new segment; None if a signal handler has begun one since.

        Raises:
            OSError: It cannot be made.
        """
        last, number = self._segment, self.number + 1
        while True:
            try:
                begun = Segment.begin(self.folder, number, self.rank, first_seq, kind)
                break
            except FileExistsError:  # a signal handler may have begun one, also after this looked
                if self._segment is not last:
                    return None
                number = segments(self.folder)[-1][0] + 1
        self.number = max(self.number, number)
        if self._power:
            for one in (self.folder, self.folder.parent):
                sync_file(one)
        return begun

    def kept_since(self, seq: int) -> list[Kept]:
        """Return the records in memory from a number on."""
        with self._lock:  # also if there is none: one may be on disk already and not here yet
            return self._memory.since(seq)

    def lost_from(self, seq: int) -> int:
        """Return the number of records that end with this process, if those before a number are all delivered."""
        return self.lost + sum(not one.on_disk for one in self.kept_since(seq))

    def forget(self, before: int) -> None:
        """Release the records in memory with lower numbers, which every worker has delivered.

        Records that the disk does not take stay in memory, to be written later.
        """
        with self._lock:
            self._memory.forget(before)

    def _fail(self, error: OSError) -> None:
        """Write no more until `recover`."""
        with self._lock:
            first = not self._outage.lasts
            if self._segment is not None:
                self._previous, self._segment, self._until = self._segment, None, self.next_seq
            if first:
                self._outage.begin()
        if first:
            warn(
                f"journal: cannot write to {self.folder} since {time.strftime('%H:%M:%S')} ({error.strerror}); "
                f"training goes on, and records are delivered from memory, the last {TAIL} at most, and written later. "
                "Make room or make the folder writable."
            )

    def recover(self, *, at_once: bool = False) -> None:
        """Write the records in memory if the disk works again, and go on; repeat by itself after growing pauses.

        Args:
            at_once: Whether to try it now.
        """
        if not self._outage.due(at_once=at_once) or any(one.is_gone() for one in self.open_segments):
            return
        most, left = _AT_ONCE, 1
        with contextlib.suppress(OSError):
            make_private(self.folder)
            if not segments(self.folder):
                self._count_lost(self._until)
            while left:
                with self._lock:
                    left = self._write_late(most)
                most *= 2

    def _write_late(self, most: int) -> int:
        """Write records from memory; return how many others wait, and go on as before the outage if there is none.

        Raises:
            OSError: They cannot be written.
        """
        try:
            left = self._memory.write(most, self._append_late)
            if not left:
                if self._late is not None:
                    self._previous, self._late, self._dirty = self._late, None, True
                    if self._power:
                        fdatasync(self._previous.file)
                self._begin_segment(self.next_seq)
                self._outage.end()
        except OSError:
            late, self._late = self._late, None
            if late is not None and late.is_empty:
                late.path.unlink(missing_ok=True)
            elif late is not None:
                self._previous, self._dirty = late, True
            raise
        finally:
            self.moves += 1
        return left

    def _append_late(self, record: AnyRecord) -> bool:
        """Write a record from memory to a segment for such; return whether it is not needed in memory any more."""
        values, payload, portable = _encoded(record)
        late = self._late or self._new_late_segment(record.seq)
        data, packed = late.form(record, values, payload)
        if late.has_no_room(data, self._limit):
            late = self._new_late_segment(record.seq)
            data, packed = late.form(record, values, payload)
        late.append(data, packed)
        return portable or not self.keeps_objects

    def _new_late_segment(self, first_seq: int) -> Segment:
        late = self._late = self._new_segment(first_seq, frames.REPEATS)
        assert late is not None  # noqa: S101 - no signal handler begins one in an outage
        return late

    def is_gone(self) -> bool:
        """Return whether the segments are not where they were made any more; warns once of each time."""
        segment = self._segment
        if segment is not None and not segment.is_open():
            self._fail(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        before, self._gone = self._gone, any(one.is_open() and one.is_gone() for one in self.open_segments)
        if self._gone and not before:
            warn(
                f"journal: {self.folder} is gone since {time.strftime('%H:%M:%S')} (deleted, moved or unmounted); "
                "training and delivery go on, and it is made again with what is still open. Where it was moved to, do "
                "not use `accel-track sync`: its records would be in the backends twice."
            )
        return self._gone

    def restore(self) -> None:
        """Make the folder and the segments again that are gone, as far as they are open.

        Raises:
            OSError: They cannot be made.
        """
        with self._lock:
            make_private(self.folder)
            if self._previous is not None and self._previous.is_gone():
                self._previous = self._previous.copied()
            if self._segment is not None and self._segment.is_gone():
                self._segment = self._segment.copied()
            for first in self.open_segments[:1]:
                if segments(self.folder)[0][0] == first.number:
                    self._count_lost(first.first_seq)

    def _count_lost(self, until: int) -> None:
        """Count the records before a number whose segments are gone, but for what every tracker was given."""
        self._memory.lost += max(0, until - max(self.given, self._counted))
        self._counted = max(until, self._counted)

    def sync(self) -> None:
        """Make the disk itself store the appended records, if there are any since the last time."""
        if self._dirty:
            self._dirty = False
            for segment in self.open_segments:
                try:
                    fdatasync(segment.file)
                except OSError as error:  # noqa: PERF203 - of each file
                    self._fail(error)

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold other threads' appends back for the block; False in a signal handler in the middle of an append."""
        free = not self._lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001 - as `threading.Condition` asks
        with self._lock:
            yield free

    def rest(self) -> None:
        """Store everything and close the files until the next record; within `held`."""
        self.sync()
        rested = self._rested = self._segment
        self._previous = self._segment = None
        if rested is not None:
            rested.shut()
        self.resting = True

    def wake(self) -> None:
        """End a rest: go on in the same segment, or in another one if its file is not what it was."""
        with self._lock:
            if not self.resting:
                return
            self.resting = False  # a signal handler's record does not wait for what follows
            try:
                self.on_wake()
            except BaseException:
                self.resting = True
                raise
            segment, self._rested = self._rested, None
            if segment is not None and segment.reopen() and self._segment is None:
                self._segment = segment

    def close(self) -> None:
        """Store everything and close the files."""
        with self._lock:
            self.recover(at_once=True)
            self.sync()
            if self._segment is not None:
                self._until = self.next_seq
            self._previous = self._segment = None
            self.on_wake = _nothing


def _nothing() -> None:
    pass


def _now() -> float:
    return time.time()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return numbers, perhaps in dictionaries, as Python's own."""
    return {name: _plain(value) if type(value) is dict else scalar(value) for name, value in values.items()}


def _encoded(record: AnyRecord) -> tuple[Mapping[Name, Any] | None, bytes, bool]:
    """Return a record's values if all are numbers, else its MessagePack form; and whether that holds all of it."""
    values = numbers(record) if type(record) is Metrics else None
    payload, whole = (b"", True) if values is not None else encode(record)
    return values, payload, whole


def _patiently(call: Callable[[Path], int], folder: Path) -> int:
    """Return a function's result; the call is repeated for a second where the function cannot read."""
    for _ in range(5):
        with contextlib.suppress(OSError):
            return call(folder)
        time.sleep(0.2)
    return call(folder)
