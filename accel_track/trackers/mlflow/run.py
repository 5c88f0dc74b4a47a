"""An MLflow run: found, created, continued and ended; which of its errors may pass."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from accel_track.outcome import Outcome
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run

_ATTEMPT = "accel_track.start"
"""Tag by which a run is found whose creation was not answered."""

_STATUS_TAG, _REASON_TAG = "accel_track.status", "accel_track.reason"
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "preempted": "KILLED"}

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SECONDS = "10"

# Error codes of MLflow's (`mlflow.protos.databricks_pb2`).
_PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")
_FAILED = "INTERNAL_ERROR"
_REFUSED = (
    *("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"),
    *("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"),
)

_UNREADABLE = ("JSONDecodeError", "ParseError")
_AT_ONCE = ("database is locked", "already exists", "duplicate column name", "alembic_version")
"""What SQLite says where another process, such as `mlflow ui`, is setting up the same database."""


def wait_less() -> None:
    """Make MLflow give up on a server after seconds, unless the environment says otherwise; its default is minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault(TIMEOUT, SECONDS)


def may_pass(error: BaseException) -> bool:
    """Whether an error of MLflow's comes from a database that others use, an overloaded server, or one that failed."""
    if type(error).__name__ in _UNREADABLE:
        return True  # JSON that is cut off, or another server's
    code = getattr(error, "error_code", None)
    if code == _FAILED:
        # MLflow's code also for what has no other; what a request or its answer brought is the server's.
        return type(error).__name__ == "RestException" or str(error).startswith("API request to")
    return code in _PASSING or ("sqlite3." in (text := str(error)) and any(part in text for part in _AT_ONCE))


def is_refusal(error: BaseException) -> bool:
    """Whether an error of MLflow's is about the credentials or the run, not about what is stored."""
    return getattr(error, "error_code", None) in _REFUSED


def created_run(
    client: Any, experiment: str, name: str | None, tags: Mapping[str, str], attempt: str, *, repeated: bool
) -> Any:
    """Return a new run, or the one that an earlier attempt has created without an answer.

    Args:
        client: An `MlflowClient`.
        experiment: Id of the experiment.
        name: Name of the run, or None.
        tags: Tags besides those that MLflow sets itself.
        attempt: Unique text of this start, the same when it is repeated.
        repeated: Whether there was an earlier attempt.
    """
    from mlflow.tracking.context.registry import resolve_tags

    if repeated and (found := client.search_runs([experiment], f"tags.`{_ATTEMPT}` = '{attempt}'")):
        return found[0]
    run = client.create_run(experiment, tags=resolve_tags({**tags, _ATTEMPT: attempt}), run_name=name)
    return checked_run(run, experiment)


def continued_run(client: Any, run_id: str, name: str | None, tags: Mapping[str, str]) -> Any:
    """Return a run that is RUNNING again, with these tags and without those that told how it had ended."""
    client.update_run(run_id, status="RUNNING", name=name)
    _tag(client, run_id, tags)
    run = checked_run(client.get_run(run_id), run_id=run_id)
    if run.info.status != "RUNNING":
        what = f"the run is {run.info.status} and not RUNNING"
        raise ForeignAnswerError(what)
    for key in {_STATUS_TAG, _REASON_TAG} & set(run.data.tags):
        client.delete_tag(run_id, key)
    return run


def end_run(client: Any, run_id: str, outcome: Outcome) -> None:
    """Set a run's final status, after tags with what MLflow's few words cannot tell."""
    if outcome.status != "finished":
        reason = {_REASON_TAG: outcome.reason} if outcome.reason else {}
        _tag(client, run_id, {_STATUS_TAG: outcome.status, **reason})
    client.set_terminated(run_id, _STATUS[outcome.status])
    status = checked_run(client.get_run(run_id), run_id=run_id).info.status
    if status != _STATUS[outcome.status]:
        what = f"the run that was ended is {status}"
        raise ForeignAnswerError(what)


def _tag(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()], synchronous=True)


def close_connections(client: Any) -> None:
    """Close the connections to a database, which are opened again when they are needed; MLflow has no call for it."""
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    if (engine := getattr(store, "engine", None)) is not None:
        engine.dispose()


def active_run_id() -> str | None:
    """Return the id of this thread's active run; there is none where nobody has imported MLflow yet."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None else None
    return None if run is None else str(run.info.run_id)


def parse_tags(tags: Mapping[str, Any] | str) -> dict[str, str]:
    """Return tags, given as a dictionary or as JSON text, with texts as values.

    Raises:
        ValueError: They are neither.
    """
    try:
        parsed = dict(json.loads(tags) if isinstance(tags, str) else tags)
    except (TypeError, ValueError) as error:
        message = f"mlflow: `tags` and MLFLOW_TAGS are a dictionary, or one as JSON text; got {tags!r}."
        raise ValueError(message) from error
    return {str(key): str(value) for key, value in parsed.items()}
