"""An MLflow run: created, continued, and ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from accel_track.outcome import Outcome
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run
from accel_track.trackers.mlflow.params import store_texts

_ATTEMPT = "accel_track.start"
"""Tag by which a run is found whose creation was not answered."""

STATUS_TAG, REASON_TAG = "accel_track.status", "accel_track.reason"
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "preempted": "KILLED"}


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
    store_texts(client, run_id, tags=tags)
    run = _with_status(client, run_id, "RUNNING")
    for key in {STATUS_TAG, REASON_TAG} & set(run.data.tags):
        client.delete_tag(run_id, key)
    return run


def end_run(client: Any, run_id: str, outcome: Outcome) -> None:
    """Set a run's final status, after tags with what MLflow's few words cannot tell."""
    if outcome.status != "finished":
        reason = {REASON_TAG: outcome.reason} if outcome.reason else {}
        store_texts(client, run_id, tags={STATUS_TAG: outcome.status, **reason})
    client.set_terminated(run_id, _STATUS[outcome.status])
    _with_status(client, run_id, _STATUS[outcome.status])


def _with_status(client: Any, run_id: str, status: str) -> Any:
    """Return a run as it is stored, which has that status."""
    run = checked_run(client.get_run(run_id), run_id=run_id)
    if run.info.status != status:
        what = f"the run is {run.info.status} and not {status}"
        raise ForeignAnswerError(what)
    return run


def active_run_id() -> str | None:
    """Return the id of this thread's active run; there is none where nobody has imported MLflow yet."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None else None
    return None if run is None else str(run.info.run_id)
