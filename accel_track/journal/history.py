"""The history of a run: the records that still count where it went back to an earlier step."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from accel_track.journal.reader import BATCH, JournalReader, Position, segments
from accel_track.records import AnyRecord, Metrics, Rewind

_TAG = b"\xa6rewind"
"""How the kind of such a record begins in MessagePack."""


class History:
    """The rewinds of one rank's journal, as they are when this is made.

    Args:
        folder: The rank's folder.

    Raises:
        JournalError: A segment is of a later version of the format.
    """

    def __init__(self, folder: Path) -> None:
        """Find the rewinds; segments without one are searched, not decoded."""
        self.rewinds: list[Rewind] = []
        for number, path in segments(folder):
            if _TAG in path.read_bytes():
                reader = JournalReader(folder, Position(number))
                while reader.position.segment == number and (entries := reader.read(BATCH)):
                    self.rewinds += [one.record for one in entries if isinstance(one.record, Rewind)]
        self.rewinds = sorted({one.seq: one for one in self.rewinds}.values(), key=lambda one: one.seq)
        self._seqs = [one.seq for one in self.rewinds]
        self._lowest = list(accumulate((one.step for one in reversed(self.rewinds)), min))[::-1]
        """For each rewind, the lowest step that it or a later one goes back to."""

    def counts(self, record: AnyRecord) -> bool:
        """Whether a record still counts: no later rewind goes back to its step or to an earlier one."""
        if not self._seqs or not isinstance(record, Metrics) or record.step is None:
            return True
        later = bisect_right(self._seqs, record.seq)
        return later == len(self._seqs) or self._lowest[later] > record.step
