"""Curves as text: a line of blocks, or a plot of braille dots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel_track.views.metric import Points

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOT_FINITE = "!"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character by column and row: Unicode's block U+2800."""


def sparkline(points: Points, width: int) -> str:
    """Return a curve as one line of blocks: the mean of each stretch of steps, ! where none of it is finite."""
    found = _stretches(points, width)
    if found is None:
        return ""
    _, _, means, counts = found
    low, span = _range(means)
    text, before = "", " "
    for mean, count in zip(means.tolist(), counts.tolist(), strict=True):
        if not math.isnan(mean):
            level = 0.5 if span == 0 else (mean - low) / span
            before = _BLOCKS[min(int(level * len(_BLOCKS)), len(_BLOCKS) - 1)]
        elif count:
            before = _NOT_FINITE
        text += before
    return text


def plot(points: Points, width: int, height: int) -> list[str]:
    """Return a curve as lines of braille; each stretch of steps is drawn from its lowest to its highest value.

    Args:
        points: The curve. Numbers that are not finite are left out.
        width: How many characters a line has.
        height: How many lines there are.
    """
    import numpy as np

    found = _stretches(points, 2 * width)
    rows = [[0] * width for _ in range(height)]
    if found is not None and bool((is_there := ~np.isnan(found[2])).any()):
        lows, highs, _, _ = found
        places = np.flatnonzero(is_there)
        low, span = _range(np.concatenate([lows, highs]))
        every = np.arange(places[0], places[-1] + 1)  # between stretches with values there is a straight line
        levels = [np.interp(every, places, each[places]) for each in (lows, highs)]
        most = 4 * height - 1
        dots = [[most // 2] * len(every) if span == 0 else np.rint((one - low) / span * most) for one in levels]
        before = None
        for column, bottom, top in zip(every.tolist(), *(map(int, one) for one in dots), strict=True):
            begin, end = bottom, top
            if before is not None:  # joined to the stretch before
                begin, end = min(begin, before[1]), max(end, before[0])
            before = bottom, top
            for level in range(begin, end + 1):
                row, dot = divmod(most - level, 4)
                rows[row][column // 2] |= _DOTS[column % 2][dot]
    return ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in rows]


def _stretches(points: Points, count: int) -> tuple[Any, Any, Any, Any] | None:
    """Return lowest, highest, mean and number of the values of each of `count` equal stretches of steps.

    The first three are NaN where a stretch has no finite value. None: there are no points, or there is no room.
    """
    import numpy as np

    if not len(points.values) or count < 1:
        return None
    steps = points.steps.astype("f8")
    first, span = steps.min(), np.ptp(steps)
    at = np.minimum((steps - first) * (count / span), count - 1).astype("i8") if span else np.zeros(len(steps), "i8")
    finite = np.isfinite(points.values)
    values, where = points.values[finite] * 0.25, at[finite]  # a quarter: the difference of two is finite, too
    lows, highs = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lows, where, values)
    np.maximum.at(highs, where, values)
    numbers = np.bincount(where, minlength=count)
    with np.errstate(all="ignore"):
        scale = np.abs(values).max(initial=0.0) or 1.0
        means = np.bincount(where, values / scale, minlength=count) / numbers * scale
        return (
            np.where(numbers, lows, np.nan),
            np.where(numbers, highs, np.nan),
            means,
            np.bincount(at, minlength=count),
        )


def _range(values: Any) -> tuple[float, float]:
    """Return the lowest of some values, and how far the highest is from it; 0.0 where there is none but NaN."""
    import numpy as np

    there = values[~np.isnan(values)]
    return (float(there.min()), float(np.ptp(there))) if len(there) else (0.0, 0.0)
