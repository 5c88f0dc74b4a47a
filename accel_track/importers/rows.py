"""Rows: calls of the same names, all of numbers, a column for each; what a table quickly becomes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from accel_track.records import Metrics
from accel_track.trackers.backend_run import BackendRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Rows(NamedTuple):
    """Some calls that follow each other.

    Attributes:
        names: The names, in their order in each call.
        columns: The values by name, of float64 or int64; as many for each name, at least one.
        steps: The steps, of int64 and 0 or more; None if the calls have none.
        moments: When each was logged, in seconds since 1970-01-01 UTC, of float64.
    """

    names: tuple[str, ...]
    columns: list[NDArray[np.float64] | NDArray[np.int64]]
    steps: NDArray[np.int64] | None
    moments: NDArray[np.float64]

    @property
    def time(self) -> float:
        """The time of the first call."""
        return float(self.moments[0])

    @property
    def calls(self) -> int:
        """The number of calls."""
        return len(self.moments)

    @property
    def types(self) -> tuple[type, ...]:
        """The types of the values, in the order of the names."""
        return tuple(float if column.dtype.kind == "f" else int for column in self.columns)

    def record(self, place: int) -> Metrics:
        """Return one of the calls."""
        values = {name: column[place].item() for name, column in zip(self.names, self.columns, strict=True)}
        step = None if self.steps is None else int(self.steps[place])
        return Metrics(-1, float(self.moments[place]), values, step)

    def records(self) -> list[Metrics]:
        """Return the calls."""
        return [self.record(place) for place in range(self.calls)]


class BatchedRun(BackendRun):
    """A run whose source has rows, of which many become records together."""

    @abstractmethod
    def batches(self) -> Iterator[Metrics | Rows]:
        """Yield the same records, with rows of numbers together."""

    def records(self, scratch: Path) -> Iterator[Metrics]:
        """Yield a call for each row that has values."""
        for one in self.batches():
            if isinstance(one, Rows):
                yield from one.records()
            else:
                yield one
