"""The sheet: a table of any number of columns, broken into tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from accel_track.cli._common import console
from accel_track.texts import printable

_LONGEST = 40
"""Characters of a cell that are shown."""


def print_sheet(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; what is too wide follows below, with the first column again. Without a terminal, it is not broken.

    Args:
        title: What it is.
        head: Names of the columns.
        rows: Their cells.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    cells = [[_short(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for columns in _blocks(widths, out.width):
        table = Table(
            title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
        )
        for column in columns:
            table.add_column(Text(cells[0][column]), justify="right" if column else "left", overflow="fold")
        for row in cells[1:]:
            table.add_row(*(Text(row[column]) for column in columns))
        out.print(table)


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns that stand beside each other: the first, and as many others as fit."""
    blocks, used = [[0]], widths[0]
    for column in range(1, len(widths)):
        if used + widths[column] + 3 > width and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += widths[column] + 3
    return blocks


def _short(cell: str) -> str:
    text = printable(cell)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 + 1 :]}"
