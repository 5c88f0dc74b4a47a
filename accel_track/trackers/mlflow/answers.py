"""An MLflow server's answers, and what they prove."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class ForeignAnswerError(ConnectionError):
    """Something has answered in the place of an MLflow server, which may pass."""

    def __init__(self, what: str) -> None:
        """Say what was wrong with the answer."""
        super().__init__(
            f"what answers is not an MLflow server, or stores nothing ({what}); check the tracking URI, and what "
            "stands before the server, such as a proxy or a page for signing in"
        )


def served(client: Any) -> bool:
    """Whether an `MlflowClient` sends requests, and does not write a database itself."""
    return not str(client.tracking_uri).startswith(_DATABASES)


def checked_run(run: Any, experiment: str | None = None, run_id: str | None = None) -> Any:
    """Return a run that a server has answered with.

    MLflow's client takes an empty answer, and JSON of another server's, for a run without an id.

    Raises:
        ForeignAnswerError: It is none, or not the one asked for.
    """
    info = run.info
    if not info.run_id or run_id not in (None, info.run_id) or experiment not in (None, str(info.experiment_id)):
        what = f"the answer holds the run {info.run_id!r}"
        raise ForeignAnswerError(what)
    return run


def check_stored(client: Any, run_id: str, *, params: Collection[str] = (), tags: Collection[str] = ()) -> None:
    """Read a run's params and tags back, if a server keeps them.

    Raises:
        ForeignAnswerError: One of these names is not there.
    """
    if served(client) and (params or tags):
        data = checked_run(client.get_run(run_id), run_id=run_id).data
        if missing := (set(params) - set(data.params)) | (set(tags) - set(data.tags)):
            what = f"{min(missing)!r}, which was sent, is not there"
            raise ForeignAnswerError(what)


def check_log_batch(answer: Any) -> bool:
    """Say whether an answer to `log-batch` with the status 200 is what MLflow's is, an empty JSON object.

    False stands for one of a later version's, or of another server's: only reading back tells.

    Raises:
        ForeignAnswerError: It is no JSON object.
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
