"""The source of tables in JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from accel_track.errors import NotReadableError
from accel_track.importers.lines import Lines
from accel_track.importers.tables import TableSource
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.jsonl_reading import JsonlRun
from accel_track.trackers.reading.values import NUMBERS
from accel_track.trackers.reading.walks import walked

_LOOKS = 100
"""The number of lines that tell the columns."""


class JsonlSource(TableSource):
    """A file with a JSON object in each line; or the files of our own tracker "jsonl" in a folder, with what is beside.

    A file of that tracker, which has `step`, `time` and `seq` in each line, is read with its media, artifacts and
    hyperparameters, unless an option says that it is a table.
    """

    name = "jsonl"
    what = "a table in JSON lines, with a field for the step (`step`), or files of the tracker `jsonl`"
    cannot_give = (
        "Tables as those in CSV, but with integers and nested values. Files of the tracker have all that was logged."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Return whether the first line of a file is a JSON object, or there are files of the tracker in a folder."""
        if Path(place).is_dir():
            return any(True for folder, _, names in walked(Path(place), quick=True) for _ in _own(folder, names))
        lost: Counter[str] = Counter()
        try:
            return Path(place).is_file() and next(cls(place).rows(0, lost), None) is not None and not lost
        except (OSError, ValueError):
            return False

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, folder by folder."""
        path = Path(self.place)
        if path.is_dir():
            files = [file for folder, _, names in walked(path) for file in _own(folder, names)]
        else:
            files = [] if self.given else list(_own(path.parent, [path.name]))
        if not files and not path.is_dir():
            yield from super().runs()
        for file in files:
            run = JsonlRun(file)
            run.id = f"{run.project}/{run.name}/{file.name}"  # not where it is now
            yield run

    def columns(self) -> list[str]:
        """Return the names in the first objects."""
        found = [row for _, row in islice(self.rows(0, Counter()), _LOOKS)]
        if not found:
            message = f"{self.name}: there are no JSON objects in the lines of {self.place}."
            raise NotReadableError(message)
        return list(dict.fromkeys(name for row in found for name in row))

    def rows(self, place: int, lost: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the objects; the place is a number of bytes."""
        with Lines(self.place, lost, place) as lines:
            at = lines.at
            for line in lines.lines():
                row = _object(line)
                if row is not None:
                    yield at, row
                elif line.strip():
                    lost["lines that are no JSON objects"] += 1
                at = lines.at

    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return the values that are not null; the texts "NaN", "Infinity" and "-Infinity" are numbers."""
        return {
            name: NUMBERS.get(cell, cell) if type(cell) is str else cell
            for name, cell in row.items()
            if cell is not None
        }


def _own(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield the files of the tracker in a folder."""
    for file in (folder / name for name in names if name.endswith(".jsonl")):
        try:
            row = next((row for _, row in JsonlSource(str(file)).rows(0, Counter())), {})
        except OSError:
            continue
        if row.keys() >= {"step", "time", "seq"}:
            yield file


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; None if there is none."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            found = json.loads(line)  # takes NaN, as Python's own writer has it
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None
