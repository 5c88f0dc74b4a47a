"""SwanLab's log file: its records, also behind damage.

The format is LevelDB's of logs (https://github.com/google/leveldb/blob/main/doc/log_format.md) with zlib's CRC-32 over
type and data, behind seven bytes of its own. SwanLab's own reader ends at the first damage.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".swanlab"
_HEAD = struct.pack("<4sHB", b":SWL", 0xE1D6, 2)
_BLOCK = 32768
_RECORD = struct.Struct("<IHB")
_DAMAGE, _FULL, _FIRST, _MIDDLE, _LAST = 0, 1, 2, 3, 4
_SEEDS = [zlib.crc32(bytes([kind])) for kind in range(5)]

_CUT = "the end of a file of records, which is cut off"
_DAMAGED = "a damaged block of a file of records"


def is_log_file(path: Path) -> bool:
    """Whether a file begins as SwanLab's do; never raises."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_HEAD)) == _HEAD
    except OSError:
        return False


def payloads(path: Path, lost: Counter[str] | None = None, *, end_only: bool = False) -> Iterator[bytes]:
    """Yield the records of a log file, encoded.

    Args:
        path: The file.
        lost: Counts what is damaged.
        end_only: Whether only the last blocks are read, which have the record that tells how the run ended.

    Raises:
        OSError: The file cannot be read.
    """
    lost = Counter() if lost is None else lost
    parts: list[bytes] | None = None
    known = not end_only  # whether the part that a part follows was seen
    for kind, data in _parts(path, lost, end_only=end_only):
        if kind == _FULL:
            yield data
        elif kind == _FIRST:
            parts = [data]
            continue
        elif parts is not None and kind != _DAMAGE:
            parts.append(data)
            if kind == _MIDDLE:
                continue
            yield b"".join(parts)
        elif known and kind != _DAMAGE:
            lost[_DAMAGED] += 1
        parts, known = None, kind != _DAMAGE
    if parts is not None:
        lost[_CUT] += 1


def _parts(path: Path, lost: Counter[str], *, end_only: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of records; one of the kind `_DAMAGE` where something is left out."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = max(0, size // _BLOCK - 1) * _BLOCK if end_only else 0
        file.seek(begin or len(_HEAD))
        while block := file.read(_BLOCK - file.tell() % _BLOCK):
            at, last = 0, file.tell() >= size
            while len(block) - at >= _RECORD.size:
                checksum, length, kind = _RECORD.unpack_from(block, at)
                data = block[at + _RECORD.size : at + _RECORD.size + length]
                if not 1 <= kind <= _LAST or zlib.crc32(data, _SEEDS[kind]) != checksum:
                    lost[_CUT if last and len(data) < length else _DAMAGED] += 1
                    yield _DAMAGE, b""
                    break
                at += _RECORD.size + length
                yield kind, data
            else:
                if last and any(block[at:]):
                    lost[_CUT] += 1
