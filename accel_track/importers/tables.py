"""The sources of tables: files whose rows are the values of runs, with columns for step, time and run."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from accel_track.errors import NotReadableError
from accel_track.importers.rows import BatchedRun, Rows
from accel_track.importers.source import Source
from accel_track.records import Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.values.plain import storable

EXACT = 2.0**53
"""The first integer from which on floats leave some out."""

NO_TIME = 1e11
"""Seconds from 1970 to no time."""

_BY_ITSELF = ("step", "time", "run")
"""Options that stand for the column of the same name where there is one."""


class Columns(NamedTuple):
    """Names of the columns that are no values; None if there is none."""

    step: str | None
    time: str | None
    run: str | None
    name: str | None
    metric: str | None
    value: str | None


class Part(NamedTuple):
    """The rows of one run.

    Attributes:
        key: What the column of runs has; None if there is no such column.
        place: Where the first row is.
        rows: How many there are; None: all.
        first: The first row.
    """

    key: Any
    place: int
    rows: int | None
    first: Mapping[str, Any]


class TableSource(Source):
    """One file with rows: a column for each value, or with `metric` and `value` a row for each value."""

    options: ClassVar[Mapping[str, str]] = {
        "step": 'column with the step, a number of 0 or more; default: "step", if there is one',
        "time": 'column with the time, in seconds since 1970 or as ISO 8601 (UTC if it does not say); default: "time"',
        "run": 'column that tells runs apart; default: "run", if there is one, else the file is one run',
        "name": "column with the run's name; default: that with the run",
        "metric": "column with the value's name, where each row has one value",
        "value": 'column with that value; default: "value"',
    }
    cannot_give: ClassVar[str] = (
        "Numbers and texts alone: no hyperparameters, no media, no status, and times only where a column has them."
    )

    @abstractmethod
    def columns(self) -> Collection[str]:
        """Return the names of the columns; those of the first rows where each row says its own.

        Raises:
            OSError: The file cannot be read.
            NotReadableError: It has none.
        """

    @abstractmethod
    def rows(self, place: int, lost: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each row from a place on, 0 for the first, and the place where it is.

        Args:
            place: From an earlier row.
            lost: Counts what cannot be read.
        """

    def calls(
        self, special: Columns, begin: float, lost: Counter[str], call_of: Callable[[dict[str, Any]], Metrics | None]
    ) -> Iterator[Metrics | Rows]:
        """Yield the calls that the rows are; for a format that has a quick way from one to the other.

        Args:
            special: The columns that are no values.
            begin: The time of calls that have none.
            lost: Counts what cannot be read.
            call_of: Makes a call of a row, and None of a row without values.
        """
        return filter(None, (call_of(row) for _, row in self.rows(0, lost)))

    @abstractmethod
    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return the values of a row, without those cells that have none."""

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, in the order of their first rows."""
        try:
            special = self._special()
            if special.run is None:
                lost: Counter[str] = Counter()
                first = next((row for _, row in self.rows(0, lost)), None)
                if first is not None or lost:
                    yield TableRun(self, special, Part(None, 0, None, first or {}), Counter())
                return
            lost = Counter()
            parts = list(self._parts(special.run, lost))
        except OSError as error:
            message = f"{self.name}: {self.place} cannot be read ({error.strerror or error})."
            raise NotReadableError(message) from error
        for part in parts:
            yield TableRun(self, special, part, lost if part is parts[-1] else Counter())

    def _special(self) -> Columns:
        """Return the columns that the options name.

        Raises:
            NotReadableError: One is not there.
        """
        there = self.columns()
        given = dict(self.given)
        given.update({name: name for name in _BY_ITSELF if name not in given and name in there})
        if "metric" in given:
            given.setdefault("value", "value")
        elif "value" in given:
            message = f"{self.name}: `value` is the column of a value whose name is in `metric`; give both."
            raise NotReadableError(message)
        for option, column in given.items():
            if column not in there:
                message = f"{self.name}: {self.place} has no column {column!r} for `{option}`; it has "
                raise NotReadableError(message + ", ".join(list(there)[:20]) + ("." if len(there) <= 20 else ", … ."))  # noqa: PLR2004
        return Columns(*(given.get(option) for option in Columns._fields))

    def _parts(self, column: str, lost: Counter[str]) -> Iterator[Part]:
        """Return the places where the rows of each run begin, and their number."""
        found: dict[Any, list[Any]] = {}
        for place, row in self.rows(0, lost):
            key = storable(row.get(column))
            if isinstance(key, (list, dict)) or key in (None, ""):
                lost["rows that do not say of which run they are"] += 1
            elif (part := found.get(key)) is not None:
                part[1] += 1
            else:
                found[key] = [place, 1, row]
        return (Part(key, *part) for key, part in found.items())


class TableRun(BatchedRun):
    """One run in a table.

    Args:
        table: The table.
        special: Its columns that are no values.
        part: The run's rows.
        lost: What of the table belongs to no run.
    """

    def __init__(self, table: TableSource, special: Columns, part: Part, lost: Counter[str]) -> None:
        """Take name and time from the first row."""
        file = Path(table.place)
        super().__init__(file.name if part.key is None else str(part.key))
        self._table, self._special, self._part = table, special, part
        named = part.first.get(special.name) if special.name else None
        self.name = str(named) if named not in (None, "") else file.stem if part.key is None else str(part.key)
        self.created = moment_of(part.first.get(special.time)) if special.time else None
        self.total = part.rows
        self.lost.update(lost)

    def batches(self) -> Iterator[Metrics | Rows]:
        """Yield a call for each row; in a table of single values, one for those in a row that have the same step."""
        special, begin = self._special, self.created or 0.0
        if special.metric is not None:
            return self._single_values(special.metric)
        if special.run is None:
            return self._table.calls(special, begin, self.lost, self._call)
        return filter(None, map(self._call, self._own()))

    def _own(self) -> Iterator[dict[str, Any]]:
        key, place, left, _ = self._part
        column = self._special.run
        if column is None:
            for _, row in self._table.rows(place, self.lost):
                yield row
            return
        for _, row in self._table.rows(place, Counter()):
            if storable(row.get(column)) == key:
                yield row
                left = (left or 0) - 1
                if not left:
                    return

    def _call(self, row: dict[str, Any]) -> Metrics | None:
        step_column, time_column, run_column, name_column, *_ = self._special
        step = None if step_column is None else self._step(row.pop(step_column, None))
        moment = self.created or 0.0 if time_column is None else self._moment(row.pop(time_column, None))
        for column in (run_column, name_column):
            if column is not None:
                row.pop(column, None)
        values = self._table.values(row, self.lost)
        return Metrics(-1, moment, values, step) if values else None

    def _single_values(self, metric: str) -> Iterator[Metrics]:
        special, created = self._special, self.created or 0.0
        value_column = special.value or "value"
        before: tuple[int | None, float] = (None, created)
        values: dict[str, Any] = {}
        others: set[str] = set()
        for row in self._own():
            step = self._step(row.get(special.step)) if special.step else None
            moment = self._moment(row.get(special.time)) if special.time else created
            others.update(row.keys() - set(special))
            name, now = row.get(metric), (step, moment)
            found = self._table.values({"": row.get(value_column)}, self.lost)
            if name in (None, "") or not found:
                self.lost["rows without a name or a value"] += 1
                continue
            if now != before or name in values:
                if values:
                    yield Metrics(-1, before[1], values, before[0])
                before, values = now, {}
            values[str(name)] = found[""]
        if values:
            yield Metrics(-1, before[1], values, before[0])
        if others:
            self.lost[f"columns beside those of single values: {', '.join(sorted(others)[:10])}"] += len(others)

    def _step(self, cell: Any) -> int | None:
        if type(cell) is str and cell.isdecimal():
            return int(cell)
        if cell is None or cell == "":
            return None
        try:
            if not isinstance(cell, bool) and float(cell) == int(float(cell)) >= 0:
                return int(cell) if isinstance(cell, int) else int(float(cell))
        except (TypeError, ValueError, OverflowError):
            pass
        self.lost["steps that are no integers of 0 or more; their values are kept without one"] += 1
        return None

    def _moment(self, cell: Any) -> float:
        """Return the time in a cell; where there is none, when the run began, or 0.0."""
        try:
            if -NO_TIME < (moment := float(cell)) < NO_TIME:
                return moment
        except (TypeError, ValueError):
            pass
        if cell is None or cell == "":
            return self.created or 0.0
        found = moment_of(cell)
        if found is None:
            self.lost["times that are none"] += 1
        return (self.created or 0.0) if found is None else found


def moment_of(cell: Any) -> float | None:
    """Return a time in seconds since 1970-01-01 UTC: of such a number, or of a text in ISO 8601; else None."""
    try:
        if isinstance(cell, datetime):
            return (cell if cell.tzinfo else cell.replace(tzinfo=timezone.utc)).timestamp()
        if isinstance(cell, (int, float)) and not isinstance(cell, bool):
            return float(cell) if math.isfinite(cell) else None
        text = str(cell).strip()
        try:
            number = float(text)
        except ValueError:
            whole = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
            return (whole if whole.tzinfo else whole.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return number if math.isfinite(number) else None


def number_or_text(cell: str) -> Any:
    """Return the value of a text file's cell: a number, or the text; integers beyond floats stay integers."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if "_" in cell:  # a number in Python, and nowhere else
        return cell
    if abs(number) < EXACT or not math.isfinite(number):
        return number
    try:
        return int(cell)
    except ValueError:
        return number
