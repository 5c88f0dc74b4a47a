"""Calls of `log`, put together again from values that a backend keeps one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from accel_track.records import Artifact, Metrics

Point = tuple[float, int | None, str, Any]
"""Time, step, name and value."""

OF_ONE_CALL = 0.05
"""Seconds from the first to the last value of one call, where a backend notes the time of each."""


def calls(points: Iterable[Point], within: float = math.inf) -> Iterator[Metrics | Artifact]:
    """Yield the values of calls: neighbours of one step with different names, at the time of the first.

    A value that is an artifact is yielded as it is.

    Args:
        points: The values, in their order.
        within: Seconds that may be between the first value of a call and the others.
    """
    values: dict[str, Any] = {}
    first, of_step = 0.0, None
    for time, step, name, value in points:
        if isinstance(value, Artifact):
            yield value
            continue
        if values and (step != of_step or name in values or not 0 <= time - first <= within):
            yield Metrics(-1, first, values, step=of_step)
            values = {}
        if not values:
            first, of_step = time, step
        values[name] = value
    if values:
        yield Metrics(-1, first, values, step=of_step)
