"""The memory: records that are not, or not in full, on disk, and the outage that keeps them there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from accel_track.records import AnyRecord

MOST_BYTES = 256 * 1024 * 1024
"""The bytes of the arrays of all records in memory, at most; a later worker gets the rest of their records."""


class Kept(NamedTuple):
    """A record in memory.

    Attributes:
        record: The record, with a copy of its values.
        on_disk: Whether it is on disk too, without the objects in it that have no portable form.
        waits: Whether it is to be written as soon as the disk takes records again.
        size: Bytes of the arrays in it.
    """

    record: AnyRecord
    on_disk: bool
    waits: bool = False
    size: int = 0


class Memory:
    """The latest records that are not in full on disk, for workers of this process. Callers hold the journal's lock.

    Args:
        limit: How many are kept.
    """

    def __init__(self, limit: int) -> None:
        """Begin without any."""
        self.kept: deque[Kept] = deque()
        self.lost = 0
        """The number of records that were given up, are nowhere else, and were not with every worker."""
        self._limit = limit
        self._handled = 0

    def keep(self, one: Kept) -> None:
        """Keep a record; give up the oldest ones where there are too many, or their arrays too large."""
        size = sum(other.size for other in tuple(self.kept)) + one.size if one.size else 0
        while self.kept and (len(self.kept) >= self._limit or size > MOST_BYTES):
            size -= self.kept[0].size
            oldest = self.kept.popleft()
            self.lost += not oldest.on_disk and oldest.record.seq >= self._handled
        self.kept.append(one)

    def since(self, seq: int) -> list[Kept]:
        """Return the records from a number on."""
        return [one for one in tuple(self.kept) if one.record.seq >= seq]

    def forget(self, before: int) -> None:
        """Release the records with lower numbers, but for those that wait: every worker has delivered them."""
        self._handled = before
        if self.kept and self.kept[0].record.seq < before:
            self._change(lambda one: one if one.waits or one.record.seq >= before else None)

    def write(self, most: int, write: Callable[[AnyRecord], bool]) -> int:
        """Give the oldest waiting records to be written; return the number of the others.

        Args:
            most: How many to write.
            write: Writes one; returns whether that is all of it.

        Raises:
            OSError: One cannot be written.
        """
        waiting = sorted((one for one in tuple(self.kept) if one.waits), key=lambda one: one.record.seq)
        written: dict[int, Kept | None] = {}
        try:
            for one in waiting[:most]:
                written[one.record.seq] = None if write(one.record) else one._replace(on_disk=True, waits=False)
        finally:
            self._change(lambda one: written.get(one.record.seq, one))
        return len(waiting) - len(written)

    def _change(self, change: Callable[[Kept], Kept | None]) -> None:
        """Replace or remove what is kept, in place: a signal handler may keep a record meanwhile."""
        for _ in range(len(self.kept)):
            if (one := change(self.kept.popleft())) is not None:
                self.kept.append(one)


LONGEST_PAUSE = 30.0
"""Seconds between two tries to write again, at most."""


class Outage:
    """The time in which the disk takes no records: whether it lasts, and when to try again, after growing pauses.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without an outage."""
        self.lasts = False
        self._clock = clock
        self._pause = self._again_at = 0.0

    def begin(self) -> None:
        """Note that a write has failed."""
        self.lasts = True
        self._pause, self._again_at = 1.0, 0.0

    def due(self, *, at_once: bool = False) -> bool:
        """Return whether the outage lasts and a try is due, or `at_once` asks for it; the next try is later."""
        now = self._clock()
        if not self.lasts or (now < self._again_at and not at_once):
            return False
        self._again_at, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return True

    def end(self) -> None:
        """Note that the disk takes records."""
        self.lasts = False
