"""CRC-32 of any part of a buffer, at a cost that does not grow with the part."""

from __future__ import annotations

import functools
import zlib

_BLOCK = 256
_PASSES = 4
"""The number of times that a buffer may be gone through part by part, which is quicker for few or short parts."""

_SHORT = 256
_OFTEN = 1000
_BITS = 32  # of a size

_Tables = tuple[list[int], ...]
"""The effect of zero bytes on a CRC-32: a table for each of its bytes, the lowest first."""


class Checksums:
    """A comparison of checksums of parts of a buffer, also of very many long ones that overlap each other.

    The CRC of a part comes from those of what is before its begin and its end: `crc(AB) = behind(crc(A), len(B)) ^
    crc(B)`, as in zlib's `crc32_combine`.

    Args:
        data: The buffer.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        """Compute nothing yet."""
        self._data = memoryview(data)
        self._left = _PASSES * len(data)
        self._before: list[int] = []
        self._size = self._times = 0  # how often the last size came in a row

    def match(self, begin: int, end: int, expected: int) -> bool:
        """Return whether the part has that CRC-32."""
        size = end - begin
        if size <= _SHORT or size <= self._left:
            self._left -= size
            return zlib.crc32(self._data[begin:end]) == expected
        if size != self._size:
            self._size, self._times = size, 0
        self._times += 1
        behind = _behind_often if self._times > _OFTEN else _behind
        return self._until(end) ^ behind(self._until(begin), size) == expected

    def _until(self, end: int) -> int:
        """Return the CRC-32 of everything before a place."""
        if not self._before:
            crc, self._before = 0, [0]
            for at in range(0, len(self._data), _BLOCK):
                crc = zlib.crc32(self._data[at : at + _BLOCK], crc)
                self._before.append(crc)
        block = end // _BLOCK
        return zlib.crc32(self._data[block * _BLOCK : end], self._before[block])


def _behind(crc: int, size: int) -> int:
    """Return the CRC-32, without its inversions, of another one with that many bytes of zero behind it."""
    for tables in _doubling():
        if not size:
            break
        if size & 1:
            crc = _mapped(crc, tables)
        size >>= 1
    return crc


def _behind_often(crc: int, size: int) -> int:
    """Return the same operator for a size that comes often."""
    return _mapped(crc, _tables_of(size))


def _mapped(crc: int, tables: _Tables) -> int:
    one, two, three, four = tables
    return one[crc & 255] ^ two[crc >> 8 & 255] ^ three[crc >> 16 & 255] ^ four[crc >> 24]


@functools.lru_cache(maxsize=100)
def _tables_of(size: int) -> _Tables:
    return tuple([_behind(n << 8 * place, size) for n in range(256)] for place in range(4))


@functools.cache
def _doubling() -> list[_Tables]:
    """Return the tables for 1, 2, 4, … bytes of zero."""
    byte = [zlib.crc32(bytes([n])) ^ zlib.crc32(b"\0") for n in range(256)]
    tables: list[_Tables] = [(byte, *([n << 8 * place for n in range(256)] for place in range(3)))]
    for _ in range(_BITS):
        tables.append(tuple([_mapped(crc, tables[-1]) for crc in table] for table in tables[-1]))
    return tables
