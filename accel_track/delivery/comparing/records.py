"""The records of one rank's journal, as a tracker is given them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from accel_track.journal.entries import next_seq
from accel_track.journal.reader import BATCH, History, JournalReader
from accel_track.records import AnyRecord, Metrics, is_for
from accel_track.rules import Reshaper, Rules
from accel_track.values.plain import leaves


class RecordsFor:
    """The records that are for a tracker, shaped by its rules.

    Args:
        folder: The rank's folder.
        names: The names of the tracker: in the run, and its own.
        rules: The tracker's rules, or None.
    """

    def __init__(self, folder: Path, names: tuple[str, str], rules: Rules | None) -> None:
        """Read nothing yet."""
        self._folder, self._names, self._rules = folder, names, rules
        self.damaged = 0
        """Bytes of the journal that were skipped."""
        self.left_out = 0
        """Values that count and that the rules leave out."""

    def __iter__(self) -> Iterator[tuple[AnyRecord, bool]]:
        """Yield records in their order, and whether each still counts.

        Raises:
            JournalError: A segment is of a later version of the format.
            OSError: A segment cannot be read.
        """
        reader, history = JournalReader(self._folder), History(self._folder)
        rules = self._rules or Rules()
        reshape = Reshaper(rules, self._names[0])
        rename = Reshaper(msgspec.structs.replace(rules, every=1), self._names[0])  # for what does not count any more
        while entries := reader.read(BATCH):
            reader.had = next_seq(entries)
            for record in [entry.record for entry in entries if is_for(entry.record, *self._names)]:
                counts = history.counts(record)
                shaped = (reshape if counts else rename)(record) if rules else record
                if counts and shaped is not record:
                    self.left_out += _size(record) - _size(shaped)
                if shaped is not None:
                    yield shaped, counts
        self.damaged = reader.damaged()


def _size(record: AnyRecord | None) -> int:
    if isinstance(record, Metrics):
        return sum(1 for _ in leaves(record.values))
    return int(record is not None)
