"""The metrics of an MLflow run: calls of `log` under names that MLflow takes, sent, and read back from a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, served
from accel_track.trackers.mlflow.fast import DatabasePath, ServerPath, Value
from accel_track.trackers.names import safe_name
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import check_step

# The alphabet of `mlflow.utils.validation`.
_NOT_IN_NAMES = r"[^\w.\- ]" if os.name == "nt" else r"[^\w.\- :]"
_NAME_LENGTH = 250

_MANY = 20_000
"""So many values are read back before more are sent; until then, they are kept."""


@lru_cache(maxsize=65536)
def mlflow_name(key: str) -> str:
    """Return the name of a metric or param as MLflow takes it."""
    return safe_name(key, _NOT_IN_NAMES, _NAME_LENGTH)


class MLflowMetrics(SDKTracker):
    """The part of the tracker that stores values of `log`.

    MLflow's acknowledgment is an empty object, which others' answers may be as well. So values that a server has
    acknowledged are kept until the newest of each name is read back; where one is not there, all that were kept are
    sent again, of which MLflow ignores what it has.
    """

    client: Any
    """The `MlflowClient`, once the tracker was started."""

    run_id: str | None
    """The run's id, once the tracker was started."""

    _unproved: list[Value]

    _database: Path | None = None
    """The run's SQLite file, if it is in one."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write metrics of several calls, at step 0 if there is none: to a SQLite database all at once.

        To a server up to 1000 go in a request, which MLflow takes as a whole or not at all. Of several requests, the
        first may be stored when a later one fails; repeating them is harmless, since MLflow ignores what it has.

        Raises:
            EndedError: The SQLite file is gone; MLflow would begin another one, without the run.
        """
        self.check_database()
        for kwargs, group in groupby(rows, lambda row: row.kwargs):
            values = [value for row in group for value in _values(row)]
            certain = self._send(values, kwargs)
            if served(self.client):
                self._unproved.extend(values)
                if not certain or len(self._unproved) >= _MANY:
                    self.flush()

    def check_database(self) -> None:
        """Check that the SQLite file, if the run is in one, is still there.

        Raises:
            EndedError: It is gone.
        """
        if self._database is not None:
            self.check_place(self._database)

    def flush(self) -> None:
        """Read back the newest values from a server, and send again what it lacks.

        Raises:
            ForeignAnswerError: A value is still not there, or what answers is no MLflow server.
        """
        if self.native is None or not self._unproved:
            return
        if self._missing() is not None:
            self._send(self._unproved, {})
            if (missing := self._missing()) is not None:
                what = f"the metric {missing!r}, which was sent, is not there"
                raise ForeignAnswerError(what)
        self._unproved = []

    def _send(self, values: Sequence[Value], kwargs: Mapping[str, Any]) -> bool:
        """Send values, with arguments of `MlflowClient.log_batch`; say whether all answers were exactly MLflow's."""
        from mlflow import get_active_model_id  # pyright: ignore[reportAttributeAccessIssue]
        from mlflow.entities import Metric

        if not kwargs and get_active_model_id() is None:  # else MLflow adds metrics to that model, too
            for gate in (self.fast(DatabasePath), self.fast(ServerPath)):
                if gate.send(self.run_id, values, repeatable=True):
                    return bool(getattr(gate.fast, "certain", True))
        metrics = [Metric(*value) for value in values]
        self.client.log_batch(self.run_id, metrics=metrics, **{"synchronous": True, **kwargs})
        return False

    def _missing(self) -> str | None:
        """Return the name of a metric whose newest value is not stored.

        MLflow's newest is that of the last step; after a rewind, it may be an older one, which proves nothing.
        """
        data = checked_run(self.client.get_run(self.run_id), run_id=self.run_id).data.to_proto()
        stored = {one.key: (one.step, one.timestamp) for one in data.metrics}
        newest: dict[str, tuple[int, int]] = {}
        for name, _, milliseconds, step in self._unproved:
            newest[name] = max(newest.get(name, (0, 0)), (step, milliseconds))
        return next((name for name, at in newest.items() if name not in stored or stored[name] < at), None)


def _values(row: Row) -> list[Value]:
    """Return the values of one call.

    Raises:
        ValueError: The step is none that a database takes; MLflow's server would store the values at step 0.
    """
    milliseconds, step = int(row.time * 1000), check_step(row.step) or 0
    return [(mlflow_name(name), float(value), milliseconds, step) for name, value in row.values.items()]
