"""Logs of records in LevelDB's format, as wandb's and SwanLab's services write them: read also behind damage.

The format: https://github.com/google/leveldb/blob/main/doc/log_format.md, behind seven bytes that say whose file it is,
and with the CRC-32 of zlib over the kind and the content of each part.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from accel_track.files import open_regular

CUT = "the end of a file of records, which is cut off"
DAMAGED = "a damaged block of a file of records"
UNREADABLE = "a file of records that cannot be read to its end"
TOO_LONG = "a record of more than 256 MiB"
"""The sentence for lost entries."""

_HEAD = 7
_BLOCK = 32768
_PART = struct.Struct("<IHB")
_DAMAGE, _FULL, _FIRST, _MIDDLE, _LAST = 0, 1, 2, 3, 4
_SEEDS = [zlib.crc32(bytes([kind])) for kind in range(5)]
_MOST = 2**28


def payloads(path: Path, lost: Counter[str], *, end_only: bool = False) -> Iterator[bytes]:
    """Yield the records of a file, encoded; behind damage, it goes on with the next block. Raises nothing.

    Args:
        path: The file.
        lost: Counts what is damaged.
        end_only: Whether only the last blocks are read, which have the record that tells how a run ended.
    """
    try:
        yield from _joined(_parts(path, lost, end_only=end_only), lost, known=not end_only)
    except OSError:
        lost[UNREADABLE] += 1


def _joined(parts: Iterator[tuple[int, bytes]], lost: Counter[str], *, known: bool) -> Iterator[bytes]:
    """Yield records of their parts; `known` says whether the part before the first one was seen."""
    begun: list[bytes] | None = None
    size = 0
    for kind, data in parts:
        if begun is not None and kind in (_FULL, _FIRST):  # the record has no end
            lost[DAMAGED] += 1
        if kind == _FULL:
            yield data
        elif kind == _FIRST:
            begun, size = [data], len(data)
            continue
        elif begun is not None and kind != _DAMAGE:
            begun.append(data)
            size += len(data)
            if kind == _LAST:
                yield b"".join(begun)
            elif size <= _MOST:
                continue
            else:
                lost[TOO_LONG] += 1
        elif known and kind != _DAMAGE:
            lost[DAMAGED] += 1
        begun, known = None, kind in (_FULL, _LAST)
    if begun is not None:
        lost[CUT] += 1


def _parts(path: Path, lost: Counter[str], *, end_only: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of records; one of the kind `_DAMAGE` where something is left out."""
    with open(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = max(0, size // _BLOCK - 1) * _BLOCK if end_only else 0
        file.seek(begin or _HEAD)
        while block := file.read(_BLOCK - file.tell() % _BLOCK):
            at, last = 0, file.tell() >= size
            while len(block) - at >= _PART.size:
                checksum, length, kind = _PART.unpack_from(block, at)
                data = block[at + _PART.size : at + _PART.size + length]
                if not 1 <= kind <= _LAST or zlib.crc32(data, _SEEDS[kind]) != checksum:
                    cut = last and (len(data) < length or not any(block[at + _PART.size :]))
                    lost[CUT if cut else DAMAGED] += 1
                    yield _DAMAGE, b""
                    break
                at += _PART.size + length
                yield kind, data
            else:
                if last and any(block[at:]):
                    lost[CUT] += 1
                    yield _DAMAGE, b""
