"""The metric: all that a run logged under one name, in short and as points."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Last(NamedTuple):
    """The value that was logged last, as it was: a number, a text, a list, ….

    Attributes:
        value: The value.
        step: Training step, or None.
        time: Wall-clock time in seconds since 1970-01-01 UTC.
        rank: The rank that logged it.
    """

    value: Any
    step: int | None
    time: float
    rank: int


class At(NamedTuple):
    """A number and where it was logged.

    Attributes:
        value: The number.
        step: Training step, or None.
    """

    value: float
    step: int | None


class Places(NamedTuple):
    """The places of one rank's values.

    Attributes:
        seqs: Numbers of their records, ascending.
        steps: Training steps; -1 for none.
        times: Seconds since 1970-01-01 UTC.
    """

    seqs: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]

    def where(self, which: NDArray[Any]) -> Places:
        """Return the places of a mask, or of indices in their order."""
        return Places(self.seqs[which], self.steps[which], self.times[which])


class Points(NamedTuple):
    """The curve of a metric; three arrays of one length.

    Attributes:
        steps: Training steps; of values without a step, the numbers of their records.
        times: Seconds since 1970-01-01 UTC.
        values: The numbers; also NaN and infinities.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


class _Curve:
    """The points of one rank, as they came."""

    __slots__ = ("seqs", "steps", "times", "values")

    def __init__(self) -> None:
        self.seqs, self.steps = array("q"), array("q")
        self.times, self.values = array("d"), array("d")

    def add(self, places: Places, values: NDArray[np.float64]) -> None:
        self.seqs.frombytes(places.seqs.tobytes())
        self.steps.frombytes(places.steps.tobytes())
        self.times.frombytes(places.times.tobytes())
        self.values.frombytes(values.tobytes())

    def points(self) -> Points:
        import numpy as np

        steps, seqs = np.array(self.steps, "i8"), np.array(self.seqs, "i8")
        return Points(np.where(steps < 0, seqs, steps), np.array(self.times, "f8"), np.array(self.values, "f8"))


class Metric:
    """All values that were logged under one name.

    Args:
        keeps_points: Whether the points are kept; the other attributes are there in any case.

    Attributes:
        last: The last value, of the rank that logged last.
        count: How many numbers were logged.
        minimum: The first smallest finite number, or None.
        maximum: The first largest finite number, or None.
        not_finite: How many numbers were NaN or infinite.
        first_not_finite: The first of these, or None.
    """

    def __init__(self, *, keeps_points: bool = True) -> None:
        """Hold nothing yet."""
        self.last: Last | None = None
        self.count = self.not_finite = 0
        self.minimum: At | None = None
        self.maximum: At | None = None
        self.first_not_finite: At | None = None
        self._keeps_points = keeps_points
        self._curves: dict[int, _Curve] = {}
        self._last_seqs: dict[int, int] = {}

    @property
    def ranks(self) -> list[int]:
        """The ranks that logged it."""
        return sorted(self._last_seqs)

    def note(self, last: Last, seq: int) -> None:
        """Keep a value as the last one, unless a later record of its rank, or a later moment of another, had one."""
        if seq < self._last_seqs.get(last.rank, -1):
            return
        self._last_seqs[last.rank] = seq
        if self.last is None or last.rank == self.last.rank or last.time >= self.last.time:
            self.last = last

    def add(self, rank: int, places: Places, values: NDArray[np.float64]) -> None:
        """Add numbers of a rank, which come after all that were added of it."""
        import numpy as np

        self.count += len(values)
        is_finite = np.isfinite(values)
        if not (all_finite := bool(is_finite.all())):
            self.not_finite += int(np.count_nonzero(~is_finite))
            if self.first_not_finite is None:
                self.first_not_finite = _at(places, values, int(np.argmin(is_finite)))
        finite = values if all_finite else values[is_finite]
        if len(finite):
            where = places if all_finite else places.where(is_finite)
            low, high = _at(where, finite, int(finite.argmin())), _at(where, finite, int(finite.argmax()))
            self.minimum = low if self.minimum is None or low.value < self.minimum.value else self.minimum
            self.maximum = high if self.maximum is None or high.value > self.maximum.value else self.maximum
        if self._keeps_points:
            self._curves.setdefault(rank, _Curve()).add(places, values)

    def points(self, rank: int | None = None) -> Points:
        """Return the curve of a rank in the order of its records; empty if it has none, or none is kept.

        Args:
            rank: The rank; None: of the first rank that logged numbers.
        """
        if rank is None:
            rank = min(self._curves, default=0)
        return self._curves.get(rank, _Curve()).points()


def _at(places: Places, values: NDArray[np.float64], index: int) -> At:
    step = int(places.steps[index])
    return At(float(values[index]), None if step < 0 else step)
