"""MLflow's fast paths: many values at once, past the objects that its client makes for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from accel_track.trackers.fast import FastPath, UnfitError
from accel_track.trackers.mlflow.answers import check_log_batch, is_surprise

Value = tuple[str, float, int, int]
"""The columns that MLflow keeps of a value: the metric's name, the number, time in milliseconds, and step."""

_COLUMNS = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}
_REQUEST, _OK = 1000, 200
_ENDPOINT = "/api/2.0/mlflow/runs/log-batch"
_SQLITE = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"


class _StorePath(FastPath):
    """A way past one of the stores to which MLflow's client hands over."""

    distribution = "mlflow"
    tested = "==3.17.*"
    schemes: ClassVar[tuple[str, ...]]
    store_class: ClassVar[str]

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Return whether an address leads to MLflow's own store, and not to a plugin's."""
        if not str(native.tracking_uri).startswith(cls.schemes):
            return False
        kind = type(native._tracking_client.store)  # noqa: SLF001
        return f"{kind.__module__}:{kind.__name__}" == cls.store_class


class DatabasePath(_StorePath):
    """A batch's values in one transaction on a SQLite file, with an object of MLflow's for each name only."""

    schemes = ("sqlite",)
    store_class = _SQLITE
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

    def prepare(self, run_id: str, values: Sequence[Value]) -> Any:
        """Return rows of the table, and the newest of each name."""
        rows: list[dict[str, Any]] = []
        newest: dict[str, tuple[tuple[int, int, float], dict[str, Any]]] = {}
        for key, number, at, step in values:
            is_nan = number != number  # noqa: PLR0124 - faster than `math.isnan`
            value = 0.0 if is_nan else number
            row = {"run_uuid": run_id, "key": key, "value": value, "timestamp": at, "step": step, "is_nan": is_nan}
            rows.append(row)
            order = step, at, value
            if key not in newest or order > newest[key][0]:
                newest[key] = order, row
        return run_id, rows, [self._row(**row) for _, row in newest.values()]

    def store(self, ready: Any) -> None:
        """Write the values in one transaction: all or, if it raises, none."""
        from mlflow.exceptions import MlflowException

        run_id, rows, newest = ready
        store = self._store
        try:
            with store.ManagedSessionMaker(read_only=False) as session:
                store._check_run_is_active(store._get_run(run_uuid=run_id, session=session))  # noqa: SLF001
                session.execute(self._insert, rows)
                store._update_latest_metrics_if_necessary(newest, session)  # noqa: SLF001
        except MlflowException as error:
            if is_surprise(error.__cause__):
                message = f"{type(error.__cause__).__name__}: {error.__cause__}"
                raise UnfitError(message) from error
            raise


class ServerPath(_StorePath):
    """Requests as MLflow's REST API documents them, without a message of Protocol Buffers on the way."""

    schemes = ("http://", "https://")
    store_class = "mlflow.store.tracking.rest_store:RestStore"
    parts = ("mlflow.utils.rest_utils:http_request", "mlflow.utils.rest_utils:verify_rest_response")
    attributes = ("_tracking_client.store.get_host_creds",)

    certain = True
    """Whether all answers so far were what MLflow's are."""

    def prepare(self, run_id: str, values: Sequence[Value]) -> Any:
        """Return the values as the API has them, and the server's address and credentials."""
        metrics = [
            {"key": key, "value": value if value == value else "NaN", "timestamp": at, "step": step}  # noqa: PLR0124
            for key, value, at, step in values
        ]
        return run_id, metrics, self.native._tracking_client.store.get_host_creds()  # noqa: SLF001

    def store(self, ready: Any) -> None:
        """Post the values, as many in a request as MLflow takes.

        Raises:
            ForeignAnswerError: What answers is no MLflow server.
        """
        from mlflow.utils import rest_utils

        run_id, metrics, credentials = ready
        post: Callable[..., Any] = rest_utils.http_request
        for begin in range(0, len(metrics), _REQUEST):
            body = {"run_id": run_id, "metrics": metrics[begin : begin + _REQUEST]}
            answer = post(credentials, _ENDPOINT, "POST", json=body)
            exact = check_log_batch(answer) if answer.status_code == _OK else False
            rest_utils.verify_rest_response(answer, _ENDPOINT)
            self.certain = self.certain and exact
