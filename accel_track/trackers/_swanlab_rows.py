"""Hand values to a SwanLab run with the times of their calls, which `Run.log` does not take."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any


class Emitter:
    """Puts into a run's queue what `Run.log` puts there, without looking at each name again.

    Args:
        run: A `swanlab.Run`.
    """

    def __init__(self, run: Any) -> None:
        """Find the queue of a run that is not over."""
        self._run = run
        self._event: Any = None
        if not run.alive:
            return
        try:
            from swanlab.sdk.internal.bus import events

            self._lock, self._next_step = run._api_lock, run._ctx.next_step  # noqa: SLF001
            self._emit, self._validate = run._components.emitter.emit, _validator()  # noqa: SLF001
            self._event, self._time = events.MetricLogEvent, events.Timestamp
        except (ImportError, AttributeError):  # a disabled run, or a later SwanLab's
            pass

    def log(self, values: Mapping[str, Any], step: int | None, moment: float) -> None:
        """Log the values of one call; with the present time where SwanLab is not as this code knows it."""
        if self._event is None or not all(map(self._validate, values)):
            self._run.log(values, step=step)
            return
        time = self._time(seconds=int(moment), nanos=int(moment % 1 * 1e6) * 1000)
        with self._lock:
            self._emit(self._event(data=dict(values), step=self._next_step(step), timestamp=time))


@functools.cache
def _validator() -> Any:
    """Return a function that says whether SwanLab takes a name as it is."""
    from swanlab.sdk.internal.run.fmt import validate_key

    @functools.lru_cache(10_000)
    def valid(name: str) -> bool:
        try:
            return bool(validate_key(name) == name)
        except ValueError:
            return False

    return valid
