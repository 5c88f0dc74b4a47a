"""The checksum of event files: CRC-32C, masked as in TensorFlow's record format."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

try:
    from google_crc32c import implementation as _implementation
    from google_crc32c import value as _in_c
except (ImportError, RuntimeWarning):  # it warns of a missing C part, which a filter may turn into an error
    _implementation, _in_c = "none", None

_POLYNOMIAL, _ALL, _MASK = 0x82F63B78, 0xFFFFFFFF, 0xA282EAD8
_BLOCK = 1024


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint32]:
    """Return the effect of each byte on a checksum: row r is for bytes that `_BLOCK - 1 - r` others follow."""
    import numpy as np

    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = np.where(row & 1, row >> 1 ^ _POLYNOMIAL, row >> 1).astype(np.uint32)
    rows: list[Any] = [row]
    for _ in range(_BLOCK - 1):
        rows.append(row[rows[-1] & 255] ^ rows[-1] >> 8)
    return np.stack(rows[::-1])


def with_numpy(data: bytes) -> int:
    """Return the CRC-32C of `data`, computed by NumPy: slower than C, and several times as fast as pure Python."""
    import numpy as np

    table, crc = _table(), _ALL
    for begin in range(0, len(data), _BLOCK):
        block = np.frombuffer(data, np.uint8, min(_BLOCK, len(data) - begin), begin)
        first = _BLOCK - len(block)
        changed = int(np.bitwise_xor.reduce(table[np.arange(first, _BLOCK), block]))
        # The checksum so far is as if it were part of the block's first four bytes, or of what follows a shorter one.
        for place, byte in enumerate(crc.to_bytes(4, "little")[: len(block)]):
            changed ^= int(table[first + place, byte])
        crc = changed ^ crc >> 8 * len(block)
    return crc ^ _ALL


crc32c: Callable[[Any], int] = _in_c if _in_c and _implementation == "c" else with_numpy
"""The CRC-32C of some bytes, in the fastest way there is here."""


def masked(crc: int) -> int:
    """Return a checksum as event files hold it."""
    return ((crc >> 15 | crc << 17) + _MASK) & _ALL
