"""The plots and other files of media in a DVCLive folder, as media."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accel_track.files import read_file
from accel_track.media import ConfusionMatrix, Histogram, Table
from accel_track.media.fallbacks import stored
from accel_track.media.kinds import Medium
from accel_track.trackers.reading.media import read_medium, with_file
from accel_track.trackers.reading.tables import cell
from accel_track.trackers.reading.values import LARGEST, json_file

_BINS, _SAMPLES = {"bin", "from", "to", "count"}, {"actual", "predicted"}
_TARGET, _PREDICTED = "target", "predicted "


def medium_in(path: Path, scratch: Path) -> Medium | None:
    """Return the medium that a file holds; None if it is none of those known.

    Args:
        path: The file: a plot's rows in JSON, a table in CSV, or a file that says by its name what it is.
        scratch: Where to make files.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged.
        TypeError: Its content is of another form.
        KeyError: As above.
    """
    if path.name.endswith(".json") and not path.name.endswith(".plotly.json"):
        return stored(_of_rows(json_file(path)), scratch)
    if path.suffix == ".csv":
        return stored(_of_csv(read_file(path, LARGEST).decode()), scratch)
    found = read_medium(path)
    return None if found is None else with_file(found, scratch)


def _of_rows(content: Any) -> Medium:
    """Return a plot's rows as a histogram, a confusion matrix or a table."""
    if isinstance(content, dict) and len(content) == 1:  # a curve of scikit-learn's, by its name
        (content,) = content.values()
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        message = "a plot holds rows"
        raise TypeError(message)
    rows: list[Mapping[str, Any]] = content
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if rows and set(columns) == _BINS:
        counts = [row["count"] for row in rows]
        return Histogram(counts=counts, edges=[*(row["from"] for row in rows), rows[-1]["to"]])
    if rows and set(columns) == _SAMPLES:
        return _of_samples([(str(row["actual"]), str(row["predicted"])) for row in rows])
    return Table([[row.get(name) for name in columns] for row in rows], columns)


def _of_samples(pairs: Sequence[tuple[str, str]]) -> Medium:
    """Return the confusion matrix of true and predicted classes."""
    labels = sorted({label for pair in pairs for label in pair}, key=lambda label: (_order(label), label))
    places = {label: place for place, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    for true, predicted in pairs:
        matrix[places[true]][places[predicted]] += 1
    return ConfusionMatrix(matrix=matrix, labels=labels)


def _order(label: str) -> float:
    number = cell(label)
    return float(number) if isinstance(number, (int, float)) and not math.isnan(number) else math.inf


def _of_csv(text: str) -> Medium:
    """Return a confusion matrix, or a table whose cells may be numbers."""
    import csv
    import io

    columns, *lines = csv.reader(io.StringIO(text))
    rows = [[cell(one) for one in line] for line in lines]
    labels = [name.removeprefix(_PREDICTED) for name in columns[1:]]
    if columns[:1] == [_TARGET] and [str(line[0]) for line in lines] == labels:
        return ConfusionMatrix(matrix=[row[1:] for row in rows], labels=labels)
    return Table(rows, columns)
