"""The source of the CSV files that Lightning's CSVLogger writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from accel_track.importers.below import SourceBelow
from accel_track.importers.rows import BatchedRun, Rows
from accel_track.records import Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.lost import OUTSIDE
from accel_track.trackers.reading.places import is_within
from accel_track.trackers.reading.tables import cell, rows, step_in_cell
from accel_track.trackers.reading.walks import walked
from accel_track.trackers.reading.yaml import plain_yaml

_AT_ONCE = 1000
"""Rows that become numbers together."""

_LONGEST = 24
"""Characters of the longest number that does."""

_NONE: Any = object()

METRICS, HPARAMS = "metrics.csv", "hparams.yaml"
_STEP = "step"


class CsvLogsRun(BatchedRun):
    """One folder of a CSVLogger, `<save_dir>/<name>/version_<n>`.

    Args:
        folder: The folder.
        root: The folder that holds all runs.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """Read the hyperparameters."""
        self._file = folder / METRICS
        super().__init__(folder.name if folder == root else folder.relative_to(root).as_posix())
        self.name = folder.name
        self.project = folder.parent.name if folder != root else None
        files = [file for file in (self._file, folder / HPARAMS) if file.is_file() and is_within(file, root)]
        self._changed = min((file.stat().st_mtime for file in files), default=0.0)
        if self._file not in files:
            self.lost[OUTSIDE] += 1
        if folder / HPARAMS in files:
            try:
                self.config = plain_yaml(folder / HPARAMS)
            except (OSError, ValueError) as error:
                self.lost[f"{HPARAMS} cannot be read: {error}"] += 1
        self._follows = self._file in files

    def batches(self) -> Iterator[Metrics | Rows]:
        """Yield the rows, at the time of the oldest file's last change; a cell without text is no value."""
        if not self._follows:
            return
        table = rows(self._file, self.lost)
        columns = next(table, [])
        for filled, same in groupby(table, lambda row: tuple(map(bool, row))):
            while block := list(islice(same, _AT_ONCE)):
                if (together := self._together(columns, filled, block)) is not None:
                    yield together
                else:
                    yield from filter(None, (self._call(columns, row) for row in block))

    def _call(self, columns: Sequence[str], row: Sequence[str]) -> Metrics | None:
        given = {name: text for name, text in zip(columns, row, strict=True) if text and name != _STEP}
        step = step_in_cell(row[columns.index(_STEP)]) if _STEP in columns else None
        values = {name: cell(text) for name, text in given.items()}
        return Metrics(-1, self._changed, values, step=step) if values else None

    def _together(self, columns: Sequence[str], filled: Sequence[bool], block: list[list[str]]) -> Rows | None:
        """Return rows with something in the same cells; None if these are not numbers alone."""
        import numpy as np

        if len(set(columns)) < len(columns):
            return None
        numbers = {
            name: _numbers(texts)
            for name, there, texts in zip(columns, filled, zip(*block, strict=True), strict=True)
            if there
        }
        steps = numbers.pop(_STEP, None) if _STEP in numbers else _NONE
        found = [one for one in numbers.values() if one is not None]
        if not found or len(found) < len(numbers) or steps is None:
            return None
        if steps is not _NONE and (steps.dtype.kind != "i" or steps.min() < 0):
            return None
        moments = np.full(len(block), self._changed)
        return Rows(tuple(numbers), found, None if steps is _NONE else steps, moments)


class CsvLogsSource(SourceBelow):
    """The runs of a CSVLogger below a folder: each folder with a `metrics.csv` that has a column of steps is one."""

    name = "csv_logs"
    what = "the folders of Lightning's CSVLogger (metrics.csv and hparams.yaml)"
    none = "no folder of Lightning's CSVLogger"
    cannot_give = (
        "Numbers and hyperparameters alone; objects among the hyperparameters are texts, and all values have the "
        "time of the file."
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the folders with such a table."""
        for folder, _, names in walked(place, quick=quick):
            if METRICS in names and _has_steps(folder / METRICS):
                yield folder

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs in the order of their folders' names."""
        root = Path(self.place)
        return (CsvLogsRun(folder, root.parent if root.is_file() else root) for folder in found)


def _has_steps(file: Path) -> bool:
    return _STEP in next(rows(file, Counter()), [])


def _numbers(texts: Sequence[str]) -> Any:
    """Return cells as an array of integers or of floats, as `cell` reads each; None if they are not alike."""
    import numpy as np

    joined = "".join(texts)
    if not joined.isascii() or "_" in joined or joined.split() != [joined] or max(map(len, texts)) > _LONGEST:
        return None
    whole = {text.lstrip("+-").isdecimal() for text in texts}
    try:
        found = np.array(list(map(int if whole == {True} else float, texts)))
    except ValueError:
        return None
    return found if len(whole) == 1 and found.dtype in (np.int64, np.float64) else None
