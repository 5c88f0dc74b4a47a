"""Downsampling: the points of a curve that keep its look, and each of its extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def kept(values: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the indices of the points to draw, ascending: all, if there are no more than `limit`.

    This is M4 (Jugel, Jerzak, Hackenbroich and Markl, "M4: A Visualization-Oriented Time Series Data Aggregation",
    Proceedings of the VLDB Endowment 7(10), 2014): of each group of points, the first, the last, the smallest and the
    largest. Groups are of equally many points that follow each other, and not of equal width on the axis, since one
    choice has to do for several axes, and since steps may be far apart, repeated, or go back. Of each group with a
    number that is not finite, the first such is kept, too: where a curve breaks off is seen.

    Args:
        values: The numbers, of shape (n,), in the order in which they are joined.
        limit: About how many points to keep, at least 4; those that are not finite come on top.
    """
    count, groups = len(values), max(1, limit // 4)
    if count <= limit:
        return np.arange(count)
    size = -(-count // groups)
    whole = np.full(-(-count // size) * size, np.nan)
    whole[:count] = values
    rows = whole.reshape(-1, size)
    broken = ~np.isfinite(rows)
    broken.reshape(-1)[count:] = False
    low = np.where(np.isfinite(rows), rows, np.inf).argmin(axis=1)
    high = np.where(np.isfinite(rows), rows, -np.inf).argmax(axis=1)
    begins = np.arange(len(rows)) * size
    ends = np.minimum(begins + size, count) - 1
    return np.unique(np.concatenate([begins, begins + low, begins + high, ends, begins + broken.argmax(axis=1)]))
