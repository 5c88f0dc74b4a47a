"""Batches that failed half-way: which of their records a backend has, so that a repetition leaves these out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accel_track.records import Metrics


class Taken:
    """The records of unsettled batches that their backend has taken.

    For backends that take a batch record by record. A batch that raises is given again, whole or in halves, with the
    very same records.
    """

    def __init__(self) -> None:
        """Know of none."""
        self._records: dict[int, Metrics] = {}

    def left(self, records: Sequence[Metrics]) -> list[Metrics]:
        """Return those of a batch that the backend has not."""
        return [record for record in records if id(record) not in self._records] if self._records else list(records)

    def add(self, *records: Metrics) -> None:
        """Note that the backend has these, and that others of their batch may follow."""
        self._records.update((id(record), record) for record in records)

    def settle(self, records: Sequence[Metrics]) -> None:
        """Forget a batch, all of which the backend has."""
        if self._records:
            for record in records:
                self._records.pop(id(record), None)

    def each(self, records: Sequence[Metrics]) -> Iterator[Metrics]:
        """Yield those of a batch that the backend has not; it has one as soon as the next is asked for."""
        for record in self.left(records):
            yield record
            self.add(record)
        self.settle(records)
