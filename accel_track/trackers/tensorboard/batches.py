"""Events of many calls at once: NumPy makes the summaries of those with one key set from the journal's bytes."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from accel_track.journal.entries import ShortRecords
from accel_track.journal.keysets import KeySet
from accel_track.records import Metrics, Name, nested
from accel_track.trackers.tensorboard import wire
from accel_track.values.plain import leaves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 8
"""The number of calls of one key set that are encoded one by one, at most; all of them without NumPy."""


def events(records: ShortRecords, one: Callable[[Metrics], bytes | None]) -> bytes:
    """Return the framed events of calls, in their order.

    Args:
        records: The calls.
        one: Returns the event of one call, or None if it has none.
    """
    groups: dict[Any, list[tuple[int, KeySet, bytes]]] = defaultdict(list)
    count = 0
    for keys, data, _ in records.stretches:
        groups[keys.names, keys.types, keys.time].append((count, keys, data))
        count += len(data) // keys.size
    found: list[bytes | None] = [None] * count
    for group in groups.values():
        keys, data = group[0][1], b"".join([part for _, _, part in group])
        encoded: Iterator[bytes | None]
        if len(data) <= FEW * keys.size or not keys.names or "numpy" not in sys.modules:
            encoded = map(one, keys.records(data))
        else:
            encoded = _events(keys, data)
        if len(groups) == 1:
            return b"".join(filter(None, encoded))
        for first, _, part in group:
            end = first + len(part) // keys.size
            found[first:end] = itertools.islice(encoded, end - first)
    return b"".join(filter(None, found))


def _events(keys: KeySet, data: bytes) -> Iterator[bytes]:
    """Yield the events of short frames."""
    form = _form(keys.names)
    summaries, size = form.summaries(keys.numbers(data)), form.size
    for at, (time, step) in zip(itertools.count(step=size), keys.heads(data)):
        yield wire.framed(time, step, summaries[at : at + size])


class _Form:
    """The summaries of calls that have one set of names; there are some.

    Args:
        names: A key set's names.
    """

    def __init__(self, names: tuple[Name, ...]) -> None:
        """Find out where the numbers are: in dictionaries, they may be in another order."""
        import numpy as np

        order = list(leaves(nested(names, range(len(names)))))
        values = [wire.number(name, 0.0) for name, _ in order]
        self._row = wire.summary(values)
        self.size = len(self._row)
        """Bytes of each."""
        ends = np.cumsum([len(value) for value in values]) + self.size - sum(map(len, values))
        self._places = (ends[:, None] + np.arange(-4, 0)).reshape(-1)
        """The places of the numbers' bytes in a summary."""
        columns = [index for _, index in order]
        self._columns = None if columns == [*range(len(names))] else columns

    def summaries(self, numbers: NDArray[np.float64]) -> bytearray:
        """Return the summaries of calls, one behind the other; numbers too large for 32 bits are infinite.

        Args:
            numbers: A row for each call, a column for each name.
        """
        import numpy as np

        # Few operations: for each one on many numbers, NumPy gives the interpreter away, and comes back to cold caches.
        whole = bytearray(len(numbers) * self._row)
        with np.errstate(over="ignore", invalid="ignore"):
            singles = (numbers if self._columns is None else numbers[:, self._columns]).astype("<f4")
        np.frombuffer(whole, np.uint8).reshape(-1, self.size)[:, self._places] = singles.view(np.uint8)
        return whole


@lru_cache(maxsize=1024)
def _form(names: tuple[Name, ...]) -> _Form:
    return _Form(names)
