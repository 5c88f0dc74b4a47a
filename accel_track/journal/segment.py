"""What the writer knows of the segment that it appends to."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from accel_track.journal.keysets import MARKER, MOST_NAMES, NO_STEP, TICKS, Key, KeySet, key_set
from accel_track.records import Metrics

_LASTS = 2**32 / TICKS - 1
"""How many seconds after a key set's definition its records can be, at most."""


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
    """A segment that is being written.

    Args:
        file: Its open file.
        size: Its size in bytes.
    """

    __slots__ = ("_names", "_numbers", "file", "last", "sets", "size")

    def __init__(self, file: int, size: int) -> None:
        """Know no key set."""
        self.file, self.size = file, size
        self.sets: dict[Key, KeySet] = {}
        """The key sets that are defined in the file."""
        self.last: KeySet | None = None
        """The one that was used last."""
        self._numbers = itertools.count()
        self._names = 0

    def packed(self, record: Metrics, values: Mapping[str, float]) -> Packed | None:
        """Return a record in short, or None if it has no such form.

        Args:
            record: The record.
            values: Its values, as Python numbers.
        """
        key = tuple(values), tuple(map(type, values.values()))
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
        return key_set(next(self._numbers), now, key)

    def written(self, packed: Packed) -> None:
        """Note that a record in short is in the file, and so the definition of its key set."""
        if len(packed.data) == packed.keys.size:
            packed.keys.left -= 1
        elif packed.keys is not self.sets.get(packed.key):
            self.sets[packed.key] = packed.keys
            self._names += len(packed.keys.names)

    def forget(self) -> None:
        """Define key sets again before they are used."""
        self.sets.clear()
        self.last = None
