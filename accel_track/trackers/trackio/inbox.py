"""Trackio's inbox: rows in files of JSON lines, which wait for a dashboard to take them into a database.

Trackio writes them in place of a database where its folder is on a network file system
(https://github.com/gradio-app/trackio).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from accel_track.trackers.reading.places import is_regular

FOLDER = "inbox"
_ROW = "metric"


class Waiting:
    """The waiting rows of one run.

    Attributes:
        name: Name of the run.
        first: When its first row was logged, as Trackio writes times.
        config: Its hyperparameters, as stored.
        files: The files that have rows of it, in the order written.
    """

    def __init__(self, name: str, first: Any) -> None:
        """Know of no file."""
        self.name, self.first = name, first
        self.config: dict[str, Any] = {}
        self.files: list[Path] = []


def waiting_runs(folder: Path) -> dict[str, dict[str, Waiting]]:
    """Return the waiting rows in Trackio's folder, by the run's id, by the project."""
    projects: dict[str, dict[str, Waiting]] = {}
    place = (folder / FOLDER).resolve()
    found = sorted(place.glob("*/*.jsonl")) if place == folder.resolve() / FOLDER else []
    for file in filter(is_regular, found):
        for row in rows(file):
            if row is None:
                continue
            runs = projects.setdefault(_file_name(str(row.get("project"))), {})
            run = runs.setdefault(id_of(row), Waiting(str(row.get("run")), row.get("timestamp")))
            if file not in run.files[-1:]:
                run.files.append(file)
            config = row.get("config")
            run.config = config if isinstance(config, dict) and config else run.config
    return projects


def rows(file: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a file; None for a line that is damaged, or a file that cannot be read."""
    try:
        with open(file, "rb") as lines:
            for line in lines:
                try:
                    row = msgspec.json.decode(line, type=dict[str, Any])
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    yield None
                    continue
                if row.get("kind") == _ROW:
                    yield row
    except OSError:
        yield None


def id_of(row: dict[str, Any]) -> str:
    """Return the id of the run that a row is of."""
    return str(row.get("run_id") or row.get("run"))


def _file_name(project: str) -> str:
    """Return Trackio's name of a project's database, without the suffix."""
    return "".join(one for one in project if one.isalnum() or one in "-_") or "default"
