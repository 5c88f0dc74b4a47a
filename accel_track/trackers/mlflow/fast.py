"""MLflow's fast paths: many values at once, past the objects that its client makes for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from accel_track.trackers.fast import FastPath, UnfitError
from accel_track.trackers.mlflow.answers import check_log_batch

Value = tuple[str, float, int, int]
"""What MLflow keeps of one value: the metric's name, the number, time in milliseconds, and step."""

_COLUMNS = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}
_REQUEST, _OK = 1000, 200
_ENDPOINT = "/api/2.0/mlflow/runs/log-batch"
_SQLITE = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"
_OTHER_SCHEMA = ("no such", "no column", "has no", "constraint failed", "datatype mismatch", "values for")


class DatabasePath(FastPath):
    """All values of a batch in one transaction on a SQLite file, and an object of MLflow's for each name only."""

    distribution = "mlflow"
    tested = "==3.17.*"
    parts = (
        f"{_SQLITE}._get_run",
        f"{_SQLITE}._check_run_is_active",
        f"{_SQLITE}._update_latest_metrics_if_necessary",
        "mlflow.store.tracking.dbmodels.models:SqlMetric.__table__",
        "sqlalchemy.dialects.sqlite:insert",
    )
    attributes = ("_tracking_client.store.ManagedSessionMaker",)

    def __init__(self, native: Any) -> None:
        """Look at the columns."""
        super().__init__(native)
        from mlflow.store.tracking.dbmodels.models import SqlMetric
        from sqlalchemy.dialects.sqlite import insert

        table = SqlMetric.__table__
        if (columns := set(table.columns.keys())) != _COLUMNS:
            message = f"the table of metrics has the columns {sorted(columns)}"
            raise UnfitError(message)
        self._store = native._tracking_client.store  # noqa: SLF001
        self._row = SqlMetric
        self._insert = insert(table).on_conflict_do_nothing()  # what MLflow has already, it ignores as well

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Whether MLflow's own store opens a SQLite file."""
        if not str(native.tracking_uri).startswith("sqlite"):
            return False
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        return type(native._tracking_client.store) is SqlAlchemyStore  # noqa: SLF001

    def prepare(self, run_id: str, values: Sequence[Value]) -> Any:
        """Return rows of the table, and the newest of each name."""
        newest: dict[str, dict[str, Any]] = {}
        rows: list[dict[str, Any]] = []
        for key, value, milliseconds, step in values:
            is_nan = value != value  # noqa: PLR0124 - faster than `math.isnan`
            row = {"run_uuid": run_id, "key": key, "value": 0.0 if is_nan else value, "timestamp": milliseconds}
            row |= {"step": step, "is_nan": is_nan}
            rows.append(row)
            known = newest.setdefault(key, row)
            if (step, milliseconds, row["value"]) > (known["step"], known["timestamp"], known["value"]):
                newest[key] = row
        return run_id, rows, [self._row(**row) for row in newest.values()]

    def store(self, ready: Any) -> None:
        """Write them in one transaction: all or, when it raises, none."""
        from mlflow.exceptions import MlflowException

        run_id, rows, newest = ready
        store = self._store
        try:
            with store.ManagedSessionMaker(read_only=False) as session:
                store._check_run_is_active(store._get_run(run_uuid=run_id, session=session))  # noqa: SLF001
                session.execute(self._insert, rows)
                store._update_latest_metrics_if_necessary(newest, session)  # noqa: SLF001
        except MlflowException as error:
            if _is_surprise(error.__cause__):
                message = f"{type(error.__cause__).__name__}: {error.__cause__}"
                raise UnfitError(message) from error
            raise


def _is_surprise(cause: BaseException | None) -> bool:
    """Whether what MLflow's error wraps is of MLflow's code or of the schema, and no failure of the database."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    if isinstance(cause, SQLAlchemyError):
        return not isinstance(cause, DBAPIError) or any(part in str(cause) for part in _OTHER_SCHEMA)
    return isinstance(cause, FastPath.surprises)


class ServerPath(FastPath):
    """Requests as MLflow's REST API documents them, without a message of Protocol Buffers on the way."""

    distribution = "mlflow"
    tested = "==3.17.*"
    parts = (
        "mlflow.utils.rest_utils:http_request",
        "mlflow.utils.rest_utils:verify_rest_response",
        "mlflow.store.tracking.rest_store:RestStore",
    )
    attributes = ("_tracking_client.store.get_host_creds",)

    certain = True
    """Whether all answers so far were what MLflow's are."""

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Whether MLflow's own store sends requests to a server."""
        if not str(native.tracking_uri).startswith(("http://", "https://")):
            return False
        from mlflow.store.tracking.rest_store import RestStore

        return type(native._tracking_client.store) is RestStore  # noqa: SLF001

    def prepare(self, run_id: str, values: Sequence[Value]) -> Any:
        """Return the server's address and credentials, and the bodies of the requests."""
        metrics = [
            {"key": key, "value": value if value == value else "NaN", "timestamp": at, "step": step}  # noqa: PLR0124
            for key, value, at, step in values
        ]
        credentials = self.native._tracking_client.store.get_host_creds()  # noqa: SLF001
        return credentials, [
            {"run_id": run_id, "metrics": metrics[begin : begin + _REQUEST]}
            for begin in range(0, len(metrics), _REQUEST)
        ]

    def store(self, ready: Any) -> None:
        """Post them one after the other.

        Raises:
            ForeignAnswerError: What answers is no MLflow server.
        """
        from mlflow.utils import rest_utils

        credentials, bodies = ready
        post: Callable[..., Any] = rest_utils.http_request
        for body in bodies:
            answer = post(credentials, _ENDPOINT, "POST", json=body)
            exact = check_log_batch(answer) if answer.status_code == _OK else False
            rest_utils.verify_rest_response(answer, _ENDPOINT)
            self.certain = self.certain and exact
