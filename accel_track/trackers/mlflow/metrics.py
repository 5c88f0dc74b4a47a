"""The metrics of an MLflow run: calls of `log` under names that MLflow takes, sent, and read back from a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from accel_track.errors import HalfStoredError
from accel_track.trackers.fast import Gate
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, served
from accel_track.trackers.mlflow.fast import Value
from accel_track.trackers.names import safe_name
from accel_track.trackers.rows import Row
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


def values_of(row: Row) -> list[Value]:
    """Return the values of one call.

    Raises:
        ValueError: The step is none that a database takes; MLflow's server would store the values at step 0.
    """
    milliseconds, step = int(row.time * 1000), check_step(row.step) or 0
    return [(mlflow_name(name), float(value), milliseconds, step) for name, value in row.values.items()]


class MetricWriter:
    """Sends values of a run's metrics, and keeps those that a server has only acknowledged until they are read back.

    MLflow's acknowledgment is an empty object, which others' answers may be as well. Read back are the newest values of
    each name; where one is not there, all that were kept are sent again, of which MLflow ignores what it has.

    Args:
        client: An `MlflowClient`.
        run_id: The run's id.
        gates: The fast ways, of which one at most is for this client.
    """

    def __init__(self, client: Any, run_id: str, gates: Sequence[Gate[Any]]) -> None:
        """Open the gates."""
        self._client, self._run_id, self._gates = client, run_id, gates
        self._unproved: list[Value] = []
        for gate in gates:
            gate.open(client)

    def write(self, values: Sequence[Value], kwargs: Mapping[str, Any]) -> None:
        """Write values; `kwargs` are those of `MlflowClient.log_batch`.

        Raises:
            ForeignAnswerError: What answers is no MLflow server.
        """
        from mlflow import get_active_model_id

        if kwargs or get_active_model_id() is not None:  # MLflow adds metrics to that model, too
            self._send_publicly(values, kwargs)
            certain = False
        else:
            certain = self._send(values)
        if served(self._client):
            self._unproved.extend(values)
            if not certain or len(self._unproved) >= _MANY:
                self.prove()

    def prove(self) -> None:
        """Read back; send again what is not there.

        Raises:
            ForeignAnswerError: It is still not there, or what answers is no MLflow server.
        """
        if self._unproved and self._missing() is not None:
            self._send(self._unproved)
            if (missing := self._missing()) is not None:
                what = f"the metric {missing!r}, which was sent, is not there"
                raise ForeignAnswerError(what)
        self._unproved = []

    def _send(self, values: Sequence[Value]) -> bool:
        """Send values; say whether all answers were exactly MLflow's."""
        try:
            for gate in self._gates:
                if gate.send(self._run_id, values):
                    return bool(getattr(gate.fast, "certain", True))
        except HalfStoredError:
            pass  # MLflow ignores what it has
        self._send_publicly(values, {})
        return False

    def _send_publicly(self, values: Sequence[Value], kwargs: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(*value) for value in values]
        self._client.log_batch(self._run_id, metrics=metrics, **{"synchronous": True, **kwargs})

    def _missing(self) -> str | None:
        """Return the name of a metric whose newest value is not stored.

        MLflow's newest is that of the last step; after a rewind, it may be an older one, which proves nothing.
        """
        data = checked_run(self._client.get_run(self._run_id), run_id=self._run_id).data.to_proto()
        stored = {one.key: (one.step, one.timestamp) for one in data.metrics}
        newest: dict[str, tuple[int, int]] = {}
        for name, _, milliseconds, step in self._unproved:
            newest[name] = max(newest.get(name, (0, 0)), (step, milliseconds))
        return next((name for name, at in newest.items() if name not in stored or stored[name] < at), None)
