"""The histograms of event files, of both versions, with bins as other backends take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from accel_track.media import Histogram
from accel_track.media.histograms import MOST_BINS, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


def of_rows(array: NDArray[Any]) -> Histogram | None:
    """Return the histogram in rows of left and right edge and count, of the second version; None without numbers.

    Raises:
        ValueError: It is none.
    """
    if not array.size:
        return None
    lefts, rights, counts = array.reshape(-1, 3).astype(np.float64).T
    return _of_bins(counts, [lefts[0], *rights])


def of_proto(stored: Any) -> Histogram | None:
    """Return a histogram with the edges that are stored or, where they are none, those that TensorBoard shows.

    Those at the ends may be the greatest numbers that there are; TensorBoard leaves out empty bins there, and takes the
    least and the greatest number for the outer edges. None for one without numbers.

    Args:
        stored: A `HistogramProto`, of the first version.

    Raises:
        ValueError: It is none.
    """
    counts, limits = np.asarray(stored.bucket), list(stored.bucket_limit)
    edges = [_first_edge(stored.min, limits) if counts.any() else stored.min, *limits]
    if not (np.diff(edges) > 0).all() or max(edges) >= np.finfo(np.float64).max:
        full = np.flatnonzero(counts)
        if not full.size:
            return None
        counts, edges = counts[full[0] : full[-1] + 1], [stored.min, *limits[full[0] : full[-1]], stored.max]
    made = _of_bins(counts, edges)
    sums = {"min": stored.min, "max": stored.max, "sum": stored.sum, "sum_squares": stored.sum_squares}
    return Histogram.of_stored({**made.info, **{name: one for name, one in sums.items() if math.isfinite(one)}}, None)


def _first_edge(least: float, limits: Sequence[float]) -> float:
    """Return the first edge, which is not stored: the least number; where that is in a later bin, by the next width."""
    if len(limits) > 1 and least >= limits[0]:
        widths = np.diff(limits)
        if np.allclose(widths, widths[0], rtol=1e-3, atol=0):
            return float(limits[0] - widths[0])
    return least


def _of_bins(counts: Sequence[float] | NDArray[Any], edges: Sequence[float]) -> Histogram:
    """Return a histogram of 512 growing bins at most: those without width, and neighbours, are put together."""
    heights, limits = [float(counts[0])], [float(edges[0]), float(edges[1])]
    for count, (low, high) in zip(counts[1:], pairwise(edges[1:]), strict=True):
        if high > low:
            heights.append(float(count))
            limits.append(float(high))
        else:
            heights[-1] += float(count)
    if limits[1] <= limits[0]:  # all numbers are one
        limits[0], limits[1] = limits[0] - 0.5, max(limits[1], limits[0] + 0.5)
    each = -(-len(heights) // MOST_BINS)
    sums = [sum(heights[place : place + each]) for place in range(0, len(heights), each)]
    return Histogram.of_stored(counted(sums, [*limits[:-1:each], limits[-1]]), None)
