"""The writer of the past: records of a run that another library has logged, many with one write."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from accel_track.journal.keysets import MARKER, NO_STEP, TICKS, Key
from accel_track.journal.writer import JournalWriter
from accel_track.records import AnyRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 1000
"""Records that wait for one write."""


class PastWriter(JournalWriter):
    """A writer that appends with the time `moment`; for one thread, in a folder that nobody reads before `close`.

    Unlike that of a training, its disk may fail: then every method raises an OSError.

    Args:
        folder: The rank's folder, which has no segment yet.
        moment: When the next records were logged, in seconds since 1970-01-01 UTC; an attribute.
    """

    def __init__(self, folder: Path, moment: float) -> None:
        """Begin a segment."""
        self.moment = moment
        self._waiting: list[bytes] = []
        super().__init__(folder)
        self._room = 0  # bytes of the segment that are left
        self._numbers = iter(lambda: self.next_seq, None)
        self.clock = lambda: self.moment

    def again(self, values: Any, step: Any) -> bool:
        """Append numbers if the segment knows their names and types; say whether that is done, as the base does it.

        Raises:
            OSError: They cannot be written.
        """
        segment = self._segment
        if type(values) is not dict or segment is None or (step is not None and type(step) is not int):
            return False
        numbers = tuple(values.values())
        names, types = tuple(values), tuple(map(type, numbers))
        keys = segment.last
        if keys is None or keys.names != names or keys.types != types:
            keys = segment.sets.get((names, types))
            if keys is None:
                return False
            segment.last = keys
        at, seq = NO_STEP if step is None else step, self.next_seq
        room = self._room = self._room - keys.size
        if at == step == NO_STEP or room < len(keys.definition):
            return False
        try:
            data = keys.pack(MARKER, keys.number, seq, at, int((self.moment - keys.time) * TICKS), *numbers)
        except struct.error:  # a time or a step that is too far away, an integer beyond 64 bits
            return False
        waiting = self._waiting
        if keys.left:
            keys.left -= 1
        else:
            waiting.append(keys.defined())
            self._room -= len(keys.definition)
        waiting.append(data + crc32(data).to_bytes(4, "little"))
        self.next_seq = seq + 1
        if len(waiting) > _AT_ONCE:
            self._flush()
        return True

    def again_together(
        self, key: Key, steps: NDArray[np.int64] | None, moments: NDArray[np.float64], columns: Sequence[NDArray[Any]]
    ) -> int:
        """Append the first of some records of numbers, if the segment knows their names and types.

        Args:
            key: Names and types.
            steps: The step of each, 0 or more; None for none.
            moments: When each was logged, in seconds since 1970-01-01 UTC.
            columns: An array of values for each name, of the types of the key.

        Returns:
            The number of appended records; 0 if the first one has to go another way.

        Raises:
            OSError: They cannot be written.
        """
        segment = self._segment
        keys = None if segment is None else segment.sets.get(key)
        if keys is None:
            return 0
        if not keys.left:
            self._waiting.append(keys.defined())
            self._room -= len(keys.definition)
        ticks = ((moments - keys.time) * TICKS).astype("i8")
        good = (ticks >= 0) & (ticks < 2**32)
        if steps is not None:
            good &= steps < NO_STEP
        fitting = len(good) if good.all() else int(good.argmin())
        count = min(fitting, keys.left, (self._room - len(keys.definition)) // keys.size)
        if count < 1:
            return 0
        at = NO_STEP if steps is None else steps[:count]
        self._waiting.append(keys.framed(self.next_seq, at, ticks[:count], [one[:count] for one in columns]))
        self._room -= count * keys.size
        keys.left -= count
        self.next_seq += count
        self._flush()
        return count

    def _append(self, record: AnyRecord) -> int:
        self._flush()
        seq = super()._append(record)
        self._room = self._limit - (self._segment.size if self._segment else 0)
        return seq

    def _flush(self) -> None:
        """Write the waiting records.

        Raises:
            OSError: It cannot be written.
        """
        if self._waiting and self._segment is not None:
            data, self._waiting = b"".join(self._waiting), []
            self._segment.append(data)
            self._dirty = True

    def _fail(self, error: OSError) -> None:
        """Let an error of the disk out."""
        raise error

    def close(self) -> None:
        """Store everything and close the files.

        Raises:
            OSError: It cannot be stored.
        """
        self._flush()
        super().close()
