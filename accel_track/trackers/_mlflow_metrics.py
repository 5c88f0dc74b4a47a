"""Turn logged values into MLflow's metrics, under names that it takes, and write many of them at once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from accel_track.trackers.names import safe_name
from accel_track.values import check_step, is_number, leaves

Call = tuple[dict[str, Any], int | None, float]
"""What one call logged: values, step, and wall-clock time in seconds."""

Row = tuple[str, float, int, int]
"""What MLflow keeps of one metric: name, value, time in milliseconds, and step."""

Write = Callable[[str, Sequence[Row]], None]
"""Writes metrics of the run with an id."""

# The alphabet of `mlflow.utils.validation`.
_NOT_IN_NAMES = r"[^\w.\- ]" if os.name == "nt" else r"[^\w.\- :]"
_NAME_LENGTH = 250

_COLUMNS = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}
_REQUEST = 1000


@lru_cache(maxsize=65536)
def mlflow_name(key: str) -> str:
    """Return the name of a metric or param as MLflow takes it."""
    return safe_name(key, _NOT_IN_NAMES, _NAME_LENGTH)


def metrics_of(calls: Sequence[Call]) -> tuple[list[Row], list[tuple[str, Any, str]]]:
    """Return the metrics of several calls, and name, value and reason of what MLflow cannot take.

    Raises:
        ValueError: A step is none that a database takes; MLflow's server would store the value at step 0.
    """
    rows: list[Row] = []
    refused: list[tuple[str, Any, str]] = []
    for values, step, moment in calls:
        milliseconds, at = int(moment * 1000), check_step(step) or 0
        for key, value in leaves(values):
            if not is_number(value):
                refused.append((key, value, ""))
            elif math.isinf(value):
                refused.append((key, value, f"MLflow's databases would store {value} as a finite number"))
            else:
                rows.append((mlflow_name(key), float(value), milliseconds, at))
    return rows, refused


def fast_writer(client: Any) -> Write | None:
    """Return a function that writes what `client.log_batch` would write, many times as fast, or None.

    There is one for a SQLite database that this process opens itself and one for a server. Both leave out objects that
    MLflow's client makes for each metric; names and values are those that `metrics_of` returns.
    """
    try:
        from mlflow.store.tracking.rest_store import RestStore
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = client._tracking_client.store  # noqa: SLF001 - no public way to it
        if type(store) is SqlAlchemyStore and store.engine.dialect.name == "sqlite":
            return _database_writer(store)
        return _server_writer(store) if type(store) is RestStore else None
    except (AttributeError, ImportError):  # another version's MLflow
        return None


def _database_writer(store: Any) -> Write | None:
    """Write rows of all metrics in one transaction, and no object of SQLAlchemy's for each but for the newest ones."""
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from sqlalchemy.dialects.sqlite import insert

    table = SqlMetric.__table__
    if set(table.columns.keys()) != _COLUMNS:
        return None
    get_run, check_run = store._get_run, store._check_run_is_active  # noqa: SLF001
    update_latest = store._update_latest_metrics_if_necessary  # noqa: SLF001
    statement = insert(table).on_conflict_do_nothing()  # what MLflow has already, it ignores as well

    def write(run_id: str, rows: Sequence[Row]) -> None:
        newest: dict[str, dict[str, Any]] = {}
        parameters: list[dict[str, Any]] = []
        for key, value, milliseconds, step in rows:
            is_nan = value != value  # noqa: PLR0124 - faster than `math.isnan`
            row = {"run_uuid": run_id, "key": key, "value": 0.0 if is_nan else value, "timestamp": milliseconds}
            row |= {"step": step, "is_nan": is_nan}
            parameters.append(row)
            known = newest.setdefault(key, row)
            if (step, milliseconds, row["value"]) > (known["step"], known["timestamp"], known["value"]):
                newest[key] = row
        with store.ManagedSessionMaker(read_only=False) as session:
            check_run(get_run(run_uuid=run_id, session=session))
            session.execute(statement, parameters)
            update_latest([SqlMetric(**row) for row in newest.values()], session)

    return write


def _server_writer(store: Any) -> Write:
    """Post requests as MLflow's REST API documents them, without a message of Protocol Buffers on the way."""
    from mlflow.utils import rest_utils

    post: Callable[..., Any] = rest_utils.http_request
    endpoint = "/api/2.0/mlflow/runs/log-batch"

    def write(run_id: str, rows: Sequence[Row]) -> None:
        for begin in range(0, len(rows), _REQUEST):
            metrics = [
                {"key": key, "value": value if value == value else "NaN", "timestamp": milliseconds, "step": step}  # noqa: PLR0124
                for key, value, milliseconds, step in rows[begin : begin + _REQUEST]
            ]
            body = {"run_id": run_id, "metrics": metrics}
            answer = post(store.get_host_creds(), endpoint, "POST", json=body)
            rest_utils.verify_rest_response(answer, endpoint)

    return write
