"""Tables: columns and rows, from the forms that users have them in."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, time
from itertools import chain
from typing import Any

import msgspec

from accel_track.texts import storable_texts

MANY = 2_000
"""How many cells a table has that becomes JSON after the call that logs it."""

_CELLS = frozenset((bool, int, float, str, type(None)))
_FLOAT = frozenset((float,))


def rows(columns: Sequence[str] | None, data: Any, dataframe: Any = None) -> tuple[list[str], list[list[Any]]]:
    """Return the column names and the rows of a table given as `columns` and `data` or as a `dataframe`.

    Args:
        columns: Names of the columns. Default: those in `data`, else 0, 1, ….
        data: Rows, each a list with a cell per column or a dictionary of cells by column; a dictionary of columns; or a
            table of pandas, polars or pyarrow.
        dataframe: A table of pandas, polars or pyarrow, in place of `data`. Its index is left out.

    Returns:
        The names of the columns, and the rows.

    Raises:
        ValueError: Both `data` and `dataframe` are given, or neither, or rows or columns differ in length.
        TypeError: The data is none of those, or a row is no list of cells.
    """
    if (data is None) == (dataframe is None):
        message = "`log_table` takes either `columns` and `data` or `dataframe`."
        raise ValueError(message)
    frame = data if dataframe is None else dataframe
    if is_frame(frame):
        return _of_frame(frame)
    if isinstance(frame, Mapping):
        frame, columns = _across(frame), list(frame)
    given = _listed(frame, "a table is a list of rows")
    if given and all(isinstance(row, Mapping) for row in given):
        columns = list(dict.fromkeys(chain.from_iterable(given))) if columns is None else columns
        given = [[row.get(name) for name in columns] for row in given]
    table = [
        list(row) if type(row) in (list, tuple) else _listed(row, f"row {index} of a table is a list of cells")
        for index, row in enumerate(given)
    ]
    width = len(table[0]) if table else 0
    names = [str(name) for name in columns] if columns is not None else [str(index) for index in range(width)]
    for index, row in enumerate(table):
        if len(row) != len(names):
            message = f"`log_table` got {len(names)} columns and a row {index} of {len(row)} values; make them equal."
            raise ValueError(message)
    return names, table


def plain_cells(table: list[list[Any]]) -> list[list[Any]]:
    """Return rows whose cells are numbers, texts, booleans or None, as they are; other objects become texts."""
    if _CELLS.issuperset(map(type, chain.from_iterable(table))):
        return table
    return [[value if type(value) in _CELLS else _cell(value) for value in row] for row in table]


def as_json(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> bytes:
    """Return a table of plain cells as JSON, with NaN and infinities as Python's `json` writes them."""
    whole = {"columns": columns, "data": table}
    if all(map(_is_finite, table)):
        with contextlib.suppress(OverflowError, UnicodeEncodeError):  # long integers, halves of surrogate pairs
            return msgspec.json.encode(whole)
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(storable_texts(whole), ensure_ascii=False, separators=(",", ":")).encode()


def packed(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> bytes | None:
    """Return a table of plain cells as MessagePack, where it is so large that it better becomes JSON after the call.

    It takes a fifth of the time of JSON, and half the bytes. None also of cells that MessagePack does not have.
    """
    if len(columns) * len(table) < MANY:
        return None
    with contextlib.suppress(OverflowError, UnicodeEncodeError):
        return msgspec.msgpack.encode((columns, table))
    return None


def unpacked(data: bytes) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and the rows of a packed table.

    Raises:
        ValueError: It is none.
    """
    try:
        return msgspec.msgpack.decode(data, type=tuple[list[str], list[list[Any]]])
    except msgspec.MsgspecError as error:
        message = f"its cells are not what was logged ({error})"
        raise ValueError(message) from error


def _listed(value: Any, what: str) -> list[Any]:
    """Return the items of a series of any kind.

    Raises:
        TypeError: It is none; a text is not meant as its characters, nor a dictionary as its keys.
    """
    if not isinstance(value, (str, bytes, Mapping)) and (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
        return list(value)
    message = f"{what}; got {type(value).__name__}."
    raise TypeError(message)


def _across(columns: Mapping[Any, Any]) -> list[Any]:
    """Return the rows of a dictionary of columns.

    Raises:
        ValueError: The columns differ in length.
        TypeError: One is no list of cells.
    """
    cells = {
        name: _listed(column, f"column {name!r} of a table is a list of cells") for name, column in columns.items()
    }
    lengths = {name: len(column) for name, column in cells.items()}
    if len(set(lengths.values())) > 1:
        message = f"`log_table` got columns of different lengths, {lengths}; make them equal."
        raise ValueError(message)
    return list(zip(*cells.values(), strict=True))


def _is_finite(row: Sequence[Any]) -> bool:
    if _FLOAT.issuperset(map(type, row)):
        return math.isfinite(sum(row))  # also where only the sum is not
    return all(math.isfinite(value) for value in row if type(value) is float)


def markdown(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown, in which no cell ends its own cell or line."""
    lines = [columns, ["---"] * len(columns), *table]
    return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)


def csv_text(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV, as RFC 4180 has it, with a line of column names."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(table)
    return text.getvalue()


def distinct(names: Sequence[str]) -> list[str]:
    """Return names that all differ, for a backend that tells columns apart by them: a second "a" is "a (2)"."""
    found: dict[str, None] = {}
    for name in names:
        one, number = name, 1
        while one in found:
            number += 1
            one = f"{name} ({number})"
        found[one] = None
    return list(found)


def is_frame(value: Any) -> bool:
    """Return whether a value is a table of pandas, polars or pyarrow."""
    for cls in type(value).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in ("pandas", "polars", "pyarrow") and cls.__name__ in ("DataFrame", "Series", "Table"):
            return True
    return False


def _of_frame(frame: Any) -> tuple[list[str], list[list[Any]]]:
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):  # a series
        frame = frame.to_frame()
    if hasattr(frame, "itertuples"):
        columns = [frame.iloc[:, place].tolist() for place in range(frame.shape[1])]
        return [str(name) for name in frame.columns], [list(row) for row in zip(*columns, strict=True)]
    names = getattr(frame, "column_names", None) or frame.columns
    columns = [(column.to_pylist if hasattr(column, "to_pylist") else column.to_list)() for column in _columns(frame)]
    return [str(name) for name in names], [list(row) for row in zip(*columns, strict=True)]


def _columns(frame: Any) -> Sequence[Any]:
    return list(frame.columns) if hasattr(frame, "column_names") else list(frame.get_columns())


def _cell(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) in ((), (1,)):
        value = value.item()
    if type(value) in _CELLS:
        return value
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas'
        return None
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode(errors="replace")
    return next((kind(value) for kind in (bool, int, float) if isinstance(value, kind)), str(value))


def _markdown_cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r\n", "<br>").replace("\n", "<br>")
