"""The finding of Trackio's runs: the databases of projects, and the runs in each of them."""

# ruff: noqa: S608 - what is put into queries is one of few names of tables and columns

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.trackers.reading.database import opened
from accel_track.trackers.reading.places import is_regular
from accel_track.trackers.reading.values import moment_of
from accel_track.trackers.reading.walks import walked
from accel_track.trackers.trackio.inbox import FOLDER, waiting_runs
from accel_track.trackers.trackio.reading import TrackioRun, run_column


def databases(place: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield the databases of Trackio's below a folder, or the one that a file is.

    Among them are those that are still to be made, of which rows wait in an inbox.

    Args:
        place: The folder or file.
        quick: As for `walked`.
    """
    if place.is_file():
        yield from [place] if is_database(place) else []
        return
    for folder, folders, files in walked(place, quick=quick):
        paths = [folder / file for file in files if file.endswith(".db")]
        yield from (path for path in paths if is_regular(path) and is_database(path))
        new = waiting_runs(folder) if FOLDER in folders else ()
        yield from (path for path in sorted(folder / f"{project}.db" for project in new) if path not in paths)


def is_database(path: Path) -> bool:
    """Return whether a file is a database of Trackio's."""
    try:
        with opened(path) as connection:
            return bool(run_column(connection, "metrics"))
    except (sqlite3.Error, OSError):
        return False


def runs_of(database: Path, id: str | None = None) -> Iterator[TrackioRun]:  # noqa: A002 - the word of the attribute
    """Yield the runs of a project, oldest first, or the one with an id.

    Raises:
        sqlite3.Error: The database cannot be read at all.
    """
    waiting = waiting_runs(database.parent).get(database.stem, {})
    runs = {one: (run.name, run.first) for one, run in waiting.items() if id in (None, one)}
    if database.exists() or not runs:
        with opened(database) as connection:
            runs |= _listed(connection, id)
    for one, (name, moment) in sorted(runs.items(), key=lambda item: str(item[1][1])):
        yield TrackioRun(database, one, name, moment_of(moment, None), waiting.get(one))


def read_run(utils: Any, project: str, id: str | None) -> TrackioRun:  # noqa: A002 - the word of the attribute
    """Return a run of a project.

    Args:
        utils: `trackio.utils`, which knows Trackio's folder.
        project: Name of the project.
        id: The run's id; None if no run was opened.

    Raises:
        NotReadableError: There is no such run, or it cannot be read.
    """
    if id is None:
        message = f"trackio: which run of the project {project!r} to read is not known before `start`."
        raise NotReadableError(message)
    database = Path(utils.TRACKIO_DIR, f"{utils.canonical_project_name(project)}.db")
    try:
        for run in runs_of(database, id):
            return run
    except (sqlite3.Error, OSError) as error:
        message = f"trackio: {database} cannot be read ({error})."
        raise NotReadableError(message) from error
    message = f"trackio: {database} has no run {id!r}."
    raise NotReadableError(message)


def _listed(connection: sqlite3.Connection, id: str | None) -> Mapping[str, tuple[str, Any]]:  # noqa: A002
    """Return name and first moment of the runs by their ids."""
    runs: dict[str, tuple[str, Any]] = {}
    for table, moment in (("metrics", "timestamp"), ("configs", "created_at"), ("run_artifact_links", "created_at")):
        if not (key := run_column(connection, table)):
            continue
        chosen, values = ("", ()) if id is None else (f" where {key} = ?", (id,))
        try:
            query = f"select {key}, min(run_name), min({moment}) from {table}{chosen} group by {key}"
            for one, name, first in connection.execute(query, values).fetchall():
                if one is not None:
                    runs.setdefault(str(one), (str(name), first))
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # damage: what comes before it
            query = f"select {key}, run_name, {moment} from {table} not indexed{chosen}"
            rows = connection.execute(query, values)
            while True:
                try:
                    one, name, first = next(rows)
                except (StopIteration, sqlite3.DatabaseError, UnicodeDecodeError):
                    break
                runs.setdefault(str(one), (str(name), first))
    return runs
