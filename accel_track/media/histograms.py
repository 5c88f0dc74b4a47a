"""Histograms: the counts of numbers in bins of equal width, made in the call."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from accel_track.media.pixels import number_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_BINS = 512
"""The most bins that a histogram has: as many as wandb and Trackio take."""

MANY = 65_536
"""The size from which numbers are counted after the call that logs them: writing them takes less time than counting."""

_BLOCK = 65_536
_HUGE, _SMALLER = 2.0**1012, 2.0**-12
"""The magnitude from which on numbers are made smaller before they are sorted, and by how much."""

_NOT_FINITE = "a histogram needs a finite number."


def histogram(values: Any, bins: int) -> dict[str, Any]:
    """Return the histogram of numbers: counts, edges, and what else backends keep of one.

    Args:
        values: An array, tensor or list of any shape. NaN and infinities are counted apart.
        bins: How many bins there are.

    Raises:
        ValueError: There is no finite number, or `bins` is none of 1 to 512.
        TypeError: They are no numbers.
    """
    import numpy as np

    check_bins(bins)
    array = number_array(values, "a histogram is made of numbers").reshape(-1)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    elif array.dtype.itemsize == 2:  # noqa: PLR2004 - a float16's sum overflows, and its bins are too narrow
        array = array.astype(np.float32)
    given = array.size
    # NaN is the least and the greatest of numbers of which it is one.
    if given and not (math.isfinite(array.min()) and math.isfinite(array.max())):
        array = array[np.isfinite(array)]
    if not array.size:
        message = _NOT_FINITE if given else "a histogram needs numbers; got none."
        raise ValueError(message)
    low, high = float(array.min()), float(array.max())
    counts, edges = _in_bins(array, bins, low, high)
    total, squares = _sums(array)
    return {
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "min": low,
        "max": high,
        "sum": total,
        "sum_squares": squares,
        "not_finite": given - array.size,
    }


def _in_bins(array: NDArray[Any], bins: int, low: float, high: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return counts and edges; where numbers are too close for so many bins of their type, the bins are wider."""
    import numpy as np

    largest = max(-low, high)
    if largest > _HUGE:
        counts, edges = _in_bins(array.astype(np.float64) * _SMALLER, bins, low * _SMALLER, high * _SMALLER)
        with np.errstate(over="ignore"):
            edges = edges / _SMALLER
        if np.isfinite(edges).all():
            return counts, edges
    else:
        room = max(0.5, float(np.spacing(largest)) * bins)
        fits = largest < float(np.finfo(array.dtype).max) * _SMALLER  # else a step on the way would be infinite
        for kind, limits in (
            (array.dtype if fits else np.float64, (low, high)),
            (np.float64, (low, high)),
            (np.float64, (low - room, high + room)),
        ):
            with contextlib.suppress(ValueError):
                if limits[0] < limits[1]:
                    return np.histogram(array.astype(kind, copy=False), bins, limits)
    message = f"numbers from {low:g} to {high:g} cannot be sorted into {bins} bins."
    raise ValueError(message)


def _sums(array: NDArray[Any]) -> tuple[float, float]:
    """Return the sum of numbers and of their squares, in double precision, without a copy of all of them."""
    import numpy as np

    total = squares = 0.0
    for begin in range(0, len(array), _BLOCK):
        block = array[begin : begin + _BLOCK].astype(np.float64)
        with np.errstate(over="ignore"):
            total += float(block.sum())
            squares += float(block @ block)
    return total, squares


def to_be_counted(values: Any, bins: int) -> NDArray[Any] | None:
    """Return numbers that are so many that they are better counted after the call; None if they are not.

    They are those that were given, not copied.

    Raises:
        ValueError: `bins` is none of 1 to 512, or there is no finite number.
        TypeError: They are no numbers.
    """
    import numpy as np

    check_bins(bins)
    array = number_array(values, "a histogram is made of numbers")
    if array.size < MANY or array.dtype.kind not in "iuf" or not array.dtype.isnative:
        return None
    array = np.ascontiguousarray(array).reshape(-1)
    # To look at all numbers takes as long as to write them.
    if not np.isfinite(array[0]) and not np.isfinite(array).any():
        raise ValueError(_NOT_FINITE)
    return array


def counted(counts: Any, edges: Any) -> dict[str, Any]:
    """Return the histogram of numbers that somebody has counted.

    Args:
        counts: How many numbers are in each bin.
        edges: The bins' edges, one more than there are counts, growing.

    Raises:
        ValueError: There is not one edge more than there are counts, they do not grow, or a count is negative.
        TypeError: They are no numbers.
    """
    import numpy as np

    heights = number_array(counts, "counts are numbers").reshape(-1).astype(np.float64)
    limits = number_array(edges, "edges are numbers").reshape(-1).astype(np.float64)
    check_bins(len(heights))
    if len(limits) != len(heights) + 1 or not (np.diff(limits) > 0).all() or not np.isfinite(limits).all():
        message = f"a histogram of {len(heights)} counts needs {len(heights) + 1} growing edges; got {len(limits)}."
        raise ValueError(message)
    if not (heights >= 0).all() or not np.isfinite(heights).all():
        message = "the counts of a histogram are finite numbers, 0 or more."
        raise ValueError(message)
    middles = (limits[1:] + limits[:-1]) / 2
    return {
        "counts": [int(height) if height.is_integer() else height for height in heights.tolist()],
        "edges": limits.tolist(),
        "min": float(limits[0]),
        "max": float(limits[-1]),
        "sum": float(np.dot(heights, middles)),
        "sum_squares": float(np.dot(heights, middles**2)),
        "not_finite": 0,
    }


def check_bins(bins: Any) -> int:
    """Return a number of bins that can be.

    Raises:
        ValueError: It is none of 1 to 512.
    """
    if type(bins) is not int or not 1 <= bins <= MOST_BINS:
        message = f"`bins` is a number from 1 to {MOST_BINS}; got {bins!r}."
        raise ValueError(message)
    return bins


def quantile(counts: Sequence[float], edges: Sequence[float], share: float) -> float:
    """Return the number below which a share of a histogram lies, as if the numbers of a bin lay evenly in it."""
    wanted, below = share * sum(counts), 0.0
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count and below + count >= wanted:
            return low + (high - low) * (wanted - below) / count
        below += count
    return edges[-1]
