"""Key sets: the names of a call's values are written once, and then only their numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

import msgspec

from accel_track.journal import frames
from accel_track.journal.checksums import Checksums
from accel_track.records import Metrics, Name, nested
from accel_track.values.structures import DEEPEST

MARKER = b"\xf6"  # in no UTF-8 text
HEAD = struct.Struct("<sHIII")
"""Marker, number of the key set, number of the record, step, time after the key set's in 1/65536 s: 15 bytes."""

NO_STEP = 2**32 - 1
TICKS = 65536
"""Parts of a second in which the time is counted."""

MOST_NAMES = 100_000
"""How many names the key sets of one segment hold together, at most."""

_CODES = {float: "d", int: "q", bool: "?"}
_TYPES = {code: kind for kind, code in _CODES.items()}
_LONGEST_PAUSE = 1024

Key = tuple[tuple[Name, ...], tuple[type, ...]]
"""The names of a call's values and their types, in the call's order."""


class _Definition(msgspec.Struct, frozen=True, array_like=True, tag_field="kind", tag="keys"):
    number: int
    time: float
    codes: str
    names: tuple[Name, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Definition).decode


class KeySet:
    """Names and types of values that are logged together, and the frames of records that have them.

    Args:
        number: Number of the key set in its segment.
        time: Wall-clock time from which that of records is counted, in seconds since 1970-01-01 UTC.
        codes: A type for each name, as in `struct`: "d", "q" or "?".
        names: The names; in place of one, an array of those on the way to a number in dictionaries.
    """

    __slots__ = ("_form", "_values", "definition", "left", "names", "number", "pack", "pause", "size", "time", "types")

    def __init__(self, number: int, time: float, codes: str, names: tuple[Name, ...]) -> None:
        """Compile the form of the frames."""
        self._values = nested if tuple in map(type, names) else _flat
        self.number, self.time, self.names = number, time, names
        self.types = tuple(_TYPES[code] for code in codes)
        self.pack: Callable[..., bytes] = struct.Struct(f"<sHIII{codes}").pack
        """Returns a frame without its checksum."""
        self._form = struct.Struct(f"<sHIII{codes}I")
        self.size = self._form.size
        """Length of each frame in bytes."""
        self.definition = frames.frame(_encode(_Definition(number, time, codes, names)), frames.KEYS)
        self.left = 0
        """How many records follow before the definition is written again."""
        self.pause = 1

    def defined(self) -> bytes:
        """Return the definition for the writer, which is to repeat it after twice as many records as the last time."""
        self.left, self.pause = self.pause, min(2 * self.pause, _LONGEST_PAUSE)
        return self.definition

    def records(self, data: bytes, at: int, limit: int) -> list[Metrics]:
        """Return the records of the undamaged frames of this key set that follow each other from a place in `data`."""
        names, size, number, base, values_of = self.names, self.size, self.number, self.time, self._values
        found: list[Metrics] = []
        count = min(limit, (len(data) - at) // size)
        for fields in self._form.iter_unpack(memoryview(data)[at : at + count * size]):
            end = at + size
            if fields[0] != MARKER or fields[1] != number or fields[-1] != crc32(data[at : end - 4]):
                break
            step = fields[3]
            values = values_of(names, fields[5:])
            time = base + fields[4] / TICKS
            found.append(Metrics(fields[2], time, values, None if step == NO_STEP else step))
            at = end
        return found


def key_set(number: int, time: float, key: Key) -> KeySet | None:
    """Return a new key set, or None if values of these types have none or the names no portable form."""
    names, types = key
    try:
        codes = "".join([_CODES[kind] for kind in types])
        if not all(type(part) is str for name in names for part in (name if type(name) is tuple else (name,))):
            return None
        new = KeySet(number, time, codes, names)
    except (KeyError, UnicodeEncodeError, struct.error):
        return None
    return new if len(new.definition) <= frames.LONGEST else None


def defined_in(data: bytes) -> dict[int, KeySet]:
    """Return all key sets that undamaged frames of a segment define."""
    found: dict[int, KeySet] = {}
    checks, at = Checksums(data), data.find(frames.KEYS)
    while at >= 0:
        payload = frames.payload_at(data, at, frames.KEYS, checks)
        if payload is not None and (new := read(payload)) is not None:
            found[new.number] = new
        at = data.find(frames.KEYS, at + 1)
    return found


def read(payload: bytes) -> KeySet | None:
    """Return the key set that a frame's payload defines, or None if it defines none."""
    try:
        it = _decode(payload)
        if len(it.codes) == len(it.names) and all(type(name) is str or len(name) <= DEEPEST for name in it.names):
            nested(it.names, it.codes)  # nothing is on the way to something else
            return KeySet(it.number, it.time, it.codes, it.names)
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError, AttributeError, TypeError, IndexError):
        pass
    return None


def _flat(names: tuple[Name, ...], fields: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(names, fields))  # type: ignore[arg-type]  # noqa: B905 - the checksum is left over
