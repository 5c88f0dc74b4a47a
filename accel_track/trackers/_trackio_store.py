"""What Trackio's run cannot do: many rows at once, with their times, and a run that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

Row = tuple[dict[str, Any], int | None, float, str]
"""Values, step, wall-clock time in seconds, and an id: of two rows with the same one the first is kept."""


_RESERVED = frozenset(("project", "run", "timestamp", "step", "time", "metrics"))


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row by the names under which `Run.log` stores it, which keeps some for Trackio itself."""
    if _RESERVED.isdisjoint(values) and not any(name.startswith("__") for name in values):
        return values
    return {f"__{key}" if key in _RESERVED or key.startswith("__") else key: value for key, value in values.items()}


def is_local(run: Any) -> bool:
    """Whether a run's rows go to a database on this computer, and not to a server or into a folder of fragments."""
    return run.url is None and getattr(run, "_storage_mode", None) == "sqlite"


def write_queued(run: Any) -> None:
    """Write a local run's rows that are in its queue."""
    with run._client_lock:  # noqa: SLF001 - the writing thread holds it while it writes
        run._flush_queues_inline()  # noqa: SLF001


def store_rows(run: Any, rows: Sequence[Row], config: dict[str, Any] | None) -> None:
    """Write rows and hyperparameters of a local run, all or none of them, behind those in the run's queue."""
    from trackio.sqlite_storage import SQLiteStorage

    write_queued(run)
    following, steps = run._next_step, []  # noqa: SLF001
    for _, step, _, _ in rows:
        steps.append(following if step is None else step)
        following = max(following, steps[-1] + 1)
    SQLiteStorage.bulk_log(
        project=run.project,
        run=run.name,
        run_id=run.id,
        metrics_list=[values for values, _, _, _ in rows],
        steps=steps,
        timestamps=[datetime.fromtimestamp(moment, timezone.utc).isoformat() for _, _, moment, _ in rows],
        log_ids=[name for _, _, _, name in rows],
        config=config,
    )
    run._next_step = following  # noqa: SLF001


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
