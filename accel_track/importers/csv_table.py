"""The source of tables in CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.importers.lines import Lines
from accel_track.importers.tables import TableSource, number_or_text

_LARGE = 2.0**53


class CsvSource(TableSource):
    """A file of cells with commas, semicolons or tabs between them, below a line of names, in UTF-8."""

    name = "csv"
    what = "a table in CSV, with a column for the step (`step`)"

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether a file begins with a line of several names, and goes on with as many cells."""
        if not Path(place).is_file():
            return False
        try:
            source = cls(place)
            names = source.columns()
            first = next((row for _, row in source.rows(0, Counter())), None)
        except (OSError, ValueError, NotReadableError, csv.Error):
            return False
        return (
            len(names) > 1 and (first is None or len(first) == len(names)) and not any("\0" in name for name in names)
        )

    def columns(self) -> list[str]:
        """Return the names in the first line; one that comes again has a number behind it."""
        return self._head()[0]

    def _head(self) -> tuple[list[str], str, int]:
        """Return the names, what is between cells, and where the rows begin."""
        with Lines(self.place, Counter()) as lines:
            head = next(iter(lines.texts()), "").lstrip("\ufeff")
            mark = max(",;\t", key=head.count)
            given = next(csv.reader([head], delimiter=mark), []) if head.strip() else []
            place = lines.at
        if not given:
            message = f"{self.name}: {self.place} has no line of names."
            raise NotReadableError(message)
        names: list[str] = []
        for name in given:
            same = given[: len(names)].count(name)
            names.append(f"{name}-{same + 1}" if same else name)
        return names, mark, place

    def rows(self, place: int, lost: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows; the place is a number of bytes."""
        names, mark, begin = self._head()
        width = len(names)
        with Lines(self.place, lost, max(place, begin)) as lines:
            reader, at = csv.reader(lines.texts(), delimiter=mark), lines.at
            while True:
                try:
                    for cells in reader:
                        if len(cells) == width:
                            yield at, dict(zip(names, cells))  # noqa: B905 - they are as many
                        elif cells:
                            lost["rows with more or fewer cells than there are names"] += 1
                            yield at, dict(zip(names, cells))  # noqa: B905 - as far as there are both
                        at = lines.at
                except csv.Error:  # noqa: PERF203 - of each row that is none
                    lost["rows that are no CSV"] += 1
                    at = lines.at
                else:
                    return

    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return the cells as numbers, or as texts."""
        try:
            found = {name: float(cell) for name, cell in row.items() if cell}
            total = sum(found.values())
            if -_LARGE < total < _LARGE and "_" not in "".join(row.values()):
                return found
        except (ValueError, TypeError):
            pass
        return {name: number_or_text(cell) for name, cell in row.items() if cell}
