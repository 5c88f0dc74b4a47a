"""Append one rank's records to segment files, one `os.write` each."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from accel_track.errors import warn
from accel_track.journal import frames
from accel_track.journal.keysets import MARKER, NO_STEP, TICKS
from accel_track.journal.reader import last_seq, segment_name, segments
from accel_track.journal.segment import Segment
from accel_track.records import AnyRecord, Checkpoint, Config, Metrics, Rewind, encode, numbers, own_copy

TAIL = 10_000
"""How many records are kept in memory while the disk takes none, and how many that have no portable form."""

_NOTHING: dict[str, str] = {}


class Kept(NamedTuple):
    """A record in memory."""

    record: AnyRecord
    on_disk: bool


class JournalWriter:
    """The only writer of one rank's journal. Any thread may append; a signal handler may, in the middle of an append.

    A disk that takes no more never raises here: the records since are kept in memory, at most `TAIL`, for the workers
    of this process, and counted in `lost` when they cannot be.

    Args:
        folder: The rank's folder; created when missing. Every writer begins a segment of its own, after those there.
        rank: Number of the process.
        durability: "process": on return, a record survives the end of the process; `sync` must be called now and then
            for it to survive a power cut. "power": it survives that too, `fdatasync` is part of each append.
        segment_size: Size in bytes at which the next segment begins.
    """

    def __init__(
        self, folder: Path, rank: int = 0, durability: str = "process", segment_size: int = frames.SEGMENT_SIZE
    ) -> None:
        """Begin a segment."""
        self.folder = folder
        self.rank = rank
        self.next_seq = 0
        self.lost = 0
        self.kept: deque[Kept] = deque()
        """Records that are not, or not in full, on disk, oldest first."""
        self.keeps_objects = True
        """Whether records that are on disk without their objects are kept, for workers of this process."""
        self._power = durability == "power"
        self._limit = segment_size
        self._lock = threading.RLock()
        self._segment: Segment | None = None
        self._previous: Segment | None = None
        self._dirty = False
        self._warned = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.next_seq = last_seq(folder) + 1
            self._begin_segment(self.next_seq)
        except OSError as error:
            self._cannot_write(error)
        self._numbers = itertools.count(self.next_seq)

    @property
    def written(self) -> tuple[int, int]:
        """Changes with each record, other than `next_seq`, which does not where a signal handler's came before it."""
        segment = self._segment
        return self.next_seq, 0 if segment is None else segment.size

    def config(self, values: Mapping[str, Any], *, environment: bool = False) -> int:
        """Append hyperparameters, or where the program runs; return the record's number."""
        with self._lock:
            return self._append(Config(next(self._numbers), time.time(), dict(values), environment))

    def again(self, values: Any, step: Any) -> bool:  # noqa: C901 - in one frame, for a call costs a tenth of it
        """Append the values of one call if the segment knows their names and types; say whether that is done.

        Everything that is not known is left to `metrics`, so nothing has to be checked before.
        """
        if type(values) is not dict or (step is not None and (type(step) is not int or not 0 <= step < NO_STEP)):
            return False
        with self._lock:
            segment = self._segment
            if segment is None:
                return False
            names, types, keys = tuple(values), tuple(map(type, values.values())), segment.last
            if keys is None or keys.names != names or keys.types != types:  # cheaper than hashing them
                keys = segment.sets.get((names, types))
                if keys is None:
                    return False
                segment.last = keys
            size = segment.size
            if not keys.left or size + keys.size > self._limit:
                return False
            seq, now = next(self._numbers), time.time()
            ticks = int((now - keys.time) * TICKS)
            try:
                data = keys.pack(MARKER, keys.number, seq, NO_STEP if step is None else step, ticks, *values.values())
                data += crc32(data).to_bytes(4, "little")
                if segment is self._segment:  # else a signal handler has begun another
                    written = os.write(segment.file, data)
                    if written == keys.size:
                        segment.size += written
                        keys.left -= 1
                        self._dirty = True
                        if self.next_seq <= seq:
                            self.next_seq = seq + 1
                        if self._power:
                            self.sync()
                        return True
                    _take_back(segment, size, written)
            except (struct.error, OSError):  # an integer beyond 64 bits, the clock set back, a full disk
                pass
            self._append(Metrics(seq, now, values, step))
            return True

    def metrics(
        self,
        values: Mapping[str, Any],
        step: int | None,
        kwargs: Mapping[str, Mapping[str, Any]],
        moment: float | None = None,
        unread: Mapping[str, str] = _NOTHING,
    ) -> int:
        """Append the captured values of one call, made now or at that moment; return the record's number."""
        with self._lock:
            now = time.time() if moment is None else moment
            return self._append(
                Metrics(next(self._numbers), now, values, step, kwargs, unread)  # type: ignore[arg-type]  # as above
            )

    def rewind(self, step: int) -> int:
        """Append that the run goes on from an earlier step; return the record's number."""
        with self._lock:
            return self._append(Rewind(next(self._numbers), time.time(), {}, step))

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> int:
        """Append a checkpoint, or with an empty path the end of one; return the record's number."""
        with self._lock:
            return self._append(Checkpoint(next(self._numbers), time.time(), values, name, path, step))

    def _append(self, record: AnyRecord) -> int:
        values = numbers(record) if type(record) is Metrics else None
        payload, portable = (b"", True) if values is not None else encode(record)
        written = False
        try:
            written = len(payload) <= frames.LONGEST and self._write(record, values, payload)
        finally:  # also where a filter turns the warning into an error
            if not written or (not portable and self.keeps_objects):
                self._keep(Kept(own_copy(record), written))
            # A signal handler's record, made in the middle of this one, has a higher number. There is no call between
            # the comparison and the assignment, so that no handler runs there.
            if self.next_seq <= record.seq:
                self.next_seq = record.seq + 1
        return record.seq

    def _write(self, record: AnyRecord, values: Mapping[str, float] | None, payload: bytes) -> bool:
        try:
            while not self._written(record, values, payload):
                pass
            self._dirty = True
            if self._power:
                self.sync()
        except OSError as error:
            if self._segment is not None:
                self._segment.forget()  # what was to be defined may be not
            self._cannot_write(error)
            return False
        return True

    def _written(self, record: AnyRecord, values: Mapping[str, float] | None, payload: bytes) -> bool:
        """Write a record; False if a signal handler has begun another segment meanwhile.

        Raises:
            OSError: It cannot be written.
        """
        segment = self._segment
        if segment is None:
            self._begin_segment(record.seq)
            return False
        packed = segment.packed(record, values) if values is not None and type(record) is Metrics else None
        data = packed.data if packed is not None else frames.frame(payload or encode(record)[0])
        size = segment.size
        if size > frames.HEADER.size and size + len(data) > self._limit:
            self._begin_segment(record.seq)
            return False
        if segment is not self._segment:
            return False
        written = os.write(segment.file, data)
        if written != len(data):
            _take_back(segment, size, written)
            raise _full()
        segment.size += written
        if packed is not None:
            segment.written(packed)
        return True

    def _begin_segment(self, first_seq: int) -> None:
        last = self._segment
        number = max((number for number, _ in segments(self.folder)), default=-1) + 1
        path = self.folder / segment_name(number)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            if self._segment is last:
                raise
            return  # a signal handler has begun it since
        data = frames.header(self.rank, first_seq, time.time())
        size = len(data)
        try:
            if os.write(file, data) != size:
                raise _full()
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        if self._power:
            _sync_folder(self.folder)
        begun = Segment(file, size)
        if self._segment is not last:  # a signal handler has begun a later one in the meantime
            os.close(file)
            return
        # There is no call from the comparison to the last assignment, so that no handler runs in between. The one
        # before the last is closed: an append that this one interrupted may still be writing to the last.
        previous = self._previous
        self._previous, self._segment = last, begun
        if previous is not None:
            os.close(previous.file)

    def _keep(self, kept: Kept) -> None:
        if len(self.kept) >= TAIL:
            self.lost += not self.kept.popleft().on_disk
        self.kept.append(kept)

    def kept_since(self, seq: int) -> list[Kept]:
        """Return what is in memory of the records from a number on."""
        with self._lock:  # also if there is none: one may be on disk already and not here yet
            return [one for one in self.kept if one.record.seq >= seq]

    def lost_from(self, seq: int) -> int:
        """Return how many records will be gone with this process, those before a number being delivered everywhere."""
        return self.lost + sum(not one.on_disk for one in self.kept_since(seq))

    def forget(self, before: int) -> None:
        """Release what is in memory of the records with lower numbers: every worker has delivered them."""
        with self._lock:
            while self.kept and self.kept[0].record.seq < before:
                self.kept.popleft()

    def _cannot_write(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            message = (
                f"journal: cannot write to {self.folder} ({error.strerror}); training goes on, and records are "
                f"delivered from memory, the last {TAIL} at most. Make room or make the folder writable."
            )
            warn(message)

    def sync(self) -> None:
        """Have the disk itself store what was appended, if anything was since the last time."""
        if self._dirty and self._segment is not None:
            self._dirty = False
            for segment in (self._previous, self._segment):
                if segment is not None:
                    _fdatasync(segment.file)

    def close(self) -> None:
        """Store everything and close the files."""
        with self._lock:
            try:
                self.sync()
            except OSError as error:
                self._cannot_write(error)
            for segment in (self._previous, self._segment):
                if segment is not None:
                    os.close(segment.file)
            self._previous = self._segment = None


def _take_back(segment: Segment, size: int, written: int) -> None:
    """Remove the part of a record that was written; with a signal handler's record behind it, readers skip it."""
    if os.fstat(segment.file).st_size == size + written:
        os.ftruncate(segment.file, size)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    """Have the disk store that a new file is in a folder, and the folder in its own; Windows cannot be told to."""
    for path in (folder, folder.parent):
        with contextlib.suppress(PermissionError):
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)


def _fdatasync(file: int) -> None:
    try:
        getattr(os, "fdatasync", os.fsync)(file)  # macOS and Windows have only the latter
    except OSError as error:
        if error.errno != errno.EBADF:  # an append in another thread or in a signal handler has closed it since
            raise
