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
_FULL, _FIRST, _LAST = 1, 2, 4  # and 3, in the middle
_MOST = 256 * 1024 * 1024
"""Bytes of the longest record that is put together."""

_NUMBER, _TWO_BYTES, _LAST_OF_NUMBER = 0x08, 0x80, 0x7F  # protobuf's tag of the field `num`, and its integers

_DAMAGED = "parts of a wandb file are damaged"
_TORN = "the last record of a wandb file was not written to its end"

HISTORY, SUMMARY, OUTPUT, STATS, TELEMETRY, OUTPUT_RAW, OUTPUT_LOGGER = 2, 3, 4, 7, 11, 13, 27
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

    make: Any = wandb_internal_pb2.Record  # type: ignore[attr-defined]
    for payload in payloads(path, lost):
        if kind_of(payload) in skip:
            continue
        try:
            record = make.FromString(payload)
        except Exception:  # noqa: BLE001 - protobuf's DecodeError, whose module differs between its versions
            lost["records of a wandb file are no such records"] += 1
        else:
            yield record


def payloads(path: Path, lost: Counter[str]) -> Iterator[bytes]:
    """Yield the bytes of each record of a file; behind damage, it goes on with the next block."""
    pending: bytearray | None = None
    for block, start in _blocks(path, lost):
        place, length = start, len(block)
        while place + _HEADER <= length:
            checksum, size, part = _PART.unpack_from(block, place)
            content = place + _HEADER
            place = content + size
            if place > length or zlib.crc32(block[content - 1 : place]) != checksum:
                torn = length < _BLOCK and (place > length or not any(block[content:]))
                lost[_TORN if torn else _DAMAGED] += 1
                pending, place = None, length
            elif part == _FULL:
                yield block[content:place]
            else:
                pending, whole = _more(pending, part, block[content:place], lost)
                if whole is not None:
                    yield whole
        if length < _BLOCK and (place < length or pending is not None):
            lost[_TORN] += 1
            return
    if pending is not None:
        lost[_TORN] += 1


def _more(
    pending: bytearray | None, part: int, content: bytes, lost: Counter[str]
) -> tuple[bytearray | None, bytes | None]:
    """Return what there is of a record that is in several parts, and all of it once it is whole."""
    if part == _FIRST:
        return bytearray(content), None
    if pending is None:  # without a beginning, it is the rest of what is counted as damaged
        return None, None
    pending += content
    if part == _LAST:
        return None, bytes(pending)
    if len(pending) > _MOST:
        lost["records of a wandb file are too long"] += 1
        return None, None
    return pending, None


def _blocks(path: Path, lost: Counter[str]) -> Iterator[tuple[bytes, int]]:
    """Yield each block, and where in there the records begin."""
    try:
        with path.open("rb") as file:
            block, start = file.read(_BLOCK), _HEADER
            if block[: len(MAGIC)] != MAGIC:
                lost["a file is none of wandb's"] += 1
                return
            while block:
                yield block, start
                block, start = file.read(_BLOCK), 0
    except OSError:
        lost["a wandb file cannot be read to its end"] += 1


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
