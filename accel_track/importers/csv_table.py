"""The source of tables in CSV."""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.importers.lines import Lines
from accel_track.importers.rows import Rows
from accel_track.importers.tables import EXACT, NO_TIME, Columns, TableSource, number_or_text
from accel_track.records import Metrics

_AT_ONCE = 1000
"""Rows that are made numbers together."""


class CsvSource(TableSource):
    """A file of cells with commas, semicolons or tabs between them, below a line of names, in UTF-8."""

    name = "csv"
    what = "a table in CSV, with a column for the step (`step`)"

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Return whether a file begins with a line of several names, and goes on with as many cells."""
        if not Path(place).is_file():
            return False
        try:
            source = cls(place)
            names = source.columns()
            first = next((row for _, row in source.rows(0, Counter())), None)
        except (OSError, ValueError, NotReadableError, csv.Error):
            return False
        whole = len(names) > 1 and (first is None or len(first) == len(names))
        return whole and "\0" not in "".join(names) and not names[0].startswith(("{", "["))  # that is JSON

    def columns(self) -> list[str]:
        """Return the names in the first line; one that comes again has a number behind it."""
        return self._head[0]

    @functools.cached_property
    def _head(self) -> tuple[list[str], str, int]:
        """The the names, what is between cells, and where the rows begin."""
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
        with self._lines(place, lost) as lines:
            at = lines.at
            for cells in self._cells(lines.texts(), lost):
                yield at, dict(zip(self._head[0], cells))  # noqa: B905 - as far as there are both
                at = lines.at

    def calls(
        self, special: Columns, begin: float, lost: Counter[str], call_of: Callable[[dict[str, Any]], Metrics | None]
    ) -> Iterator[Metrics | Rows]:
        """Yield the calls that the rows are, those of numbers alone together."""
        names = self.columns()
        for block, plain in self._blocks(lost):
            if plain and (rows := _rows(names, special, begin, block)) is not None:
                yield rows
            else:
                yield from filter(None, (call_of(dict(zip(names, cells))) for cells in block))  # noqa: B905

    def _blocks(self, lost: Counter[str]) -> Iterator[tuple[list[list[str]], bool]]:
        """Yield some rows at a time, and whether they have something in each cell."""
        width, block = len(self.columns()), []
        with self._lines(0, lost) as lines:
            for cells in self._cells(lines.quick_texts(), lost):
                if len(cells) == width and "" not in cells and not lines.underscores:
                    block.append(cells)
                    if len(block) < _AT_ONCE:
                        continue
                    yield block, True
                else:
                    yield block, True
                    yield [cells], False
                block = []
        yield block, True

    def _lines(self, place: int, lost: Counter[str]) -> Lines:
        return Lines(self.place, lost, max(place, self._head[2]))

    def _cells(self, texts: Iterator[str], lost: Counter[str]) -> Iterator[list[str]]:
        names, mark, _ = self._head
        width, reader = len(names), csv.reader(texts, delimiter=mark)
        while True:
            try:
                for cells in reader:
                    if len(cells) != width:
                        if not cells:
                            continue
                        lost["rows with more or fewer cells than there are names"] += 1
                    yield cells
            except csv.Error:
                lost["rows that are no CSV"] += 1
            else:
                return

    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return the cells as numbers, or as texts."""
        return {name: number_or_text(cell) for name, cell in row.items() if cell}


def _rows(names: list[str], special: Columns, begin: float, block: list[list[str]]) -> Rows | None:
    """Return rows as numbers; None if there are none, or a cell is not a number, or none that a float is."""
    import numpy as np

    values = [name for name in names if name not in special]
    if not block or not values:
        return None
    cells = dict(zip(names, zip(*block)))  # noqa: B905 - each row is as long
    try:
        columns = [np.array(list(map(float, cells[name]))) for name in values]
        steps = None if special.step is None else np.array(list(map(int, cells[special.step])))
        moments = (
            np.full(len(block), begin) if special.time is None else np.array(list(map(float, cells[special.time])))
        )
    except (ValueError, OverflowError):
        return None
    exact = all(((np.abs(one) < EXACT) | ~np.isfinite(one)).all() for one in columns)
    counted = steps is None or (steps.dtype == np.int64 and bool((steps >= 0).all()))
    dated = special.time is None or bool(((moments > 0) & (moments < NO_TIME)).all())
    return Rows(tuple(values), columns, steps, moments) if exact and counted and dated else None
