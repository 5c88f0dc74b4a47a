"""Batches that failed half-way: which of their records a backend has, so that a repetition leaves these out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accel_track.records import Metrics

_MOST = 1000
"""For how many records it is known which calls were made: more are never tried again at once."""


class Taken:
    """The records of unsettled batches that their backend has taken.

    For backends that take a batch record by record. A batch that raises is given again, whole or in halves, with the
    very same records.
    """

    def __init__(self) -> None:
        """Know of none."""
        self._records: dict[int, Metrics] = {}
        self._parts: dict[int, tuple[Metrics, set[Hashable]]] = {}  # calls for a record that were made
        self._current: Metrics | None = None

    def left(self, records: Sequence[Metrics]) -> list[Metrics]:
        """Return the records of a batch that the backend does not have."""
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
        """Yield the records of a batch that the backend does not have; it has one as soon as the next is asked for."""
        for record in self.left(records):
            yield record
            self.add(record)
        self.settle(records)

    def begun(self, record: Metrics) -> bool:
        """Return whether an earlier try has made a part of the calls for a record."""
        return id(record) in self._parts

    @contextmanager
    def within(self, record: Metrics) -> Iterator[None]:
        """Surround the calls that one record takes, of which `part` makes none again for that record."""
        if self._current is record:  # its outermost surrounding knows when all of them are made
            yield
            return
        self._current = record
        try:
            yield
            self._parts.pop(id(record), None)
        finally:
            self._current = None

    def part(self, which: Hashable, call: Callable[[], Any], otherwise: Any = None) -> Any:
        """Make one of the calls for a record and return what it returns; `otherwise` if it was made in an earlier try.

        Outside of `within`, each is made.

        Args:
            which: Tells it from the record's other calls.
            call: The call.
            otherwise: What to return in its place.
        """
        if (record := self._current) is None:
            return call()
        _, made = self._parts.setdefault(id(record), (record, set()))
        if len(self._parts) > _MOST:  # the oldest was quarantined
            del self._parts[next(iter(self._parts))]
        if which in made:
            return otherwise
        result = call()
        made.add(which)
        return result
