"""The writer of an MLflow run's metrics, the fast way or publicly, which reads back what a server has acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.errors import HalfStoredError
from accel_track.trackers.fast import Gate
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, served
from accel_track.trackers.mlflow.fast import DatabasePath, ServerPath
from accel_track.trackers.mlflow.metrics import Row

_MANY = 20_000
"""So many metrics are read back before more are sent; until then, they are kept."""


class MetricWriter:
    """Sends metrics of a run, and keeps those that a server has only acknowledged until they are read back.

    MLflow's acknowledgment is an empty object, which others' answers may be as well. Read back are the newest values of
    each name; where one is not there, all that were kept are sent again, of which MLflow ignores what it has.

    Args:
        tracker: Name of the tracker, for warnings.
        client: An `MlflowClient`.
        run_id: The run's id.
    """

    def __init__(self, tracker: str, client: Any, run_id: str) -> None:
        """Look for the fast way."""
        self._client, self._run_id = client, run_id
        self._served = served(client)
        self.gate: Gate[Any] = Gate(tracker, ServerPath if self._served else DatabasePath)
        self.gate.open(client)
        self._unproved: list[Row] = []

    def write(self, rows: Sequence[Row], kwargs: Mapping[str, Any]) -> None:
        """Write metrics; `kwargs` are those of `MlflowClient.log_batch`.

        Raises:
            ForeignAnswerError: What answers is no MLflow server.
        """
        from mlflow import get_active_model_id

        if kwargs or get_active_model_id() is not None:  # MLflow adds metrics to that model, too
            self._send_publicly(rows, kwargs)
            certain = False
        else:
            certain = self._send(rows)
        if self._served:
            self._unproved.extend(rows)
            if not certain or len(self._unproved) >= _MANY:
                self.prove()

    def prove(self) -> None:
        """Read back; send again what is not there.

        Raises:
            ForeignAnswerError: It is still not there, or what answers is no MLflow server.
        """
        if not self._unproved:
            return
        if self._missing() is not None:
            self._send(self._unproved)
            if (missing := self._missing()) is not None:
                what = f"the metric {missing!r}, which was sent, is not there"
                raise ForeignAnswerError(what)
        self._unproved = []

    def _send(self, rows: Sequence[Row]) -> bool:
        """Send metrics; say whether all answers were exactly MLflow's."""
        try:
            if not rows or self.gate.send(self._run_id, rows):
                return bool(getattr(self.gate.fast, "certain", True))
        except HalfStoredError:
            pass  # MLflow ignores what it has
        self._send_publicly(rows, {})
        return False

    def _send_publicly(self, rows: Sequence[Row], kwargs: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(*row) for row in rows]
        self._client.log_batch(self._run_id, metrics=metrics, **{"synchronous": True, **kwargs})

    def _missing(self) -> str | None:
        """Return the name of a metric whose newest value is not stored.

        MLflow's newest is that of the last step; after a rewind, it may be an older one, which proves nothing.
        """
        data = checked_run(self._client.get_run(self._run_id), run_id=self._run_id).data.to_proto()
        stored = {one.key: (one.step, one.timestamp) for one in data.metrics}
        newest: dict[str, tuple[int, int]] = {}
        for key, _, milliseconds, step in self._unproved:
            if key not in newest or (step, milliseconds) > newest[key]:
                newest[key] = step, milliseconds
        return next((key for key, at in newest.items() if key not in stored or stored[key] < at), None)
