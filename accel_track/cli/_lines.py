"""Lists on the command line: a line for each row, as wide as the terminal at most, or fields between tabs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from accel_track.texts import printable

_GAP = 2
_NARROW = (16, 8, 4)
"""The widths to which cells are cut before columns that are spare at first are left out, then later ones, then all."""


class Shape(NamedTuple):
    """The looks of a column.

    Attributes:
        title: Its name.
        right: Whether its cells are justified to the right.
        shrinks: Whether its cells may be cut where the terminal is narrow.
        spare: When it is left out there: 1 at first, 2 later, 0 never.
        needed: Whether it is there also where all of its cells are empty.
        style: Returns the escape sequence in front of a cell, "" for none; None if there is none at all.
    """

    title: str
    right: bool = False
    shrinks: bool = False
    spare: int = 0
    needed: bool = True
    style: Callable[[str], str] | None = None


def is_terminal() -> bool:
    """Return whether people look at the standard output."""
    return sys.stdout.isatty()


def has_colours() -> bool:
    """Return whether the standard output may have colours (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Return the columns of the terminal, 80 where it does not tell."""
    return max(1, shutil.get_terminal_size().columns)


def between_tabs(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield a line of titles and one for each row, in full; tabs and line ends in cells are spaces."""
    for row in (titles, *rows):
        yield "\t".join(map(printable, row))


def fitted(
    shapes: Sequence[Shape], rows: Sequence[Sequence[object]], width: int, *, colours: bool = False
) -> Iterator[str]:
    """Yield a line of titles and one for each row, none of them wider than the terminal.

    Where they would be, the widest cells of columns that shrink are cut and columns that are spare are left out, by
    turns (`_NARROW`), and in the end the lines are cut.

    Args:
        shapes: The columns.
        rows: Their cells.
        width: Columns of the terminal; a character may take two.
        colours: Whether cells get their style.
    """
    from rich.cells import cell_len

    cells = [[one.title for one in shapes], *([printable(cell) for cell in row] for row in rows)]
    whole = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    filled = [one.needed or any(row[place] != "" for row in rows) for place, one in enumerate(shapes)]
    kept, widths = [place for place, one in enumerate(filled) if one], whole
    for level, least in enumerate(_NARROW, 1):
        widths = _cut(shapes, whole, kept, width, least)
        while _total(widths, kept) > width and (spare := [one for one in kept if shapes[one].spare == level]):
            kept.remove(spare[-1])
            widths = _cut(shapes, whole, kept, width, least)
        if _total(widths, kept) <= width:
            break
    for number, row in enumerate(cells):
        styles = [shapes[one].style if colours and number else None for one in kept]
        shown = [_cell(row[one], widths[one], shapes[one]) for one in kept]
        yield _line(shown, [row[one] for one in kept], styles, width)


def _cut(shapes: Sequence[Shape], whole: Sequence[int], kept: Sequence[int], width: int, least: int) -> list[int]:
    """Return the widths of columns, of which the widest are cut, no more than needed."""
    widths = list(whole)
    while _total(widths, kept) > width:
        widest = max((one for one in kept if shapes[one].shrinks), key=lambda one: widths[one], default=None)
        if widest is None or widths[widest] <= least:
            break
        widths[widest] -= 1
    return widths


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[one] for one in kept) + _GAP * (len(kept) - 1)


def _cell(text: str, width: int, shape: Shape) -> str:
    """Return a text in so many columns, cut where it is longer."""
    from rich.cells import cell_len

    short = cut(text, width)
    room = " " * (width - cell_len(short))
    return room + short if shape.right else short + room


def cut(text: str, width: int) -> str:
    """Return a text that takes so many columns at most, its end replaced by "…" where it is longer."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def _line(cells: Sequence[str], texts: Sequence[str], styles: Sequence[Callable[[str], str] | None], width: int) -> str:
    """Return cells in a line that takes so many columns at most."""
    from rich.cells import cell_len

    line, left = "", width
    for number, (cell, text, style) in enumerate(zip(cells, texts, styles, strict=True)):
        gap = " " * _GAP * bool(number)
        if cell_len(gap + cell) > left:
            line += cut((gap + cell).rstrip(), left) if left else ""
            break
        left -= cell_len(gap + cell)
        start = "" if style is None else style(text)
        line += f"{gap}{start}{cell}\x1b[0m" if start else gap + cell
    return line.rstrip()
