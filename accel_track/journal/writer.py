"""Append one rank's records to segment files, one `os.write` each."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.errors import warn
from accel_track.journal import frames
from accel_track.journal.reader import last_seq, segments
from accel_track.records import AnyRecord, Checkpoint, Config, Metrics, Rewind, encode, own_copy

TAIL = 10_000
"""How many records are kept in memory while the disk takes none, and how many that have no portable form."""


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
        self._power = durability == "power"
        self._limit = segment_size
        self._lock = threading.RLock()
        self._file: int | None = None
        self._previous: int | None = None
        self._size = 0
        self._dirty = False
        self._warned = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.next_seq = last_seq(folder) + 1
            self._begin_segment(self.next_seq)
        except OSError as error:
            self._cannot_write(error)
        self._numbers = itertools.count(self.next_seq)

    def config(self, values: Mapping[str, Any]) -> int:
        """Append hyperparameters; return the record's number."""
        with self._lock:
            return self._append(Config(next(self._numbers), time.time(), values))  # type: ignore[arg-type]  # any mapping

    def metrics(self, values: Mapping[str, Any], step: int | None, kwargs: Mapping[str, Mapping[str, Any]]) -> int:
        """Append the values of one call; return the record's number."""
        with self._lock:
            return self._append(
                Metrics(next(self._numbers), time.time(), values, step, kwargs)  # type: ignore[arg-type]  # as above
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
        payload, portable = encode(record)
        written = False
        try:
            written = len(payload) <= frames.LONGEST and self._write(frames.frame(payload), record.seq)
        finally:  # also where a filter turns the warning into an error
            if not written or not portable:
                self._keep(Kept(own_copy(record), written))
            # A signal handler's record, made in the middle of this one, has a higher number. There is no call between
            # the comparison and the assignment, so that no handler runs there.
            following = record.seq + 1
            if self.next_seq < following:  # noqa: PLR1730
                self.next_seq = following
        return record.seq

    def _write(self, data: bytes, seq: int) -> bool:
        try:
            if self._file is None or self._size + len(data) > self._limit:
                self._begin_segment(seq)
            before = self._size
            written = os.write(self._file, data)  # type: ignore[arg-type]
            if written != len(data):
                # A signal handler may have appended in the meantime: then the part stays, and readers skip it.
                if os.fstat(self._file).st_size == before + written:  # type: ignore[arg-type]
                    os.ftruncate(self._file, before)  # type: ignore[arg-type]
                raise _full()
            self._size += written
            self._dirty = True
            if self._power:
                self.sync()
        except OSError as error:
            self._cannot_write(error)
            return False
        return True

    def _begin_segment(self, first_seq: int) -> None:
        last = self._file
        number = max((number for number, _ in segments(self.folder)), default=-1) + 1
        path = self.folder / f"{number:08d}.seg"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            if self._file is last:
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
        if self._file is not last:  # a signal handler has begun a later one in the meantime
            os.close(file)
            return
        # There is no call from the comparison to the last assignment, so that no handler runs in between. The one
        # before the last is closed: an append that this one interrupted may still be writing to the last.
        previous = self._previous
        self._previous, self._file, self._size = last, file, size
        if previous is not None:
            os.close(previous)

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
        if self._dirty and self._file is not None:
            self._dirty = False
            for file in (self._previous, self._file):
                if file is not None:
                    _fdatasync(file)

    def close(self) -> None:
        """Store everything and close the files."""
        with self._lock:
            try:
                self.sync()
            except OSError as error:
                self._cannot_write(error)
            for file in (self._previous, self._file):
                if file is not None:
                    os.close(file)
            self._previous = self._file = None


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
