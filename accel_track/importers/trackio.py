"""The source Trackio: the databases of its projects, with their media and artifacts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.errors import NotReadableError
from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.trackio.finding import databases, runs_of


class TrackioSource(SourceBelow):
    """The runs in one database of Trackio's, or in all below a folder."""

    name = "trackio"
    what = "Trackio's local runs (its folder, in which each project is a database PROJECT.db)"
    none = "no database of Trackio's"
    cannot_give = "No status. Not read: alerts, traces and the machine's metrics."

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the databases with Trackio's tables, and those of which rows wait."""
        return databases(place, quick=quick)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs, database by database."""
        damaged = []
        for database in found:
            try:
                yield from runs_of(database)
            except (sqlite3.Error, OSError) as error:  # noqa: PERF203 - the other databases are there
                damaged.append(f"{database} ({error})")
        if damaged:
            message = f"trackio: these databases cannot be read: {', '.join(damaged)}."
            raise NotReadableError(message)
