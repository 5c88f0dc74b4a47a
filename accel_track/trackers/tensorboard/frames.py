"""The frames of an event file: the events in it, one after the other, past damage.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord ("TFRecords format details").
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from accel_track.files import open_regular
from accel_track.trackers.tensorboard.checksums import crc32c, masked
from accel_track.trackers.tensorboard.wire import FOOTER, HEADER, header

DAMAGED, CUT_OFF, UNREADABLE = (
    "part of an event file is damaged",
    "the last event of a file is cut off",
    "an event file cannot be read",
)
"""The sentence for lost entries."""

_LARGEST = 2**31
"""Bytes of the largest message of protobuf."""

_BUFFER = 2**20
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_BEGINNING = re.compile(rb"\x09")


def frames(path: Path, lost: Counter[str]) -> Iterator[bytes]:
    """Yield the events of a file, as protobuf has them. Damage costs the events it is in; nothing is raised.

    Args:
        path: The file; it may be growing.
        lost: What could not be read is counted here.
    """
    try:
        with open(open_regular(path), "rb", _BUFFER) as file:
            yield from _frames(file, lost)
    except OSError:
        lost[UNREADABLE] += 1


def begins(path: Path) -> bool:
    """Return whether a file begins with the header of a frame, as event files do. Nothing is raised."""
    try:
        with open(open_regular(path), "rb") as file:
            head = file.read(HEADER)
    except OSError:
        return False
    return len(head) == HEADER and head == header(*_LENGTH.unpack_from(head))


def _frames(file: BinaryIO, lost: Counter[str]) -> Iterator[bytes]:
    size = os.fstat(file.fileno()).st_size
    place = 0
    while place < size:
        head = file.read(HEADER)
        if len(head) < HEADER:
            lost[CUT_OFF] += 1
            return
        (length,) = _LENGTH.unpack_from(head)
        if head != header(length):
            lost[DAMAGED] += 1
            if (found := _next_header(file, place + 1)) is None:
                return
            place = found
            file.seek(place)
            continue
        place += HEADER + length + FOOTER
        if place > size or length > _LARGEST:
            lost[CUT_OFF] += 1
            return
        data = file.read(length)
        if file.read(FOOTER) == _CRC.pack(masked(crc32c(data))):
            yield data
        else:
            lost[DAMAGED] += 1


def _next_header(file: BinaryIO, place: int) -> int | None:
    """Return the place of the next header that fits its checksum; None for none. An event begins with its time."""
    file.seek(place)
    kept = b""
    while chunk := file.read(_BUFFER):
        data = kept + chunk
        for match in _BEGINNING.finditer(data, HEADER):
            begin = match.start() - HEADER
            head = data[begin : match.start()]
            if _CRC.unpack_from(head, 8)[0] == masked(crc32c(head[:8])):
                return place + begin
        kept = data[-HEADER:]
        place += len(data) - len(kept)
    return None
