"""Tables, histograms and confusion matrices as DVCLive plots them: lists of rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from accel_track.media import ConfusionMatrix, Histogram, Table
from accel_track.media.tables import distinct
from accel_track.values.plain import finite, is_number

MOST_SAMPLES = 100_000
"""Samples of the largest confusion matrix that is plotted: DVCLive keeps a row for each."""

_Plot = tuple[list[dict[str, Any]], dict[str, Any]]
"""The rows, and the other arguments of `Live.log_plot`."""


def of_table(table: Table) -> _Plot:
    """Return a table's rows, and a line of the first column of numbers over the first column."""
    columns = distinct(table.columns)
    rows = [dict(zip(columns, map(_cell, row), strict=True)) for row in table.rows]
    numbers = (name for name in columns[1:] if all(finite(row[name]) for row in rows))
    return rows, {"x": columns[0], "y": next(numbers, columns[-1])}  # DVCLive's report takes one name only


def of_histogram(histogram: Histogram) -> _Plot:
    """Return a row for each bin, and a bar for each."""
    bins = list(pairwise(histogram.edges))
    names = distinct([f"{low:.6g} to {high:.6g}" for low, high in bins])
    rows = [
        {"bin": name, "from": low, "to": high, "count": number}
        for name, (low, high), number in zip(names, bins, histogram.counts, strict=True)
    ]
    return rows, {"x": "count", "y": "bin", "template": "bar_horizontal"}


def samples(matrix: ConfusionMatrix) -> tuple[list[str], list[str]] | None:
    """Return the true and the predicted class of each sample; None if these cannot be, or are too many."""
    numbers = [number for row in matrix.matrix for number in row]
    if not all(number >= 0 and float(number).is_integer() for number in numbers) or sum(numbers) > MOST_SAMPLES:
        return None
    labels, true, predicted = distinct(matrix.labels), [], []
    for row, target in zip(matrix.matrix, labels, strict=True):
        for number, label in zip(row, labels, strict=True):
            true += [target] * int(number)
            predicted += [label] * int(number)
    return true, predicted


def _cell(value: Any) -> Any:
    """Return a cell as strict JSON has it."""
    return str(value) if is_number(value) and not finite(value) else value
