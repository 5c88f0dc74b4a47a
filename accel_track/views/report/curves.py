"""The curves of a report: few points of each, as a page reads them."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from accel_track.views.downsampling import kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accel_track.views.metric import Points

MOST_RANKS = 8
"""The number of ranks of a run with curves."""
_POINTS = 250_000
_FEWEST, _MOST = 40, 1000


def limit_of(curves: int) -> int:
    """Return how many points each curve gets, so that a page of many is no file of many megabytes."""
    return max(_FEWEST, min(_MOST, _POINTS // max(1, curves)))


def curve(rank: int, points: Points, begin: float, limit: int, since: int = 0) -> dict[str, Any]:
    """Return the points of a curve from a place on, for a page.

    Numbers are in base64 of little-endian bytes: `x` the steps, `t` the seconds since the run's beginning, `y` the
    values, each with its type as NumPy writes it: "i4", "f4" or "f8".

    Args:
        rank: The rank that logged them.
        points: All points of the curve.
        begin: When the run began, in seconds since 1970-01-01 UTC.
        limit: About how many points to keep.
        since: How many points the page has already seen.
    """
    where = kept(points.values[since:], limit) + since
    steps, times, values = points.steps[where], points.times[where] - begin, points.values[where]
    return {
        "rank": rank,
        "since": since,
        "x": _packed(steps, "i4" if _fits(steps) else "f8"),
        "t": _packed(times, "f4"),
        "y": _packed(values, "f4" if _looks_the_same(values) else "f8"),
    }


def _fits(steps: NDArray[np.int64]) -> bool:
    return not len(steps) or (int(steps.min()) >= -(2**31) and int(steps.max()) < 2**31)


def _looks_the_same(values: NDArray[np.float64]) -> bool:
    """Return whether 32 bits have six digits of each number, and no step of theirs is seen between the extremes."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return True
    with np.errstate(over="ignore", under="ignore"):
        errors = np.abs(finite.astype(np.float32).astype(np.float64) - finite)
    span = float(finite.max() / 2 - finite.min() / 2) * 2  # halves, since the span may be beyond all floats
    return bool((errors <= np.abs(finite) * 1e-6).all() and (span == 0 or errors.max() <= span * 1e-4))


def _packed(numbers: NDArray[Any], kind: str) -> list[str]:
    with np.errstate(over="ignore"):
        return [kind, b64encode(numbers.astype(f"<{kind}").tobytes()).decode()]
