"""The site's hook for tables: a table that is wider than a phone becomes a list there, a part for each of its rows.

Each cell of such a table gets the name of its column, `data-label`, which the style sheet writes in front of it on a
narrow screen. A table of short cells has `data-short` besides: there, two of them stand in a line.
"""

from __future__ import annotations

import html as html_text
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

_PHONE, _LETTER, _BORDER = 320, 7.2, 12
"""Pixels of a table on a narrow phone, of a letter in it, and between two columns."""

_PHRASE, _SHORT = 18, 14
"""Letters of a column's line that is pleasant to read, and of the longest cell that takes half a line."""

_TABLE = re.compile(r"<table>(.*?)</table>", re.DOTALL)
_ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Label the cells of tables that no phone has room for; those of the reference have room."""
    if page.file.src_uri.startswith("reference/"):
        return html
    return _TABLE.sub(lambda table: _labelled(table[1]), html)


def _labelled(table: str) -> str:
    rows = [[_text(cell[3]) for cell in _CELL.finditer(row)] for row in _ROW.findall(table)]
    if _fits(rows):
        return f"<table>{table}</table>"
    short = " data-short" if all(len(text) <= _SHORT for row in rows[1:] for text in row[1:]) else ""
    return f"<table data-list{short}>{_ROW.sub(lambda row: _row(row[1], rows[0]), table)}</table>"


def _row(row: str, labels: list[str]) -> str:
    names = iter(labels)

    def cell(found: re.Match[str]) -> str:
        kind, attributes, content = found.groups()
        label = html_text.escape(next(names))
        if kind == "th":
            return found[0]
        return f'<td{attributes} data-label="{label}"><span>{content}</span></td>'

    return f"<tr>{_CELL.sub(cell, row)}</tr>"


def _fits(rows: list[list[str]]) -> bool:
    columns = zip(*rows, strict=True)
    width = sum(max(max(_longest_word(text), min(len(text), _PHRASE)) for text in column) for column in columns)
    return width * _LETTER + len(rows[0]) * _BORDER <= _PHONE


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _text(content: str) -> str:
    return html_text.unescape(re.sub(r"<[^>]*>", "", content)).strip()
