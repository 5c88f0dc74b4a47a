"""The rows of a wandb run: the values of calls, with their step as a field."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from accel_track.trackers.rows import Row
from accel_track.trackers.wandb.axis import Axis
from accel_track.trackers.wandb.fast import Rows
from accel_track.trackers.wandb.living import WandBLiving
from accel_track.trackers.wandb.names import file_names, row_names


class WandBMetrics(WandBLiving):
    """The part of the tracker that adds rows to the run."""

    axis: Axis
    """The x-axis of the run's charts; made when the run is opened."""

    def takes_object(self, value: Any) -> bool:
        """Leave to `Run.log` what it may convert."""
        # wandb leaves an empty dictionary out silently, and stores an integer that no float can hold as infinite
        return value is not None and not isinstance(value, (Mapping, int))

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Bind the arguments to `Run.log`, and check that `commit` is a truth value."""
        inspect.signature(self.tracker.log).bind({}, **kwargs)
        operator.index(kwargs.get("commit") or 0)

    def write(self, rows: Sequence[Row]) -> None:
        """Add a row for each call; those of numbers and texts that follow each other reach wandb's service together."""
        self.alive()
        for together, group in groupby(rows, lambda row: row.plain and not row.kwargs):
            some = [(row, self._named(row)) for row in group]
            for row, named in some:
                self.axis.learn(row.step, named)
            fields = [(row, {**self.axis.fields(row.step, row.time), **named}) for row, named in some]
            if not (together and self.fast(Rows).send(fields, self.stored)):
                super().write([row for row, _ in some])

    def write_row(self, row: Row) -> None:
        """Add one row or, if wandb cannot convert a value, the good ones in rows of their own."""
        log, axis, named = self.alive().log, self.axis.fields(row.step, row.time), self._named(row)
        try:
            log({**axis, **named}, **row.kwargs)
        except Exception as problem:  # converting an object may raise anything; no part of the row is kept then
            if row.plain or self.is_transient(problem):
                raise
            plain = {key: value for key, value in named.items() if isinstance(value, (float, int, str))}
            # With a list, a row even of none: wandb copies no file of a list a second time for one row.
            if plain or any(isinstance(one, (list, tuple)) for one in named.values()):
                self.taken.part("plain", partial(log, {**axis, **plain}, **row.kwargs))
            for key in [key for key in named if key not in plain]:
                self.taken.part((key,), partial(self._log_object, key, {**axis, key: named[key]}, row.kwargs))

    def _log_object(self, key: str, fields: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
        """Add a row for one object, and count it as dropped where wandb cannot convert it."""
        try:
            self.tracker.log(fields, **kwargs)
        except Exception as error:
            self.alive()  # an ended run takes no object
            if self.is_transient(error):
                raise
            self.drop(key, fields[key], str(error))

    def _named(self, row: Row) -> Mapping[str, Any]:
        named = row_names(row.values)
        return named if row.plain else file_names(named, self.import_sdk(), str(self.tracker.id))
