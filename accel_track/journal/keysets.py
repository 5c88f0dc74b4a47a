"""Key sets: the names of a call's values are written once, and then only their numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgspec

from accel_track.journal import frames
from accel_track.journal.checksums import Checksums
from accel_track.records import Metrics, Name, nested
from accel_track.values.structures import DEEPEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MARKER = b"\xf6"  # in no UTF-8 text
HEAD = struct.Struct("<sHIII")
"""Marker, number of the key set, number of the record, step, time after the key set's in 1/65536 s: 15 bytes."""

NO_STEP = 2**32 - 1
TICKS = 65536
"""Parts of a second in which the time is counted."""

MOST_NAMES = 100_000
"""The number of names in all key sets of one segment, at most."""

_CODES = {float: "d", int: "q", bool: "?"}
_TYPES = {code: kind for kind, code in _CODES.items()}
_TEXT = frozenset((str,))
_LONGEST_PAUSE = 1024
_BRIEF = 5120
"""Bytes for which `crc32` keeps the interpreter: who gives it away in the middle of a batch has to wait for it."""

Key = tuple[tuple[Name, ...], tuple[type, ...]]
"""The names of a call's values and their types, in the call's order."""


class _Definition(msgspec.Struct, frozen=True, array_like=True, tag_field="kind", tag="keys"):
    number: int
    time: float
    codes: str
    names: tuple[Name, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Definition).decode


class _Form(NamedTuple):
    """The frames of all key sets with values of the same types."""

    types: tuple[type, ...]
    packed: struct.Struct
    heads: struct.Struct
    records: struct.Struct


@lru_cache(maxsize=256)
def _form(codes: str) -> _Form:
    types = tuple([_TYPES[code] for code in codes])
    packed = struct.Struct(f"<sHIII{codes}")
    heads = struct.Struct(f"<3xIII{packed.size - HEAD.size + 4}x")
    return _Form(types, packed, heads, struct.Struct(f"<3xIII{codes}4x"))


@lru_cache(maxsize=256)
def _codes(types: tuple[type, ...]) -> str:
    return "".join([_CODES[kind] for kind in types])


class KeySet:
    """Names and types of values that are logged together, and the frames of records that have them.

    Args:
        number: Number of the key set in its segment.
        time: Wall-clock time from which that of records is counted, in seconds since 1970-01-01 UTC.
        codes: A type for each name, as in `struct`: "d", "q" or "?".
        names: The names; in place of one, an array of those on the way to a number in dictionaries.
    """

    def __init__(self, number: int, time: float, codes: str, names: tuple[Name, ...]) -> None:
        """Compile the functions that a writer needs; those of a reader are made when it asks for them."""
        self.number, self.time, self.codes, self.names = number, time, codes, names
        form = _form(codes)
        self.types = form.types
        self.pack: Callable[..., bytes] = form.packed.pack
        """Returns a frame without its checksum."""
        self.size = form.packed.size + 4
        """Length of each frame in bytes."""
        self.definition = b""
        """The frame that defines it, for the writer."""
        self.left = 0
        """The number of records that follow before the definition is written again."""
        self.pause = 1

    def defined(self) -> bytes:
        """Return the definition for the writer, which is to repeat it after twice as many records as the last time."""
        self.left, self.pause = self.pause, min(2 * self.pause, _LONGEST_PAUSE)
        return self.definition

    @cached_property
    def _begin(self) -> list[bytes]:
        """The bytes that are the same in all of its frames."""
        return [bytes([byte]) for byte in MARKER + self.number.to_bytes(2, "little")]

    def begun(self, data: bytes, at: int, most: int) -> int:
        """Return the number of frames of this key set, damaged ones included, that follow each other in `data`.

        Args:
            data: Bytes of a segment.
            at: Where a frame of this key set begins.
            most: How many to look for.
        """
        size = self.size
        count = min(most, (len(data) - at) // size)
        if count > 1:
            if data[at + size : at + size + 3] != data[at : at + 3]:  # calls of other names in turns
                return 1
            for place, byte in enumerate(self._begin, at):
                column = data[place : place + count * size : size]
                count = len(column) - len(column.lstrip(byte))
        return count

    def undamaged(self, data: bytes, at: int, count: int, *, together: bool = True) -> int:
        """Return the number of undamaged frames, of so many, before the first damaged one.

        Args:
            data: Bytes of a segment.
            at: Where the frames begin.
            count: How many there are.
            together: Whether to look at all of them at once first, which is quicker where none is damaged.
        """
        view, size = memoryview(data), self.size
        if count == 1:
            return int(crc32(view[at : at + size]) == _checksum(size, 1))
        if together:
            crc, end = 0, at + count * size
            for start in range(at, end, _BRIEF):
                crc = crc32(view[start : min(end, start + _BRIEF)], crc)
            if crc == _checksum(size, count):
                return count
        starts = range(at, at + count * size, size)
        good = _checksum(size, 1)
        return next((n for n, start in enumerate(starts) if crc32(view[start : start + size]) != good), count)

    def highest(self, data: bytes) -> int:
        """Return the highest number of a record in undamaged frames of this key set."""
        return int(max(_form(self.codes).heads.iter_unpack(data))[0])

    def heads(self, data: bytes) -> Iterator[tuple[float, int | None]]:
        """Yield time and step of each record of undamaged frames of this key set."""
        base = self.time
        for _, step, ticks in _form(self.codes).heads.iter_unpack(data):
            yield base + ticks / TICKS, None if step == NO_STEP else step

    def places(self, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return number, step (-1 for none) and time of each record of undamaged frames of this key set."""
        import numpy as np

        heads = [
            ("begin", "V3"),
            ("seq", "<u4"),
            ("step", "<u4"),
            ("ticks", "<u4"),
            ("rest", f"V{self.size - HEAD.size}"),
        ]
        found: Any = np.frombuffer(data, heads)
        steps = found["step"].astype("i8")
        steps[steps == NO_STEP] = -1
        return found["seq"].astype("i8"), steps, self.time + found["ticks"] / TICKS

    def numbers(self, data: bytes) -> NDArray[np.float64]:
        """Return the values of undamaged frames of this key set: a row for each record, a column for each name."""
        import numpy as np

        if set(self.codes) == {"d"}:
            shape = len(data) // self.size, len(self.names)
            numbers: NDArray[np.float64] = np.ndarray(shape, "<f8", data, HEAD.size, (self.size, 8))
            return numbers
        kinds = {float: "<f8", int: "<i8", bool: "?"}
        values = [(f"v{index}", kinds[kind]) for index, kind in enumerate(self.types)]
        found = np.frombuffer(data, [("head", f"V{HEAD.size}"), *values, ("checksum", "V4")])
        return np.stack([found[name].astype("<f8") for name, _ in values], axis=1)

    def framed(self, first: int, steps: Any, ticks: Any, columns: Sequence[Any]) -> bytes:
        """Return the frames of records that follow each other.

        Args:
            first: Number of the first record.
            steps: The step of each, or `NO_STEP` for all.
            ticks: The time of each, as an array, after the key set's in 1/65536 s.
            columns: An array of values for each name, of the key set's types.
        """
        import numpy as np

        kinds = {float: "<f8", int: "<i8", bool: "?"}
        values = [(f"v{index}", kinds[kind]) for index, kind in enumerate(self.types)]
        heads = [("marker", "u1"), ("set", "<u2"), ("seq", "<u4"), ("step", "<u4"), ("ticks", "<u4")]
        found = np.empty(len(ticks), [*heads, *values, ("checksum", "<u4")])
        found["marker"], found["set"], found["step"], found["ticks"] = MARKER[0], self.number, steps, ticks
        found["seq"] = np.arange(first, first + len(ticks))
        for (name, _), column in zip(values, columns, strict=True):
            found[name] = column
        view, size = memoryview(found.tobytes()), self.size
        found["checksum"] = [crc32(view[at : at + size - 4]) for at in range(0, len(view), size)]
        return found.tobytes()

    def records(self, data: bytes) -> list[Metrics]:
        """Return the records of undamaged frames of this key set."""
        names, base = self.names, self.time
        values_of = nested if tuple in map(type, names) else _flat
        return [
            Metrics(seq, base + ticks / TICKS, values_of(names, values), None if step == NO_STEP else step)
            for seq, step, ticks, *values in _form(self.codes).records.iter_unpack(data)
        ]


@lru_cache(maxsize=4096)
def _checksum(size: int, count: int) -> int:
    """Return the CRC-32 of so many undamaged frames of a size in a row, checksums included: it is the same for all.

    A CRC behind data that ends with its own CRC does not depend on the data, so a frame changes what is before it in
    one way only.
    """
    data = bytes(size - 4)
    return crc32(count * (data + crc32(data).to_bytes(4, "little")))


def key_set(number: int, time: float, key: Key) -> KeySet | None:
    """Return a new key set, or None if values of these types have none or the names no portable form."""
    names, types = key
    try:
        codes = _codes(types)
        if not _TEXT.issuperset(map(type, names)) and not all(
            type(part) is str for name in names for part in (name if type(name) is tuple else (name,))
        ):
            return None
        new = KeySet(number, time, codes, names)
        new.definition = frames.frame(_encode(_Definition(number, time, codes, names)), frames.KEYS)
        return new if len(new.definition) <= frames.LONGEST else None
    except (KeyError, UnicodeEncodeError, struct.error):
        return None


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
    return dict(zip(names, fields))  # type: ignore[arg-type]  # noqa: B905 - they are as many
