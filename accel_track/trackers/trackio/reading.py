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

from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.copies import FULL
from accel_track.trackers.reading.database import opened
from accel_track.trackers.reading.lost import NO_STEP, LostError
from accel_track.trackers.reading.values import moment_of, with_numbers
from accel_track.trackers.trackio.inbox import Waiting, id_of, rows
from accel_track.trackers.trackio.stored import Artifacts, logged

_NUMBERS = frozenset((float, int, bool))
_NO_ROW = "a row that is no JSON"
_DEEP = "a value that is nested too deeply"
_DAMAGED = "the database is damaged: what it has of the run behind the damage"


class TrackioRun(BackendRun):
    """A run in a project's database.

    Args:
        database: The file, named as the project is, in Trackio's folder.
        id: The run's id; of databases that are older than ids, its name.
        name: The run's name.
        created: When it began, in seconds since 1970-01-01 UTC.
        waiting: What of it waits for being taken into the database, which may not be there yet.
    """

    def __init__(
        self,
        database: Path,
        id: str,  # noqa: A002 - the word of the attribute
        name: str | None,
        created: float | None,
        waiting: Waiting | None,
    ) -> None:
        """Read the hyperparameters."""
        super().__init__(id)
        self.project, self.name, self.created = database.stem, name, created
        self._database, self._waiting = database, waiting
        if waiting is not None:
            self._take_config(waiting.config)
        if not database.exists():
            return
        try:
            with opened(database) as connection:
                self._read_config(connection)
        except (sqlite3.Error, OSError):
            self.lost["the database is damaged: the hyperparameters"] += 1

    def _read_config(self, connection: sqlite3.Connection) -> None:
        key = run_column(connection, "configs")
        found = connection.execute(f"select config from configs where {key} = ?", (self.id,)) if key else ()
        for (text,) in found:
            try:
                config = msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.lost["hyperparameters that are no JSON"] += 1
                continue
            self._take_config(config)

    def _take_config(self, config: Mapping[str, Any]) -> None:
        self.created = moment_of(config.get("_Created"), self.created)
        try:
            self.config = {name: with_numbers(value) for name, value in config.items() if not name.startswith("_")}
        except RecursionError:
            self.lost[_DEEP] += 1

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        """Yield the rows in the order logged, then the artifacts, then the rows that wait."""
        if self._database.exists():
            try:
                with opened(self._database) as connection:
                    for step, moment, text in self._rows(connection):
                        yield from self._row(step, moment, text)
                    yield from self._artifacts(connection, scratch)
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                self.lost[_DAMAGED] += 1
        for file in () if self._waiting is None else self._waiting.files:
            for row in rows(file):
                if row is None:
                    self.lost["a line of the inbox that is no JSON"] += 1
                elif id_of(row) == self.id:
                    yield from self._values(row.get("step"), row.get("timestamp"), row.get("metrics"))

    def _rows(self, connection: sqlite3.Connection) -> Iterator[tuple[Any, Any, Any]]:
        key = run_column(connection, "metrics")
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
        try:
            values = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.lost[_NO_ROW] += 1
            return
        yield from self._values(step, moment, values)

    def _values(self, step: Any, moment: Any, values: Any) -> Iterator[Metrics | Artifact]:
        time = moment_of(moment, self.created) or 0.0
        if not isinstance(values, dict):
            self.lost[_NO_ROW] += 1
            return
        if type(step) is not int or step < 0:
            self.lost[NO_STEP] += 1
            step = None
        if not _NUMBERS.issuperset(map(type, values.values())):
            found = {}
            for name, value in values.items():
                try:
                    one = logged(value, self._database.parent / "media")
                except (LostError, RecursionError) as error:
                    self.lost[str(error) if isinstance(error, LostError) else _DEEP] += 1
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


def run_column(connection: sqlite3.Connection, table: str) -> str | None:
    """Return the column that tells runs apart; None if there is no such table of Trackio's."""
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
