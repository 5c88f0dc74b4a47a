"""The writer of the past: records of a run that another library has logged, many with one write."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from zlib import crc32

from accel_track.journal.keysets import MARKER, NO_STEP, TICKS
from accel_track.journal.writer import JournalWriter
from accel_track.records import AnyRecord

_AT_ONCE = 1000
"""Records that wait for one write."""


class PastWriter(JournalWriter):
    """Appends with the time `moment`; for one thread, in a folder that nobody reads before `close`.

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

    def _append(self, record: AnyRecord) -> int:
        self._flush()
        seq = super()._append(record)
        self._room = self._limit - (self._segment.size if self._segment else 0)
        return seq

    def _flush(self) -> None:
        """Write what waits.

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
