"""The SQLite file of MLflow's, read as a file, and read only.

MLflow's own client creates tables and folders where it opens a store, and opens none of another version of MLflow. The
tables `experiments`, `runs`, `metrics`, `params` and `tags` have been the same since MLflow 1; that of models came with
3. Source: `mlflow/store/tracking/dbmodels/models.py`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.trackers.mlflow.stored_run import Point, StoredModel, StoredRun
from accel_track.trackers.reading.database import opened

_TABLES = {"experiments", "runs", "metrics", "params", "tags"}
_RUNS = """
    SELECT runs.run_uuid, experiments.name, runs.name, runs.status, runs.start_time, runs.artifact_uri
    FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
    WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
      AND (?1 IS NULL OR experiments.name = ?1) AND (?2 IS NULL OR runs.run_uuid = ?2)
    ORDER BY runs.start_time, runs.run_uuid
"""
_POINTS = 'SELECT "key", value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY rowid'
_MODELS = """
    SELECT logged_models.name, artifact_location, step FROM logged_models LEFT JOIN inputs
    ON inputs.destination_id = model_id AND inputs.source_id = source_run_id
    WHERE source_run_id = ? AND lifecycle_stage = 'active' ORDER BY creation_timestamp_ms
"""


def is_database(path: str) -> bool:
    """Return whether a file is a SQLite file with MLflow's tables; never raises."""
    try:
        with opened(Path(path)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except (OSError, ValueError, sqlite3.Error):
        return False
    return {name for (name,) in names} >= _TABLES


class Database:
    """The SQLite file of a store.

    Args:
        path: The file.
        folders: As for `Store`.
    """

    def __init__(self, path: str, folders: Sequence[str] | None) -> None:
        """Open nothing yet."""
        self._path, self.folders = path, folders

    def runs(self, experiment: str | None, run_id: str | None = None) -> Iterator[StoredRun]:
        """Yield runs, of which each is read when it is asked for."""
        if not is_database(self._path):
            message = f"mlflow: {self._path!r} is no SQLite file of MLflow's."
            raise NotReadableError(message)
        try:
            with opened(Path(self._path)) as database:
                found = database.execute(_RUNS, (experiment, run_id)).fetchall()
                yield from (self._run(database, *one) for one in found)
        except (sqlite3.Error, OSError) as error:
            message = f"mlflow: {self._path!r} cannot be read ({error}); check whether it is damaged or locked."
            raise NotReadableError(message) from error

    def _run(self, database: sqlite3.Connection, run_id: str, *fields: Any) -> StoredRun:
        experiment, name, status, began, address = fields
        params = _texts(database.execute('SELECT "key", value FROM params WHERE run_uuid = ?', (run_id,)))
        tags = _texts(database.execute('SELECT "key", value FROM tags WHERE run_uuid = ?', (run_id,)))
        (total,) = database.execute("SELECT COUNT(*) FROM metrics WHERE run_uuid = ?", (run_id,)).fetchone()
        name = name or tags.get("mlflow.runName")
        began = began if type(began) is int else None
        told = str(experiment), name and str(name), str(status), began, self._address(address)
        return StoredRun(str(run_id), *told, params, tags, total)

    def _address(self, address: Any) -> str | None:
        """Return the place of artifacts: a relative path is below the file's folder, where MLflow was started."""
        if not isinstance(address, str) or ":" in address or os.path.isabs(address):
            return address if isinstance(address, str) else None
        return os.path.join(os.path.dirname(self._path), address)

    def points(self, run: StoredRun) -> Iterator[Point]:
        """Yield the values in the order in which they were stored."""
        with opened(Path(self._path)) as database:
            for name, value, at, step, is_nan in database.execute(_POINTS, (run.id,)):
                yield name, float("nan") if is_nan else value, at, step

    def models(self, run: StoredRun) -> Iterator[StoredModel]:
        """Yield the models, of which MLflow has a table since its version 3."""
        with opened(Path(self._path)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'logged_models'").fetchone():
                for name, address, step in database.execute(_MODELS, (run.id,)).fetchall():
                    yield StoredModel(name, self._address(address) or "", step)


def _texts(rows: sqlite3.Cursor) -> dict[str, str]:
    """Return texts by name, also where a damaged file holds other values."""
    return {str(name): str(value) for name, value in rows}
