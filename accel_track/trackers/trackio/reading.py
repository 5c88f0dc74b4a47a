"""The reader of Trackio's databases: the runs of a project, their rows, media and artifacts.

Trackio's own reader (`trackio.sqlite_storage`) is bound to one folder, migrates what it opens, and returns all rows at
once; the tables and the form of their rows are those that it creates (https://github.com/gradio-app/trackio).
"""

# ruff: noqa: S608 - what is put into queries is one of two names of columns

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from accel_track.errors import NotReadableError
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.source_database import moment_of, opened
from accel_track.trackers.source_files import LostError, files_below
from accel_track.trackers.trackio.stored import Artifacts, logged, plain

_NUMBERS = frozenset((float, int, bool))
_DAMAGED = "the database is damaged: what it has of the run behind the damage"


class TrackioRun(BackendRun):
    """A run in a project's database.

    Args:
        database: The file, named as the project is, in Trackio's folder.
        id: The run's id; of databases that are older than ids, its name.
        name: The run's name.
        created: When it began, in seconds since 1970-01-01 UTC.
    """

    def __init__(self, database: Path, id: str, name: str | None, created: float | None) -> None:  # noqa: A002
        """Read the hyperparameters."""
        super().__init__(id)
        self.project, self.name, self.created = database.stem, name, created
        self._database = database
        try:
            with opened(database) as connection:
                self._read_config(connection)
        except sqlite3.Error:
            self.lost["the database is damaged: the hyperparameters"] += 1

    def _read_config(self, connection: sqlite3.Connection) -> None:
        key = _key(connection, "configs")
        found = connection.execute(f"select config from configs where {key} = ?", (self.id,)) if key else ()
        for (text,) in found:
            try:
                config = msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.lost["hyperparameters that are no JSON"] += 1
                continue
            self.created = moment_of(config.get("_Created"), self.created)
            self.config = {name: plain(value) for name, value in config.items() if not name.startswith("_")}

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        """Yield the rows in the order logged, then the artifacts."""
        try:
            with opened(self._database) as connection:
                for step, moment, text in self._rows(connection):
                    yield from self._row(step, moment, text)
                yield from self._artifacts(connection, scratch)
        except sqlite3.Error:
            self.lost[_DAMAGED] += 1

    def _rows(self, connection: sqlite3.Connection) -> Iterator[tuple[Any, Any, Any]]:
        key = _key(connection, "metrics")
        if not key:
            return
        try:
            (low, high) = connection.execute(
                f"select min(id), max(id) from metrics where {key} = ?", (self.id,)
            ).fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # of the index, without which the rows may be whole
            low, high = 0, 2**63 - 1
        # In the order stored, without sorting: the rows of a run are close to each other.
        place = f"metrics not indexed where id between ? and ? and {key} = ?"
        query = f"select step, timestamp, metrics from {place} order by id"
        yield from connection.execute(query, (low, high, self.id))

    def _row(self, step: Any, moment: Any, text: Any) -> Iterator[Metrics | Artifact]:
        time = moment_of(moment, self.created) or 0.0
        if type(step) is not int or step < 0:
            self.lost["a step that is no whole number from 0 on; its values are there without it"] += 1
            step = None
        try:
            values = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.lost["a row that is no JSON"] += 1
            return
        if not _NUMBERS.issuperset(map(type, values.values())):
            found = {}
            for name, value in values.items():
                try:
                    one = logged(value, self._database.parent / "media")
                except LostError as error:
                    self.lost[str(error)] += 1
                    continue
                if isinstance(one, Path):
                    yield Artifact(-1, time, {}, name=_given(name), path=str(one), type="object3d", step=step)
                else:
                    found[name] = one
            values = found
        if values:
            yield Metrics(-1, time, {_given(name): value for name, value in values.items()}, step)

    def _artifacts(self, connection: sqlite3.Connection, scratch: Path) -> Iterator[Metrics | Artifact]:
        found = Artifacts(connection, self._database, self.id, scratch)
        for moment, make in found.versions():
            try:
                yield make(moment_of(moment, self.created) or 0.0)
            except LostError as error:  # noqa: PERF203 - the other artifacts are there
                self.lost[str(error)] += 1
        self.lost += found.lost


def databases(place: Path) -> Iterator[Path]:
    """Yield the databases of Trackio's below a folder, or the one that a file is."""
    return (path for path in files_below(place, ".db") if is_database(path))


def is_database(path: Path) -> bool:
    """Whether a file is a database of Trackio's."""
    try:
        with opened(path) as connection:
            return bool(_key(connection, "metrics"))
    except (sqlite3.Error, OSError):
        return False


def runs_of(database: Path, id: str | None = None) -> Iterator[TrackioRun]:  # noqa: A002 - the word of the attribute
    """Yield the runs of a project, oldest first, or the one with an id.

    Raises:
        sqlite3.Error: The database cannot be read at all.
    """
    with opened(database) as connection:
        found = sorted(_listed(connection, id).items(), key=lambda item: str(item[1][1]))
    for one, (name, moment) in found:
        yield TrackioRun(database, one, name, moment_of(moment, None))


def read_run(utils: Any, project: str, id: str | None) -> TrackioRun:  # noqa: A002 - the word of the attribute
    """Return a run of a project.

    Args:
        utils: `trackio.utils`, which knows Trackio's folder.
        project: Name of the project.
        id: The run's id; None where no run was opened.

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
        if not (key := _key(connection, table)):
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


def _key(connection: sqlite3.Connection, table: str) -> str | None:
    """Return the column that tells runs apart; None where there is no such table of Trackio's."""
    kind = connection.execute("select type from sqlite_master where name = ?", (table,)).fetchone()
    if kind != ("table",):  # what a view gives may never end
        return None
    columns = {row[1] for row in connection.execute(f"pragma table_info({table})")}
    if "run_name" not in columns or not columns & {"metrics", "config", "artifact_version_id"}:
        return None
    return "run_id" if "run_id" in columns else "run_name"


def _given(name: str) -> str:
    """Return the name that a value was logged under: Trackio puts "__" before some."""
    return name.removeprefix("__")
