"""The segment that is being written: its open file, and the key sets that are defined in the file."""

from __future__ import annotations

import contextlib
import copy
import errno
import itertools
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from accel_track.journal import frames
from accel_track.journal.frames import segment_name
from accel_track.journal.keysets import MARKER, MOST_NAMES, NO_STEP, TICKS, Key, KeySet, key_set
from accel_track.records import AnyRecord, Metrics, Name, encode
from accel_track.values.arrays import number_type, without_tensors

_COPY = 1024 * 1024
_MOST_SETS = 10_000
"""The number of known kinds of calls with NumPy's scalars, and of calls that came once, at most."""
_MANY_SETS = 1000
"""The number of key sets that are defined with their first record; others are defined with their second."""
_LASTS = 2**32 / TICKS - 1
"""The seconds after a key set's definition in which its records can be, at most."""


class Packed(NamedTuple):
    """A record in short.

    Attributes:
        data: Its frame, behind the definition of its key set where that is due.
        key: Names and types of the values.
        keys: Their key set.
    """

    data: bytes
    key: Key
    keys: KeySet


class Segment:
    """A segment that is being written, or was until a moment ago. Its file is closed when nobody uses it any more.

    Args:
        path: Where its file was made.
        file: The open file.
        number: Its number.
        first_seq: Number of its first record.
        size: Its size in bytes.
    """

    __slots__ = (
        "_identity",
        "_names",
        "_numbers",
        "_once",
        "file",
        "first_seq",
        "last",
        "number",
        "path",
        "sets",
        "shapes",
        "size",
    )

    def __init__(self, path: Path, file: int, number: int, first_seq: int, size: int) -> None:
        """Know no key set."""
        self.path, self.number, self.first_seq, self.size = path, number, first_seq, size
        self.opened(file)
        self.sets: dict[Key, KeySet] = {}
        """The key sets that are defined in the file."""
        self.shapes: dict[Any, KeySet] = {}
        """The key sets of calls with dictionaries among their values, by the names and types of both."""
        self.last: KeySet | None = None
        """The key set that was used last."""
        self._numbers = itertools.count()
        self._names = 0
        self._once: set[int] = set()

    @classmethod
    def begin(cls, folder: Path, number: int, rank: int, first_seq: int, kind: int) -> Segment:
        """Make a new segment's file, and write its header.

        Raises:
            FileExistsError: There is a segment of that number.
            OSError: It cannot be made.
        """
        path = folder / segment_name(number)
        segment = cls(path, _created(path), number, first_seq, 0)
        try:
            segment.append(frames.header(rank, first_seq, time.time(), kind))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return segment

    def __del__(self) -> None:
        """Close the file, if it is not another's that has its number by now."""
        if self.is_open():
            with contextlib.suppress(OSError):
                os.close(self.file)

    def is_open(self) -> bool:
        """Return whether the open file is the one that was made."""
        with contextlib.suppress(OSError, AttributeError):
            return _identity(os.fstat(self.file)) == self._identity
        return False

    def is_gone(self) -> bool:
        """Return whether another file, or none, is where the file was made: it or a folder was deleted or moved."""
        try:
            if _identity(os.stat(self.path)) == self._identity:
                return False
            head, before = self.read(0, frames.HEADER.size)
            with open(self.path, "rb") as there:  # on a file system that gives a file another number now and then
                is_same = there.read(frames.HEADER.size) == head
                return not is_same or not before <= os.fstat(there.fileno()).st_size <= os.fstat(self.file).st_size
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            return error.errno == errno.ESTALE

    def read(self, offset: int, size: int) -> tuple[bytes, int]:
        """Return so many bytes from a place on, or as many as there are, and the size of the file.

        Raises:
            OSError: They cannot be read.
        """
        status = os.fstat(self.file)
        if _identity(status) != self._identity:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        whole = status.st_size
        return os.pread(self.file, min(size, whole - offset), offset) if offset < whole else b"", whole

    def copied(self) -> Segment:
        """Return the segment in a new file where the one that is gone was made; what is there now is replaced.

        Raises:
            OSError: It cannot be written.
        """
        beside, at = self.path.with_suffix(".new"), 0
        beside.unlink(missing_ok=True)
        file = _created(beside)
        new = copy.copy(self)
        new.opened(file)
        try:
            while data := self.read(at, _COPY)[0]:
                at += len(data)
                if os.write(file, data) != len(data):
                    raise _full()
            os.replace(beside, self.path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        return new

    def opened(self, file: int) -> None:
        """Use an open file."""
        self.file, self._identity = file, _identity(os.fstat(file))

    def shut(self) -> None:
        """Close the file until `reopen`."""
        if self.is_open():
            os.close(self.file)
        self.file = -1

    def reopen(self) -> bool:
        """Open the file again; False if the file is gone, cannot be opened, or is not as it was left."""
        with contextlib.suppress(OSError):
            file = os.open(self.path, os.O_RDWR | os.O_APPEND)
            status = os.fstat(file)
            if _identity(status) == self._identity and status.st_size == self.size:
                self.opened(file)
                return True
            os.close(file)
        return False

    @property
    def is_empty(self) -> bool:
        """Whether there is not a record in the segment."""
        return self.size <= frames.HEADER.size

    def has_no_room(self, data: bytes, limit: int) -> bool:
        """Return whether the segment would be too large with further bytes; a segment of a single record may be."""
        return not self.is_empty and self.size + len(data) > limit

    def append(self, data: bytes, packed: Packed | None = None) -> None:
        """Write bytes, and note what they define.

        Raises:
            OSError: The disk does not take them; nothing of them is left.
        """
        size = self.size
        written = os.write(self.file, data)
        if written != len(data):
            self.take_back(size, written)
            raise _full()
        self.size += written
        if packed is not None:
            self.written(packed)

    def take_back(self, size: int, written: int) -> None:
        """Remove the part of a record that was written; with a signal handler's record behind it, readers skip it."""
        if os.fstat(self.file).st_size == size + written:
            os.ftruncate(self.file, size)

    def form(
        self, record: AnyRecord, values: Mapping[Name, float] | None, payload: bytes
    ) -> tuple[bytes, Packed | None]:
        """Return a record's frame; in short, with what to note once it is written, where it has such a form.

        Args:
            record: The record.
            values: Its values, if all are Python numbers.
            payload: Its MessagePack form, where there are no such values.
        """
        packed = self.packed(record, values) if values is not None and type(record) is Metrics else None
        return (frames.frame(payload or encode(record)[0]), None) if packed is None else (packed.data, packed)

    def packed(self, record: Metrics, values: Mapping[Name, float], key: Key | None = None) -> Packed | None:
        """Return a record in short, or None if it has no such form.

        Args:
            record: The record.
            values: Its values, as Python numbers.
            key: Their names and types, if known.
        """
        key = key or (tuple(values), tuple(map(type, values.values())))
        keys = self._key_set(key, record.time)
        if keys is None or record.step == NO_STEP:
            return None
        step = NO_STEP if record.step is None else record.step
        ticks = int((record.time - keys.time) * TICKS)
        try:
            data = keys.pack(MARKER, keys.number, record.seq, step, ticks, *values.values())
        except struct.error:  # an integer beyond 64 bits, a number or a step beyond 32
            return None
        data += crc32(data).to_bytes(4, "little")
        return Packed(data if keys.left else keys.defined() + data, key, keys)

    def _key_set(self, key: Key, now: float) -> KeySet | None:
        known = self.sets.get(key)
        if known is not None and 0 <= now - known.time < _LASTS:
            return known
        if self._names + len(key[0]) > MOST_NAMES:
            return None
        if len(self.sets) > _MANY_SETS and known is None and not self._came_before(key):
            return None
        return key_set(next(self._numbers), now, key)

    def _came_before(self, key: Key) -> bool:
        """Return whether a record with these names and types has come before: in a run of ever new names, none does."""
        known = hash(key)
        if known in self._once:
            return True
        if len(self._once) > _MOST_SETS:
            self._once.clear()
        self._once.add(known)
        return False

    def alike(self, names: tuple[Name, ...], types: tuple[type, ...]) -> KeySet | None:
        """Return the key set of a call that has NumPy's scalars where an earlier one had such numbers, or None."""
        if len(self.sets) > _MOST_SETS:
            return None
        keys = self.sets.get((names, tuple(map(number_type, types))))  # type: ignore[arg-type]
        if keys is not None:
            self.sets[names, types] = keys
        return keys

    def unlike(
        self, names: tuple[str, ...], types: tuple[type, ...], values: dict[str, Any]
    ) -> tuple[KeySet | None, Iterable[Any]]:
        """Return the key set of a call with torch's tensors or NumPy's scalars, or None, and its numbers.

        Raises:
            BaseException: A tensor's own error.
        """
        numbers = without_tensors(values)
        if numbers is None:
            return self.alike(names, types), values.values()
        types = tuple(map(type, numbers.values()))
        return self.sets.get((names, types)) or self.alike(names, types), numbers.values()

    def unlearn(self) -> None:
        """Forget which calls have the key sets of others, which are perhaps not the last of their kind."""
        self.sets = {key: keys for key, keys in self.sets.items() if key[1] == keys.types}
        self.shapes = {}

    def shaped(
        self, names: tuple[str, ...], types: tuple[type, ...], values: dict[str, Any]
    ) -> tuple[KeySet | None, list[Any]]:
        """Return the key set of a call with dictionaries of numbers among its values, or None, and its numbers."""
        inner = [(tuple(one), tuple(map(type, one.values()))) for one in values.values() if type(one) is dict]
        shape = (names, types, *inner)
        keys = self.shapes.get(shape)
        if keys is None:
            if (read := without_tensors(values)) is not None:
                return self.shaped(names, tuple(map(type, read.values())), read)
            flat = [(name, kind) for name, kind in _flattened(names, types, inner)]
            key = tuple(name for name, _ in flat), tuple(kind for _, kind in flat)
            keys = self.sets.get(key) or self.alike(*key)
            if keys is None or len(self.shapes) > _MOST_SETS:
                return None, []
            self.shapes[shape] = keys
        numbers: list[Any] = []
        for one in values.values():
            if type(one) is dict:
                numbers.extend(one.values())
            else:
                numbers.append(one)
        return keys, numbers

    def written(self, packed: Packed) -> None:
        """Note that a record in short is in the file, and so the definition of its key set."""
        if len(packed.data) == packed.keys.size:
            packed.keys.left -= 1
        elif packed.keys is not self.sets.get(packed.key):
            self.sets[packed.key] = self.last = packed.keys
            self._names += len(packed.keys.names)


def _flattened(
    names: tuple[str, ...], types: tuple[type, ...], inner: Iterable[tuple[tuple[str, ...], tuple[type, ...]]]
) -> Iterator[tuple[Name, type]]:
    dictionaries = iter(inner)
    for name, kind in zip(names, types, strict=True):
        if kind is dict:
            yield from (((name, part), kind) for part, kind in zip(*next(dictionaries), strict=True))
        else:
            yield name, kind


def fdatasync(file: int) -> None:
    """Make the disk itself store a file's content."""
    getattr(os, "fdatasync", os.fsync)(file)  # macOS and Windows have only the latter


def _created(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
