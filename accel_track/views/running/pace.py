"""The pace of a run: how many steps a second, and how far it is of those that its hyperparameters name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from accel_track.views.content import Content
    from accel_track.views.metric import Points

_LATELY = 30.0
"""Seconds that "now" goes back, at least as far as to the last point but one."""
_QUIET = 3.0
"""A run whose next point is this many times as late as usual stands still, after `_LATELY` at the least."""

_TOTALS = frozenset(("max_steps", "total_steps", "num_training_steps", "train_steps", "max_iters"))
"""Names under which hyperparameters have the number of steps; Lightning's, transformers', and those of plain loops."""


class Pace(NamedTuple):
    """Steps of a run a second.

    Attributes:
        now: Over the last 30 seconds, or between the last two points where these are further apart; 0.0 if the
            next point is late; None if it cannot be told.
        mean: From the first point to the last one, pauses between two processes included; None as for `now`.
        unit: "steps"; "values" where the metric is logged without step: then its values are counted.
    """

    now: float | None = None
    mean: float | None = None
    unit: str = "steps"


def pace_of(points: Points, now: float, *, stepped: bool = True) -> Pace:
    """Return the pace of a run by the curve of a metric that it logs often.

    Args:
        points: The curve.
        now: Wall-clock time in seconds since 1970-01-01 UTC.
        stepped: Whether the metric is logged with steps.
    """
    import numpy as np

    steps, times, _ = points
    count, unit = len(times), "steps" if stepped else "values"
    if count < 2:  # noqa: PLR2004
        return Pace(unit=unit)
    steps = steps if stepped else np.arange(count)
    begin = max(0, min(int(np.searchsorted(times, now - _LATELY)), count - 2))
    last = float(times[-1])
    usual = (last - float(times[begin])) / (count - 1 - begin)
    late = now - last > max(_LATELY, _QUIET * usual)
    return Pace(0.0 if late else _rate(steps, times, begin), _rate(steps, times, 0), unit)


def _rate(steps: Any, times: Any, begin: int) -> float | None:
    done, seconds = float(steps[-1]) - float(steps[begin]), float(times[-1] - times[begin])
    return done / seconds if seconds > 0 and done >= 0 and math.isfinite(seconds) else None


def latest_step(content: Content) -> int | None:
    """Return the highest step among the last ones of all metrics."""
    steps = (one.last.step for one in content.metrics.values() if one.last is not None and one.last.step is not None)
    return max(steps, default=None)


def total_steps(config: Mapping[str, Any]) -> int | None:
    """Return how many steps a training is to have, where its hyperparameters name one positive number for it."""
    found = {int(value) for name, value in _leaves(config) if name in _TOTALS and _is_count(value)}
    return found.pop() if len(found) == 1 else None


def _is_count(value: Any) -> bool:
    """Return whether it is a positive whole number; Lightning's -1 stands for no end."""
    return type(value) in (int, float) and value > 0 and math.isfinite(value) and value == int(value)


def _leaves(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    waiting = [values]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, Mapping):
                waiting.append(value)
            else:
                yield name, value
