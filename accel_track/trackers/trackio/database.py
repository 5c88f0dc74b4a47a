"""Trackio's database of a project: rows, and changes for which Trackio's own storage has no call."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from accel_track.trackers.fast import UnfitError

PARTS = (
    "trackio.sqlite_storage:SQLiteStorage.bulk_alert",
    "trackio.sqlite_storage:SQLiteStorage.bulk_log",
    "trackio.sqlite_storage:SQLiteStorage.get_max_step_for_run",
    "trackio.sqlite_storage:SQLiteStorage.get_run_config",
    "trackio.sqlite_storage:SQLiteStorage.init_db",
    "trackio.sqlite_storage:SQLiteStorage._get_connection",
    "trackio.sqlite_storage:SQLiteStorage._get_process_lock",
    "trackio.utils:serialize_values",
)
"""The tables and columns that are imported."""


def storage() -> Any:
    """Return the class that keeps databases."""
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage


def arguments(run: Any, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return entries of a run's queue, some with a "time" of their own, as arguments of the storage's `bulk_log`."""
    now = datetime.now(timezone.utc)
    return {
        "project": run.project,
        "run": run.name,
        "run_id": run.id,
        "metrics_list": [entry["metrics"] for entry in entries],
        "steps": [entry["step"] for entry in entries],
        "log_ids": [entry["log_id"] for entry in entries],
        "timestamps": [entry.get("time", now).isoformat() for entry in entries],
        "config": next((entry["config"] for entry in entries if entry["config"]), None),
    }


def store_alert(run: Any, alert: tuple[str, str | None, str, int, str, str]) -> None:
    """Store an alert: title, text, level, step, time and id; of two with the same id Trackio keeps the first."""
    titles, texts, levels, steps, moments, names = ([one] for one in alert)
    storage().bulk_alert(run.project, run.name, titles, texts, levels, steps, moments, names, run.id)


def replace_config(run: Any) -> None:
    """Store a run's hyperparameters in place of those that are there."""
    import orjson  # Trackio's own requirement
    from trackio import utils  # pyright: ignore[reportAttributeAccessIssue]

    serialize_values: Any = utils.serialize_values
    statement = "INSERT OR REPLACE INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)"
    moment = datetime.now(timezone.utc).isoformat()
    _execute(run.project, statement, (run.id, run.name, orjson.dumps(serialize_values(run.config)), moment))


def delete_rows(run: Any, step: int) -> None:
    """Delete a run's rows of a step and later ones."""
    _execute(run.project, "DELETE FROM metrics WHERE run_id = ? AND step >= ?", (run.id, step))


def _execute(project: str, statement: str, values: tuple[Any, ...]) -> None:
    found = storage()
    path = found.init_db(project)
    with found._get_process_lock(project), found._get_connection(path) as connection:  # noqa: SLF001
        try:
            connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            if "no such" in str(error) or "no column" in str(error):
                raise UnfitError(str(error)) from error
            raise
