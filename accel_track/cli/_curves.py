"""Curves as text, from the means of equal stretches of steps: a line of blocks, or a plot of braille dots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from accel_track.views.metric import Points

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOT_FINITE = "!"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character by column and row: Unicode's block U+2800."""


class Plot(NamedTuple):
    """A drawn curve.

    Attributes:
        lines: Its lines, the highest first.
        low: The value at the lowest dot.
        high: The value at the highest dot.
    """

    lines: list[str]
    low: float
    high: float


def sparkline(points: Points, width: int) -> str:
    """Return a curve as one line of blocks, and "!" where none of its numbers is finite; empty if there is none."""
    if not len(points.values) or width < 1:
        return ""
    means, counts, _ = _means(points, width)
    low, span = _range(means)
    text, before = "", " "
    for mean, count in zip(means.tolist(), counts.tolist(), strict=True):
        if not math.isnan(mean):
            level = (mean - low) / span if span else 0.5
            before = _BLOCKS[min(int(level * len(_BLOCKS)), len(_BLOCKS) - 1)]
        elif count:
            before = _NOT_FINITE
        text += before  # where nothing was logged, it stays
    return text


def plot(points: Points, width: int, height: int) -> Plot | None:
    """Return a curve as lines of braille, with straight lines between what was logged; None if nothing is finite.

    Args:
        points: The curve.
        width: How many characters a line has.
        height: How many lines there are.
    """
    import numpy as np

    if not np.isfinite(points.values).any() or width < 1 or height < 1:
        return None
    means, _, scale = _means(points, 2 * width)
    places = np.flatnonzero(~np.isnan(means))
    low, span = _range(means)
    rows = [[0] * width for _ in range(height)]
    most, before = 4 * height - 1, None
    every = np.arange(places[0], places[-1] + 1)
    levels = np.interp(every, places, (means[places] - low) / (span or 1.0) * most) if span else 0 * every + most // 2
    for column, level in zip(every.tolist(), np.rint(levels).astype(int).tolist(), strict=True):
        begin = level if before is None else before + (level > before) - (level < before)
        for drawn in range(min(begin, level), max(begin, level) + 1):
            row, dot = divmod(most - drawn, 4)
            rows[row][column // 2] |= _DOTS[column % 2][dot]
        before = level
    lines = ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in rows]
    return Plot(lines, low * scale, (low + span) * scale)


def _means(points: Points, count: int) -> tuple[Any, Any, float]:
    """Return the mean of each of `count` equal stretches of steps, the number of its values, and what 1.0 stands for.

    Only finite numbers are in a mean, which is NaN where there is none, and -1.0 to 1.0 else: so the difference of two
    is finite, too.
    """
    import numpy as np

    steps = points.steps.astype("f8")
    first, span = steps.min(), np.ptp(steps)
    at = np.minimum((steps - first) * (count / span), count - 1).astype("i8") if span else np.zeros(len(steps), "i8")
    finite = np.isfinite(points.values)
    where, values = at[finite], points.values[finite]
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):  # 0 / 0
        means = np.bincount(where, values / scale, minlength=count) / np.bincount(where, minlength=count)
    return means, np.bincount(at, minlength=count), scale


def _range(values: Any) -> tuple[float, float]:
    """Return the lowest of some values, and how far the highest is from it; 0.0 if there is none but NaN."""
    import numpy as np

    there = values[~np.isnan(values)]
    return (float(there.min()), float(np.ptp(there))) if len(there) else (0.0, 0.0)
