"""Suspects: records that failed alone, until it shows whether that is their fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accel_track.journal.entries import Entry
from accel_track.records import AnyRecord
from accel_track.trackers.errors import concerns_record

FEW = 3
"""The number of records in a row that may fail before the run is taken for the cause, and waited for."""

_PATIENCE = 2
"""The number of repetitions for the last record of a run if its error may have another cause."""

_SHORTEST, _LONGEST = 0.5, 30.0
"""Seconds between two tries; they double."""


class Part(NamedTuple):
    """A record of a batch, what of it can be delivered, and the names of what cannot.

    Attributes:
        foreign: Whether the record is for other trackers.
    """

    entry: Entry
    whole: AnyRecord | None
    lacking: Sequence[str] = ()
    foreign: bool = False


class Suspect(NamedTuple):
    """A record that failed alone, or that is behind one and has nothing to be delivered (no error)."""

    part: Part
    error: Exception | None


class Suspects:
    """The records, one behind the other, that a backend did not take, while it has taken none behind them.

    If it takes a later one, they are guilty. If it refuses record after record, it is not their fault: then the first
    is tried again, with pauses that double, and a few more are allowed to fail after each.
    """

    def __init__(self) -> None:
        """Begin without held records."""
        self.held: list[Suspect] = []
        self._allowed = FEW
        self._tries = 0

    def add(self, part: Part, error: Exception | None) -> None:
        """Hold a record."""
        self.held.append(Suspect(part, error))

    @property
    def errors(self) -> list[Exception]:
        """The errors of the held records."""
        return [one.error for one in self.held if one.error is not None]

    @property
    def many(self) -> bool:
        """Whether more have failed than may before a pause."""
        return len(self.held) >= self._allowed

    @property
    def pause(self) -> float:
        """The wait before the first one is tried again, in seconds."""
        return float(min(_LONGEST, _SHORTEST * 2**self._tries))

    def failed_again(self, error: Exception) -> None:
        """Note that the first one was tried again in vain."""
        self.held[0] = self.held[0]._replace(error=error)
        self._tries += 1
        self._allowed = max(self._allowed, len(self.held)) + FEW

    def release(self) -> list[Suspect]:
        """Return the held records, and hold none."""
        released, self.held = self.held, []
        self._allowed, self._tries = FEW, 0
        return released

    def guilty(self, *, taken: bool) -> bool:
        """Return whether the held records are at fault, if no record follows that could show it.

        Args:
            taken: Whether the backend has taken a record before.
        """
        alone = len(self.errors) == 1
        if all(concerns_record(error) for error in self.errors):
            return alone or (taken and len(self.errors) < FEW)
        return alone and taken and self._tries >= _PATIENCE
