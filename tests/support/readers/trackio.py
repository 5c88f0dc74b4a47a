"""Trackio's database, read with SQL."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trackio import cas
from trackio.utils import MEDIA_DIR, TRACKIO_DIR, deserialize_values

from accel_track.testing import Bins, Columns, Readback, Seen, TrackerContract
from accel_track.testing._backend import Backend
from accel_track.trackers.trackio.tracker import TrackioTracker
from tests.support.pictures import pixels

OWN = ("_Username", "_Created", "_Group")
"""Hyperparameters that Trackio adds."""


ARTIFACTS = (
    "select v.producer_run_id, name, manifest from artifact_versions v join artifacts a on a.id = v.artifact_id"
    " order by v.id"
)


def select(query: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the project and a row for every row that `query` finds in any project."""
    for path in sorted(TRACKIO_DIR.glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            for row in connection.execute(query):
                yield path.stem, row


def runs() -> set[str]:
    """Return the ids of all runs; Trackio has one store for all that a process does."""
    return {row[0] for _, row in select("select run_id from metrics union select run_id from configs")}


def store(folder: Path) -> sqlite3.Connection:
    """Open the store of the project "digits"."""
    return sqlite3.connect(folder / "digits.db")


def stored_rows(folder: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """Return name of the run, step and values of each row, in the order stored."""
    with closing(store(folder)) as connection:
        found = connection.execute("select run_name, step, metrics from metrics order by id")
        return [(name, step, json.loads(text)) for name, step, text in found]


def stored_config(folder: Path) -> dict[str, Any]:
    """Return the only run's hyperparameters."""
    with closing(store(folder)) as connection:
        ((text,),) = connection.execute("select config from configs")
        return {key: value for key, value in json.loads(text).items() if key not in OWN}


def seen(value: dict[str, Any], step: int) -> Seen:  # noqa: PLR0911 - one line per kind
    """Return a medium of a row."""
    kind = value["_type"].removeprefix("trackio.")
    if kind == "table":
        rows = value["_value"]
        return Seen(Columns(list(rows[0]) if rows else [], [list(row.values()) for row in rows]), step)
    if kind == "histogram":
        return Seen(Bins(value["values"], value["bins"]), step)
    if kind == "markdown":
        return Seen(value["_value"], step)
    path, caption = MEDIA_DIR / value["file_path"], value["caption"] or ""
    if kind == "image" or path.suffix == ".gif":
        return Seen(pixels(path), step, caption)
    if kind == "html":
        body = re.fullmatch(
            r"<!doctype html>.*<style>.*</style></head><body>(.*)</body></html>", path.read_text(), re.DOTALL
        )
        return Seen(body[1] if body else path.read_text(), step, caption)
    if kind == "object3d":
        _, _, data = path.read_bytes().partition(b"end_header\n")
        points = np.frombuffer(data, [("place", "<f4", 3), ("colour", "u1", 3), ("category", "u1")])
        return Seen(np.hstack([points["place"], points["colour"]]), step, caption)
    return Seen(path.read_bytes(), step, caption)


class TrackioBackend(Backend):
    """How a tracker is made, and what it stores is read."""

    tracker_class = TrackioTracker

    @pytest.fixture(autouse=True)
    def _runs_of_others(self) -> None:
        self.others = runs()

    def make(self, folder: Path) -> TrackioTracker:
        # Watching the CPU puts rows of its own into another table and takes its time to end.
        return TrackioTracker("contract", auto_log_cpu=False)

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        return {"auto_log_cpu": False}

    def read(self, folder: Path) -> Readback:
        new = runs() - self.others
        stored = Readback(runs=len(new))
        found = select("select run_id, run_name, step, metrics, timestamp from metrics order by id")
        for project, (run, name, step, text, moment) in found:
            if run in new:
                stored.project, stored.run_name = project, name
                for key, value in deserialize_values(json.loads(text)).items():
                    if isinstance(value, dict):
                        stored.media.setdefault(key, []).append(seen(value, step))
                        continue
                    kind = stored.texts if isinstance(value, str) else stored.metrics
                    kind.setdefault(key, []).append(value if isinstance(value, str) else (step, value))
                    stored.times.setdefault(key, []).append(datetime.fromisoformat(moment).timestamp())
        for _, (run, text) in select("select run_id, config from configs"):
            if run in new:
                stored.config |= {key: value for key, value in json.loads(text).items() if key not in OWN}
        for project, (run, name, manifest) in select(ARTIFACTS):
            if run in new:
                files = {
                    one["path"]: cas.blob_path(project, one["digest"]).read_bytes() for one in json.loads(manifest)
                }
                stored.media.setdefault(name, []).append(Seen(files))
        return stored

    def rows(self) -> list[dict[str, Any]]:
        """Return what was stored for the new runs, row by row."""
        found = select("select run_id, metrics from metrics order by id")
        return [json.loads(text) for _, (run, text) in found if run not in self.others]


class TrackioContract(TrackioBackend, TrackerContract):
    """The conformance suite for it."""
