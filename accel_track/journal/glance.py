"""A glance at the end of a journal: how many records there are and when the last one was, by the last frame alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from accel_track.errors import JournalError
from accel_track.journal import frames, keysets
from accel_track.journal.reader import read_last, segments
from accel_track.records import decode

_TAIL = 256 * 1024
"""Bytes at the end that are looked at: they define the key set of the last record, too, if it is one in short."""


def glance(folder: Path) -> tuple[int, float | None]:
    """Return the number of a rank's records and the time of the last one, as `read_last` does.

    The last segment is read as a whole only where it does not end with an undamaged frame of a record.

    Raises:
        JournalError: The last segment is of a later version of the format.
        OSError: It cannot be read.
    """
    for number, path in reversed(segments(folder)):
        with path.open("rb") as file:
            head = file.read(frames.HEADER.size)
            if not frames.is_segment(head) or frames.repeats(head, frames.segment_name(number)):
                break
            file.seek(max(frames.HEADER.size, os.fstat(file.fileno()).st_size - _TAIL))
            data = file.read()
        last = next(_framed_at_end(data), None) or _short_at_end(data)
        if last is not None:
            return last
        break
    end = read_last(folder)
    return end.seq + 1, end.time


def _framed_at_end(data: bytes) -> Iterator[tuple[int, float]]:
    """Yield number and time of the record of each frame that ends where the data does; the longest is the first."""
    at = data.find(frames.MARKER)
    while at >= 0:
        begin = at + frames.FRAME.size
        if len(data) >= begin and begin + frames.FRAME.unpack_from(data, at)[1] == len(data):
            payload = frames.payload_at(data, at)
            if payload is not None:
                try:
                    record = decode(payload)
                except JournalError:
                    return
                yield record.seq + 1, record.time
        at = data.find(frames.MARKER, at + 1)


def _short_at_end(data: bytes) -> tuple[int, float] | None:
    """Return the same for a record in short, if the data ends with one; the last definition of its key set counts."""
    seen: set[int] = set()
    at = data.rfind(frames.KEYS)
    while at >= 0:
        payload = frames.payload_at(data, at, frames.KEYS)
        keys = None if payload is None else keysets.read(payload)
        if keys is not None and keys.number not in seen:
            seen.add(keys.number)
            last = data[-keys.size :]
            begin = keysets.MARKER + keys.number.to_bytes(2, "little")
            if len(data) - at > keys.size and last.startswith(begin) and keys.undamaged(last, 0, 1):
                return keys.highest(last) + 1, next(keys.heads(last))[0]
        at = data.rfind(frames.KEYS, 0, at)
    return None
