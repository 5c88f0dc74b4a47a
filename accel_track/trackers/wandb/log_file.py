"""The file of a wandb run: protobuf records in a log of LevelDB's format, read as far as it is whole.

The format: https://github.com/google/leveldb/blob/main/doc/log_format.md, behind seven bytes of wandb's own, and with
the CRC-32 of zlib over the type and the content of each part.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

MAGIC = b":W&B"
"""The first bytes of each file."""

_HEADER, _PART = 7, struct.Struct("<IHB")
_BLOCK = 32768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MOST = 256 * 1024 * 1024
"""Bytes of the longest record that is put together."""

_NUMBER, _TWO_BYTES, _LAST_OF_NUMBER = 0x08, 0x80, 0x7F  # protobuf's tag of the field `num`, and its integers

_DAMAGED = "parts of a wandb file are damaged"
_TORN = "the last record of a wandb file was not written to its end"

HISTORY, OUTPUT, STATS, TELEMETRY, OUTPUT_RAW, OUTPUT_LOGGER = 2, 4, 7, 11, 13, 27
"""Numbers of kinds of records, as `wandb_internal.proto` has them."""


def is_run_file(path: str | Path) -> bool:
    """Whether a file is one of a wandb run; never raises."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def records(path: Path, lost: Counter[str], skip: Collection[int] = ()) -> Iterator[Any]:
    """Yield the records of a file, as wandb's protobuf classes.

    Args:
        path: The file.
        lost: Counts, by a sentence, what cannot be read.
        skip: Kinds of records that are left out, without being decoded.
    """
    from wandb.proto import wandb_internal_pb2

    record_type: Any = wandb_internal_pb2
    for payload in payloads(path, lost):
        if kind_of(payload) in skip:
            continue
        record = record_type.Record()
        try:
            record.ParseFromString(payload)
        except Exception:  # noqa: BLE001 - protobuf's DecodeError, whose module differs between its versions
            lost["records of a wandb file are no such records"] += 1
            continue
        yield record


def payloads(path: Path, lost: Counter[str]) -> Iterator[bytes]:
    """Yield the bytes of each record of a file; behind damage, it goes on with the next block."""
    pending: bytearray | None = None
    for part, content in _parts(path, lost):
        if part in (_FULL, _FIRST):
            if pending is not None:
                lost[_DAMAGED] += 1
            pending = None if part == _FULL else bytearray(content)
            if part == _FULL:
                yield content
        elif pending is not None:  # without a beginning, it is the rest of what is counted as damaged
            pending += content
            if part == _LAST:
                yield bytes(pending)
                pending = None
            elif len(pending) > _MOST:
                lost["records of a wandb file are too long"] += 1
                pending = None
    if pending is not None:
        lost[_TORN] += 1


def _parts(path: Path, lost: Counter[str]) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            block, place = file.read(_BLOCK), _HEADER
            if block[: len(MAGIC)] != MAGIC:
                lost["a file is none of wandb's"] += 1
                return
            while block:
                yield from _parts_of(block, place, lost)
                block, place = file.read(_BLOCK), 0
    except OSError:
        lost["a wandb file cannot be read to its end"] += 1


def _parts_of(block: bytes, place: int, lost: Counter[str]) -> Iterator[tuple[int, bytes]]:
    while place + _PART.size <= len(block):
        checksum, size, part = _PART.unpack_from(block, place)
        start = place + _PART.size
        place = start + size
        if place > len(block) or not _FULL <= part <= _LAST or zlib.crc32(block[start - 1 : place]) != checksum:
            lost[_TORN if len(block) < _BLOCK and (place > len(block) or not any(block[start:])) else _DAMAGED] += 1
            return
        yield part, block[start:place]
    if len(block) < _BLOCK and place < len(block):
        lost[_TORN] += 1


def kind_of(payload: bytes) -> int:
    """Return the number of the first field of a record behind its own number: the kind, or that of an addition to it.

    Fields are written in the order of their numbers, and only the kinds from 17 on have something before them.
    """
    place = 0
    try:
        if payload[0] == _NUMBER:
            place = 1
            while payload[place] & _TWO_BYTES:
                place += 1
            place += 1
        tag = payload[place]
        if tag & _TWO_BYTES:
            tag = (tag & _LAST_OF_NUMBER) | payload[place + 1] << 7
    except IndexError:
        return 0
    return tag >> 3
