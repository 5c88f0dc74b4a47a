"""What Trackio's public functions cannot do with a run that goes on."""

from __future__ import annotations

from typing import Any


def stored_config(run: Any) -> dict[str, Any]:
    """Return the hyperparameters that are stored of a local run."""
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage.get_run_config(run.project, run_id=run.id) or {}


def take_id(run: Any, run_id: str) -> None:
    """Let a run that was just opened be the one of that id.

    Trackio finds runs by their name, of several the newest, and none that has no rows yet.
    """
    if run.id != run_id:
        run.id = run_id
        if run.url is None:
            run._initial_last_step = None  # noqa: SLF001
            last = run._safe_get_max_step_for_run()  # noqa: SLF001
            run._next_step = 0 if last is None else last + 1  # noqa: SLF001


def delete_rows(run: Any, step: int) -> None:
    """Delete a local run's rows of a step and later ones; what is queued has to be written before."""
    from trackio.sqlite_storage import SQLiteStorage

    path = SQLiteStorage.get_project_db_path(run.project)
    if path.exists():
        with SQLiteStorage._get_process_lock(run.project), SQLiteStorage._get_connection(path) as connection:  # noqa: SLF001
            connection.execute("DELETE FROM metrics WHERE run_id = ? AND step >= ?", (run.id, step))
