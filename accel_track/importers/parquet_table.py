"""The source of tables in Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.files import open_regular
from accel_track.importers.rows import Rows
from accel_track.importers.tables import NO_TIME, Columns, TableSource
from accel_track.records import Metrics

_BUFFER = 256 * 1024
"""Bytes of a column that are read at once; without it, all of a group of rows."""

_AT_ONCE = 4096
"""Rows that are in memory at once."""


class ParquetSource(TableSource):
    """A Parquet file."""

    name = "parquet"
    what = "a table in Parquet, with a column for the step (`step`)"
    sdk = "pyarrow"
    install = "accel-track[parquet]"

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Return whether a file begins and ends as Parquet does."""
        try:
            with open(open_regular(place), "rb") as file:
                begins = file.read(4) == b"PAR1"
                file.seek(-4, 2)
                return begins and file.read(4) == b"PAR1"
        except (OSError, ValueError):
            return False

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        with self._open() as file:
            return list(file.schema_arrow.names)

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        if not Path(self.place).is_file():  # the opening of a pipe may never end
            message = f"{self.name}: {self.place} is no file."
            raise NotReadableError(message)
        try:
            return parquet.ParquetFile(self.place, pre_buffer=False, buffer_size=_BUFFER)
        except (pa.ArrowException, OSError) as error:
            message = f"{self.name}: {self.place} cannot be read ({error})."
            raise NotReadableError(message) from error

    def rows(self, place: int, lost: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows; the place is the number of a row group."""
        import pyarrow as pa

        with self._open() as file:
            names = file.schema_arrow.names
            for group in range(place, file.num_row_groups):
                try:
                    for batch in file.iter_batches(_AT_ONCE, row_groups=[group]):
                        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                            yield group, dict(zip(names, cells))  # noqa: B905 - they are as many
                except (pa.ArrowException, OSError):  # noqa: PERF203 - the others are read
                    lost["groups of rows that cannot be read"] += 1

    def calls(
        self, special: Columns, begin: float, lost: Counter[str], call_of: Callable[[dict[str, Any]], Metrics | None]
    ) -> Iterator[Metrics | Rows]:
        """Yield the calls that the rows are, those of numbers alone together."""
        import pyarrow as pa

        with self._open() as file:
            names = file.schema_arrow.names
            for group in range(file.num_row_groups):
                try:
                    for batch in file.iter_batches(_AT_ONCE, row_groups=[group]):
                        if (rows := _rows(batch, special, begin)) is not None:
                            yield rows
                            continue
                        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                            if (made := call_of(dict(zip(names, cells)))) is not None:  # noqa: B905 - as many
                                yield made
                except (pa.ArrowException, OSError):
                    lost["groups of rows that cannot be read"] += 1

    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return the values that are not null; decimals as floats, dates as texts in ISO 8601."""
        return {name: _plain(cell) for name, cell in row.items() if cell is not None}


def _plain(cell: Any) -> Any:
    kind = type(cell)
    if kind is float or kind is int or kind is str or kind is bool:
        return cell
    if isinstance(cell, Decimal):
        return float(cell)
    return cell.isoformat() if isinstance(cell, date) else cell


def _rows(batch: Any, special: Columns, begin: float) -> Rows | None:
    """Return rows as numbers; None if a cell is not a number, or there are none."""
    import numpy as np
    from pyarrow import types

    def numbers(name: str) -> Any:
        column = batch.column(name)
        if column.null_count or not (types.is_integer(column.type) or types.is_floating(column.type)):
            return None
        found = column.to_numpy(zero_copy_only=False)
        if found.dtype == np.uint64:
            return None
        return found.astype(np.float64 if found.dtype.kind == "f" else np.int64)

    values = [name for name in batch.schema.names if name not in special]
    columns = [numbers(name) for name in values]
    steps = None if special.step is None else numbers(special.step)
    moments = np.full(batch.num_rows, begin) if special.time is None else numbers(special.time)
    if not values or not batch.num_rows or any(one is None for one in columns) or moments is None:
        return None
    counted = special.step is None or (steps is not None and steps.dtype == np.int64 and bool((steps >= 0).all()))
    dated = special.time is None or bool(((moments > 0) & (moments < NO_TIME)).all())
    return Rows(tuple(values), columns, steps, moments.astype(np.float64)) if counted and dated else None
