"""The source Trackio: the databases of its projects, with their media and artifacts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.trackio.finding import databases, runs_of

if TYPE_CHECKING:
    from accel_track.trackers.backend_run import BackendRun


class TrackioSource(Source):
    """The runs in one database of Trackio's, or in all below a folder."""

    name: ClassVar[str] = "trackio"
    what: ClassVar[str] = "Trackio's local runs (its folder, in which each project is a database PROJECT.db)"
    cannot_give: ClassVar[str] = (
        "Trackio keeps no status of a run; its alerts, its traces and the machine's metrics are not read."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether a file is a database with Trackio's tables, or there is one below a folder."""
        return next(databases(Path(place), quick=True), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, database by database."""
        found = list(databases(Path(self.place)))
        if not found:
            message = f"trackio: {self.place} has no database of Trackio's."
            raise NotReadableError(message)
        damaged = []
        for database in found:
            try:
                yield from runs_of(database)
            except (sqlite3.Error, OSError) as error:  # noqa: PERF203 - the other databases are there
                damaged.append(f"{database} ({error})")
        if damaged:
            message = f"trackio: these databases cannot be read: {', '.join(damaged)}."
            raise NotReadableError(message)
