"""Tables in text files, as CSV or TSV: their rows, past torn and damaged ones, and their cells as numbers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from accel_track.files import open_regular

UNREADABLE, CUT_OFF, ODD = (
    "a table cannot be read",
    "the last line of a table is cut off",
    "a line of a table has more or fewer cells than there are columns",
)
"""The sentence for lost entries."""

_MOST_DIGITS = 4000
_NO_STEP = 2**63


def rows(path: Path, lost: Counter[str], delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the names of the columns, and then the rows that have as many cells. Nothing is raised.

    Args:
        path: The file, in UTF-8. It may be growing.
        lost: What could not be read is counted here.
        delimiter: What is between the cells.
    """
    try:
        with open(open_regular(path), encoding="utf-8", errors="replace", newline="") as file:
            reader = csv.reader(_whole_lines(file, lost), delimiter=delimiter)
            columns = next(reader, None)
            if columns is None:
                return
            yield columns
            yield from _rows(reader, len(columns), lost)
    except (OSError, csv.Error):
        lost[UNREADABLE] += 1


def _rows(reader: Iterator[list[str]], width: int, lost: Counter[str]) -> Iterator[list[str]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # such as a cell of 131,073 characters; the next line may be whole
            lost[ODD] += 1
            continue
        if len(row) == width:
            yield row
        elif row:
            lost[ODD] += 1


def _whole_lines(file: TextIO, lost: Counter[str]) -> Iterator[str]:
    for line in file:
        if line.endswith(("\n", "\r")):
            yield line
        else:
            lost[CUT_OFF] += 1


def cell(text: str) -> int | float | str:
    """Return a cell as a number if it is written as one, NaN and infinities among them; else the text."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits.isdecimal() and digits.isascii() and len(digits) <= _MOST_DIGITS:
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return text if "_" in text or text != text.strip() else number  # which Python takes


def step_in_cell(text: str) -> int | None:
    """Return a cell as a step; None if it is none. Lightning may write one as "3.0"."""
    number = cell(text)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return number if isinstance(number, int) and 0 <= number < _NO_STEP else None
