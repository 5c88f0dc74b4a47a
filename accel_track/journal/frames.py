"""The bytes of a segment: its header, and frames of marker, length, checksum and payload (docs/journal-format.md)."""

from __future__ import annotations

import struct
import zlib

from accel_track.errors import JournalError

MAGIC = b"\x89ACTJ\r\n\x1a"
VERSION = 1
HEADER = struct.Struct("<8sHHIQd")
"""Magic, version, reserved, rank, number of the segment's first record, time of creation: 32 bytes, little-endian."""

MARKER = b"\xf5\xacTR"  # 0xf5 is in no UTF-8 text
KEYS = b"\xf5\xacTK"
"""Marker of a frame that defines a key set, see `accel_track.journal.keysets`."""

FRAME = struct.Struct("<4sII")
"""Marker, length of the payload in bytes, CRC-32 of the payload: 12 bytes, little-endian."""

LONGEST = 16 * 1024 * 1024
"""The longest payload in bytes; a longer record is not written, and a longer length is damage."""

SEGMENT_SIZE = 64 * 1024 * 1024
"""A segment is closed before it would exceed this many bytes."""


def header(rank: int, first_seq: int, created: float) -> bytes:
    """Return the header of a segment."""
    return HEADER.pack(MAGIC, VERSION, 0, rank, first_seq, created)


def is_segment(data: bytes) -> bool:
    """Whether bytes begin with a header, of any version."""
    return len(data) >= HEADER.size and data.startswith(MAGIC)


def first_seq(data: bytes, where: str) -> int:
    """Return the number of a segment's first record, from its header.

    Raises:
        JournalError: It is of a later version of the format.
    """
    _, version, _, _, seq, _ = HEADER.unpack_from(data)
    if version != VERSION:
        message = f"{where} has version {version} of the journal's format, this package reads {VERSION}; upgrade it."
        raise JournalError(message)
    return int(seq)


def frame(payload: bytes, marker: bytes = MARKER) -> bytes:
    """Return a payload with a marker, its length and its checksum."""
    return FRAME.pack(marker, len(payload), zlib.crc32(payload)) + payload


def payload_at(data: bytes | bytearray, offset: int, marker: bytes = MARKER) -> bytes | None:
    """Return the payload of the undamaged frame with that marker at `offset`, or None if there is none (in full)."""
    if len(data) - offset < FRAME.size:
        return None
    found, length, checksum = FRAME.unpack_from(data, offset)
    start = offset + FRAME.size
    if found != marker or length > LONGEST or len(data) - start < length:
        return None
    payload = bytes(data[start : start + length])
    return payload if zlib.crc32(payload) == checksum else None
