"""The values of an Aim run: numbers of several calls in one step, all else value by value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from accel_track.trackers.aim.fast import Number, NumbersPath
from accel_track.trackers.aim.living import AimLiving
from accel_track.trackers.aim.values import EMPTY, for_track, is_native, trackable
from accel_track.trackers.rows import Row
from accel_track.values.plain import is_number


class AimMetrics(AimLiving):
    """The part of the tracker that tracks the values of calls."""

    def takes_object(self, value: Any) -> bool:
        """Take Aim's own objects, and lists of them."""
        return is_native(value)

    def write(self, rows: Sequence[Row]) -> None:
        """Track values, numbers of several calls in one step; where a call fails, those before it are stored."""
        self.alive()
        waiting: dict[Row, list[Number]] = {}
        try:
            for row in rows:
                alone = self._alone(row)
                if any(is_number(row.values[name]) for name in alone):
                    self._store(waiting)  # which may hold earlier numbers of these names
                if alone:
                    with self.taken.within(row.record):
                        for name in alone:
                            self.taken.part(name, partial(self._track, name, row.values[name], row))
                numbers = row.values.items() if len(alone) < len(row.values) else ()
                waiting[row] = [(name, value, row.step, row.time) for name, value in numbers if name not in alone]
        finally:
            self._store(waiting)

    def _alone(self, row: Row) -> Collection[str]:
        """Return the names of the values to be tracked alone: all, where there are arguments or some are tracked."""
        if row.kwargs or self.taken.begun(row.record):
            return row.values.keys()
        names = self.fast(NumbersPath).use(lambda path: path.others(row.values))
        return row.values.keys() if names is None else names

    def _store(self, waiting: dict[Row, list[Number]]) -> None:
        """Store the numbers of several calls in one step, and forget them: if that fails, the calls come again."""
        rows = dict(waiting)
        waiting.clear()
        numbers = [number for some in rows.values() for number in some]
        steps = all(step is not None for _, _, step, _ in numbers)  # Aim replaces a step's value, else it counts on
        if numbers and not self.fast(NumbersPath).send(numbers, repeatable=steps):
            for row, some in rows.items():
                for name, value, *_ in some:
                    self._track(name, value, row)
        self.stored(*rows)

    def _track(self, name: str, value: Any, row: Row) -> None:
        """Track one value; count what Aim refuses, such as a text under a name that holds numbers."""
        arguments: dict[str, Any] = {"value": trackable(value), "name": name or EMPTY, "step": row.step}
        arguments |= for_track(row.kwargs)
        try:
            if not self.fast(NumbersPath).use(lambda path: path.track(row.time, **arguments)):
                self.tracker.track(**arguments)
        except (ValueError, OverflowError) as error:
            self.drop(name, value, str(error) or type(error).__name__)
