"""The encoding of TensorBoard's events: numbers in protobuf's wire format by hand, TFRecord's frames around all events.

Sources: https://protobuf.dev/programming-guides/encoding, and `event.proto` and `summary.proto` of TensorBoard.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from accel_track.trackers.tensorboard.checksums import crc32c, masked

# Keys of fields, each its number times 8 plus its type on the wire.
WALL_TIME = 0x09
_STEP, _SUMMARY, _FILE_VERSION = b"\x10", b"\x2a", b"\x1a"
_VALUE, _TAG, _SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"

_NUMBERS = frozenset((float, int, bool))
_FLOAT, _TIME, _CRC = struct.Struct("<f"), struct.Struct("<Bd"), struct.Struct("<I")
_LENGTH = struct.Struct("<Q")

HEADER, FOOTER = 12, 4
"""Bytes of a frame before and after its event."""


def varint(number: int) -> bytes:
    """Return an integer as protobuf's wire format has it; a negative one takes ten bytes."""
    if 0 <= number < 1 << 7:  # most are steps, of one to three bytes
        return bytes((number,))
    if 0 < number < 1 << 14:
        return bytes((number & 127 | 128, number >> 7))
    if 0 < number < 1 << 21:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str) -> bytes:
    """Return a text in UTF-8; halves of surrogate pairs, which it does not have, are written as escapes."""
    return value.encode("utf-8", "backslashreplace")


def value(content: bytes) -> bytes:
    """Return a `Summary.Value`, given as its fields, as one of a summary's."""
    return _VALUE + varint(len(content)) + content


@lru_cache(maxsize=65_536)
def _before_number(name: str) -> bytes:
    """Return the bytes before the four bytes of a number of that name."""
    tag = text(f"{name}")  # a direct call may have other keys
    field = _TAG + varint(len(tag)) + tag if tag else b""
    return _VALUE + varint(len(field) + len(_SIMPLE_VALUE) + _FLOAT.size) + field + _SIMPLE_VALUE


def number(name: str, of: float) -> bytes:
    """Return a number as one of a summary's values; one that is too large for 32 bits is infinite."""
    try:
        return _before_number(name) + _FLOAT.pack(float(of))
    except OverflowError:
        return _before_number(name) + _FLOAT.pack(math.copysign(math.inf, of))


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...]) -> tuple[Callable[..., bytes], list[Any], bytes]:
    """Return the packing of numbers of these names: a function, its arguments with gaps for them, the bytes before."""
    parts = [_before_number(name) for name in names]
    packed = struct.Struct("<" + "".join(f"{len(part)}sf" for part in parts))
    arguments = [one for part in parts for one in (part, 0.0)]
    return packed.pack, arguments, _SUMMARY + varint(packed.size)


def numbers_event(values: Mapping[str, Any], step: int | None, time: float) -> bytes | None:
    """Return the framed event of a call of `log`, or None if not all of its values are numbers that 32 bits hold."""
    if not _NUMBERS.issuperset(map(type, values.values())):
        return None
    pack, arguments, before = _form(tuple(values))
    arguments = arguments.copy()
    arguments[1::2] = values.values()
    try:
        return framed(time, step, before + pack(*arguments))
    except (OverflowError, struct.error):  # the latter for integers
        return None


def event(values: Sequence[bytes], step: int | None, time: float) -> bytes:
    """Return the framed event of a summary's values."""
    return framed(time, step, summary(values))


def summary(values: Sequence[bytes]) -> bytes:
    """Return the field of an event with a summary's values."""
    content = b"".join(values)
    return _SUMMARY + varint(len(content)) + content


def framed(time: float, step: int | None, summary: bytes | bytearray) -> bytes:
    """Return the framed event with the field of a summary."""
    steps = _STEP + varint(step) if step else b""
    return frame(_TIME.pack(WALL_TIME, time) + steps + summary)


def first_event(time: float) -> bytes:
    """Return the framed event that an event file begins with."""
    version = b"brain.Event:2"
    return frame(_TIME.pack(WALL_TIME, time) + _FILE_VERSION + varint(len(version)) + version)


@lru_cache(maxsize=4096)
def header(length: int) -> bytes:
    """Return the bytes of a frame before an event of that many bytes."""
    size = _LENGTH.pack(length)
    return size + _CRC.pack(masked(crc32c(size)))


def frame(data: bytes) -> bytes:
    """Return an event as a file holds it: its length, the length's checksum, the event, and its checksum."""
    return header(len(data)) + data + _CRC.pack(masked(crc32c(data)))
