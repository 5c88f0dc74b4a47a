"""The bytes of a segment: its header, and frames of marker, length, checksum and payload (docs/journal-format.md)."""

from __future__ import annotations

import struct
import zlib

from accel_track.errors import JournalError
from accel_track.journal.checksums import Checksums

MAGIC = b"\x89ACTJ\r\n\x1a"
VERSION = 1
HEADER = struct.Struct("<8sHHIQd")
"""Magic, version, kind, rank, number of the segment's first record, time of creation: 32 bytes, little-endian."""

REPEATS = 1
"""Kind of a segment with records that were in memory for a while: some trackers may have had them; else 0."""

MARKER = b"\xf5\xacTR"  # 0xf5 is in no UTF-8 text
KEYS = b"\xf5\xacTK"
"""Marker of a frame that defines a key set, see `accel_track.journal.keysets`."""

FRAME = struct.Struct("<4sII")
"""Marker, length of the payload in bytes, CRC-32 of the payload: 12 bytes, little-endian."""

LONGEST = 16 * 1024 * 1024
"""The longest payload in bytes; a longer record is not written, and a longer length is damage."""

SEGMENT_SIZE = 64 * 1024 * 1024
"""A segment is closed before it would exceed this many bytes."""


def segment_name(number: int) -> str:
    """Return the name of a segment's file."""
    return f"{number:08d}.seg"


def header(rank: int, first_seq: int, created: float, kind: int = 0) -> bytes:
    """Return the header of a segment."""
    return HEADER.pack(MAGIC, VERSION, kind, rank, first_seq, created)


def is_segment(data: bytes) -> bool:
    """Return whether bytes begin with a header, of any version."""
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


def repeats(data: bytes, where: str) -> bool:
    """Return whether a segment may repeat records that trackers have had, by its header.

    Raises:
        JournalError: It is of a later version of the format.
    """
    first_seq(data, where)
    return bool(HEADER.unpack_from(data)[2] == REPEATS)


def frame(payload: bytes, marker: bytes = MARKER) -> bytes:
    """Return a payload with a marker, its length and its checksum."""
    return FRAME.pack(marker, len(payload), zlib.crc32(payload)) + payload


def payload_at(
    data: bytes | bytearray, offset: int, marker: bytes = MARKER, checks: Checksums | None = None
) -> bytes | None:
    """Return the payload of the undamaged frame with that marker at `offset`, or None if there is none (in full).

    Args:
        data: Bytes of a segment.
        offset: Where to look.
        marker: The marker.
        checks: The checksums of `data`, where it is asked for many frames.
    """
    start = offset + FRAME.size
    if not data.startswith(marker, offset) or len(data) < start:
        return None
    _, length, checksum = FRAME.unpack_from(data, offset)
    end = start + length
    if length > LONGEST or len(data) < end or not (checks or Checksums(data)).match(start, end, checksum):
        return None
    return bytes(data[start:end])
