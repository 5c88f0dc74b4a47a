"""Entries: records of a journal with their places in it; those in short are decoded when somebody looks at them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar, overload

from accel_track.journal.keysets import KeySet
from accel_track.records import AnyRecord, Metrics

ItemT = TypeVar("ItemT")
_new = tuple.__new__  # a named tuple's own takes three times as long


class Position(NamedTuple):
    """A place in a rank's journal: number of the segment, and byte in it."""

    segment: int = 0
    offset: int = 0


class Entry(NamedTuple):
    """A record and the place behind it."""

    record: AnyRecord
    end: Position


class Stretch(NamedTuple):
    """Undamaged short frames of one key set that follow each other.

    Attributes:
        keys: The key set.
        data: The frames.
        end: The place behind them.
    """

    keys: KeySet
    data: bytes
    end: Position

    def entries(self, records: Iterable[Metrics]) -> Iterator[Entry]:
        """Yield the records of these frames, given in their order, with their places."""
        segment, end = self.end
        size = self.keys.size
        places = range(end - len(self.data) + size, end + 1, size)
        for place, record in zip(places, records):  # noqa: B905 - places first: no record too many is taken
            yield _new(Entry, (record, _new(Position, (segment, place))))


class _Lazy(Sequence[ItemT]):
    """Something for each frame of some stretches, made when it is asked for, and then kept."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self.stretches = stretches
        self._length = sum(len(data) // keys.size for keys, data, _ in stretches)

    @cached_property
    @abstractmethod
    def _items(self) -> list[ItemT]:
        """All of it."""

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> ItemT: ...

    @overload
    def __getitem__(self, index: slice) -> list[ItemT]: ...

    def __getitem__(self, index: int | slice) -> ItemT | list[ItemT]:
        return self._items[index]

    def __iter__(self) -> Iterator[ItemT]:
        return iter(self._items)


class ShortRecords(_Lazy[Metrics]):
    """Records in short that follow each other.

    Attributes:
        stretches: Their frames, for who can do without the records.
    """

    @cached_property
    def _items(self) -> list[Metrics]:
        return [record for keys, data, _ in self.stretches for record in keys.records(data)]


class ShortEntries(_Lazy[Entry]):
    """Entries of records in short that follow each other."""

    @cached_property
    def records(self) -> ShortRecords:
        """The records, always the same objects."""
        return ShortRecords(self.stretches)

    @cached_property
    def _items(self) -> list[Entry]:
        records = iter(self.records)
        return [entry for stretch in self.stretches for entry in stretch.entries(records)]

    @property
    def end(self) -> Position:
        """The place behind the last one."""
        return self.stretches[-1].end

    @cached_property
    def next_seq(self) -> int:
        """One more than the highest number of a record."""
        return 1 + max(keys.highest(data) for keys, data, _ in self.stretches)


def next_seq(entries: Sequence[Entry]) -> int:
    """Return one more than the highest number of a record; 0 if there is none."""
    if isinstance(entries, ShortEntries):
        return entries.next_seq
    return max((entry.record.seq + 1 for entry in entries), default=0)


def last_time(entries: Sequence[Entry]) -> float:
    """Return when the last of some records was logged; those in short are not decoded for that."""
    if isinstance(entries, ShortEntries):
        keys, data, _ = entries.stretches[-1]
        return next(keys.heads(data[-keys.size :]))[0]
    return entries[-1].record.time
