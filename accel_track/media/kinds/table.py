"""Tables, and tables of how often classes were confused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accel_track.media import pixels, tables, waiting
from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium

if TYPE_CHECKING:
    pass


_MOST_CLASSES = 1000


class Table(Medium):
    """A table.

    A cell is a number, a text, a boolean or None. Dates become texts in ISO 8601, missing values become None, and other
    objects become texts by `str`.

    Args:
        data: Rows, each a list with a cell per column or a dictionary of cells by column; a dictionary of columns; or a
            table of pandas, polars or pyarrow.
        columns: Names of the columns. Default: the names in `data`, else 0, 1, ….
        dataframe: A table of pandas, polars or pyarrow, in place of `data`.
    """

    kind = "table"

    def __init__(self, data: Any = None, columns: Sequence[str] | None = None, *, dataframe: Any = None) -> None:
        """Keep the table until it is logged."""
        self._given = (columns, data, dataframe)
        self.info = {}

    def content(self) -> Content:
        """Return the table as JSON, `{"columns": […], "data": [[…], …]}`, or what becomes that later."""
        columns, table = self._table()
        info = {**self.info, "columns": len(columns), "rows": len(table)}
        if (cells := tables.packed(columns, table)) is not None:
            return Content(info, waiting.CELLS, cells=cells)
        return Content(info, ".json", data=tables.as_json(columns, table))

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if not self._is_stored():
            columns, table = tables.rows(*self._given)
            return columns, tables.plain_cells(table)
        found = self.__dict__.get("_read")
        if found is None:
            with self._reading():
                whole = json.loads(self.data())
                found = self.__dict__["_read"] = (whole["columns"], whole["data"])
        return found

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._table()[0]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows, each a list of cells."""
        return self._table()[1]

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return tables.markdown(*self._table())

    def csv(self) -> str:
        """Return the table as CSV, with a line of column names."""
        return tables.csv_text(*self._table())


class ConfusionMatrix(Medium):
    """A confusion matrix.

    Args:
        targets: The true classes, integers from 0, of shape (n,).
        predictions: The predicted classes, integers from 0, of shape (n,).
        matrix: The counts, of shape (classes, classes), in place of `targets` and `predictions`: row i and column j
            have the number of samples of class i that were predicted as class j. A matrix has 1,000 classes at most.
        labels: Names of the classes. Default: their numbers.
    """

    kind = "confusion_matrix"

    def __init__(
        self, targets: Any = None, predictions: Any = None, *, matrix: Any = None, labels: Sequence[Any] | None = None
    ) -> None:
        """Keep the classes until they are logged."""
        self._given = (targets, predictions, matrix, labels)
        self.info = {}

    def content(self) -> Content:
        """Return the matrix and the names of its classes."""
        import numpy as np

        targets, predictions, matrix, labels = self._given
        if (matrix is None) != (targets is not None and predictions is not None):
            message = "a confusion matrix is made either of `targets` and `predictions`, or of `matrix`."
            raise TypeError(message)
        if matrix is None:
            true, guessed = (
                number_array.reshape(-1)
                for number_array in (pixels.number_array(one, "classes are numbers") for one in (targets, predictions))
            )
            if true.dtype.kind == "f" or guessed.dtype.kind == "f" or true.shape != guessed.shape or not true.size:
                message = f"classes are integers, as many true as predicted ones; got {true.shape}, {guessed.shape}."
                raise ValueError(message)
            most = max(int(true.max()), int(guessed.max())) + 1
            count = most if labels is None else len(labels)
            if min(int(true.min()), int(guessed.min())) < 0 or most > count or count > _MOST_CLASSES:
                message = f"classes are numbers from 0 to {count - 1}, one for each label, and {_MOST_CLASSES} at most."
                raise ValueError(message)
            counts = np.zeros((count, count), np.int64)
            np.add.at(counts, (true.astype(np.int64), guessed.astype(np.int64)), 1)
        else:
            counts = pixels.number_array(matrix, "a confusion matrix holds numbers")
            if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:  # noqa: PLR2004
                message = f"a confusion matrix is square; got the shape {counts.shape}."
                raise ValueError(message)
            if len(counts) > _MOST_CLASSES:
                message = f"a confusion matrix has {_MOST_CLASSES} classes at most; got {len(counts)}."
                raise ValueError(message)
        names = [str(label) for label in (range(len(counts)) if labels is None else labels)]
        if len(names) != len(counts):
            message = f"a confusion matrix of {len(counts)} classes needs as many labels; got {len(names)}."
            raise ValueError(message)
        return Content({"matrix": counts.tolist(), "labels": names})

    @property
    def matrix(self) -> list[list[float]]:
        """The counts: row i and column j have the number of samples of class i that were predicted as class j."""
        return [list(row) for row in self.info["matrix"]]

    @property
    def labels(self) -> list[str]:
        """The names of the classes."""
        return list(self.info["labels"])
