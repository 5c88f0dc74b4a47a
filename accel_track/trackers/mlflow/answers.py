"""An MLflow server's answers: how long to wait for them, what they prove, and which errors may pass."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accel_track.trackers.fast import FastPath

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SECONDS, _UPLOAD_SECONDS = "10", "600"

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

# Error codes of MLflow's (`mlflow.protos.databricks_pb2`).
_PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")
_FAILED = "INTERNAL_ERROR"
_REFUSED = (
    *("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"),
    *("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"),
)
_UNREADABLE = ("JSONDecodeError", "ParseError")
_OTHER_SCHEMA = ("no such", "no column", "has no", "constraint failed", "datatype mismatch", "values for")
_AT_ONCE = ("database is locked", "already exists", "duplicate column name", "alembic_version")
"""The error of SQLite while another process, such as `mlflow ui`, is setting up the same database."""


class ForeignAnswerError(ConnectionError):
    """Something has answered in the place of an MLflow server, which may pass."""

    def __init__(self, what: str) -> None:
        """Keep the problem of the answer."""
        super().__init__(
            f"what answers is not an MLflow server, or stores nothing ({what}); check the tracking URI, and what "
            "stands before the server, such as a proxy or a page for signing in"
        )


def wait_less() -> None:
    """Make MLflow give up on a server after seconds, unless the environment says otherwise; its default is minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault(TIMEOUT, SECONDS)


@contextmanager
def patience() -> Iterator[None]:
    """Wait longer than `wait_less` has it inside: a server answers an upload when it has stored the whole file."""
    shortened = os.environ.get(TIMEOUT) == SECONDS
    if shortened:
        os.environ[TIMEOUT] = _UPLOAD_SECONDS
    try:
        yield
    finally:
        if shortened:
            os.environ[TIMEOUT] = SECONDS


def served(client: Any) -> bool:
    """Return whether an `MlflowClient` sends requests, and does not write a database itself."""
    return not str(client.tracking_uri).startswith(_DATABASES)


def checked_run(run: Any, experiment: str | None = None, run_id: str | None = None) -> Any:
    """Return a run that a server has answered with.

    MLflow's client takes an empty answer, and JSON of another server's, for a run without an id.

    Raises:
        ForeignAnswerError: The answer holds no run, or not the one asked for.
    """
    info = run.info
    if not info.run_id or run_id not in (None, info.run_id) or experiment not in (None, str(info.experiment_id)):
        what = f"the answer holds the run {info.run_id!r}"
        raise ForeignAnswerError(what)
    return run


def check_log_batch(answer: Any) -> bool:
    """Return whether an answer to `log-batch` with the status 200 is MLflow's, an empty JSON object.

    False stands for an answer of a later version's, or of another server's: only reading back tells.

    Raises:
        ForeignAnswerError: The answer is not a JSON object.
    """
    kind = answer.headers.get("Content-Type", "")
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        what = f"{len(answer.content)} bytes of {kind or 'no type'} for an answer"
        raise ForeignAnswerError(what)
    return not content and kind.partition(";")[0].strip() == "application/json"


def may_pass(error: BaseException) -> bool:
    """Return whether an error of MLflow's comes from a database in use, or a server overloaded or failed."""
    if type(error).__name__ in _UNREADABLE:
        return True  # JSON that is cut off, or another server's
    code = getattr(error, "error_code", None)
    if code == _FAILED:
        # MLflow's code also for what has no other; what a request or its answer brought is the server's.
        return type(error).__name__ == "RestException" or str(error).startswith("API request to")
    return code in _PASSING or ("sqlite3." in (text := str(error)) and any(part in text for part in _AT_ONCE))


def is_refusal(error: BaseException) -> bool:
    """Return whether an error of MLflow's is about the credentials or the run, not about what is stored."""
    return getattr(error, "error_code", None) in _REFUSED


def is_surprise(cause: BaseException | None) -> bool:
    """Return whether an error inside MLflow's is one of its code or of the schema, and no failure of the database."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    if isinstance(cause, SQLAlchemyError):
        return not isinstance(cause, DBAPIError) or any(part in str(cause) for part in _OTHER_SCHEMA)
    return isinstance(cause, FastPath.surprises)
