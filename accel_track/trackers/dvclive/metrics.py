"""DVCLive's metrics: calls of `log` as lines of its tables, and their last values in `metrics.json`."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accel_track.trackers.dvclive.fast import LivePath, TablesPath
from accel_track.trackers.dvclive.steps import NAME_LENGTH, NOT_IN_PATHS, cut
from accel_track.trackers.dvclive.tables import Line, appended, cut_tables, summary
from accel_track.trackers.names import hashed_name, safe_name
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker

_COLUMNS = ("step", "timestamp")
"""The columns of a table, beside the one that has the last part of the metric's name."""


def table_name(key: str, folder: Path) -> str:
    """Return the name that a metric's table has in the folder of a run, or would have.

    Args:
        key: The name that the program has given.
        folder: The folder of the `Live`.
    """
    name = safe_name(key, NOT_IN_PATHS, NAME_LENGTH)
    other = hashed_name(name.replace("/", "_"), key, NAME_LENGTH)
    is_other = name.rpartition("/")[2] in _COLUMNS or (folder / "plots" / "metrics" / f"{other}.tsv").exists()
    return other if is_other else name


class DVCLiveMetrics(SDKTracker):
    """The part of the tracker that stores metrics."""

    _names: dict[str, str]
    """DVCLive's names of metrics, by the program's."""

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Bind the arguments to `Live.log_metric`, of which `timestamp` and `plot` are left."""
        inspect.signature(self.tracker.log_metric).bind("", 0, **kwargs)

    def write(self, rows: Sequence[Row]) -> None:
        """Append the values of several calls, each table once; DVCLive's other files are written at the end."""
        if not rows:
            return
        live = self.tracker
        if self.fast(TablesPath).fast is None:
            super().write(rows)
            self._sum_up(rows[-1])
            return
        before = live.step, live.summary, dict(self._names)
        try:
            lines, newest = self._gathered(rows)
            with appended(Path(live.plots_dir), lines):
                for name, value in newest.items():
                    live.log_metric(name, value, plot=False)
                self._sum_up(rows[-1])
        except BaseException:
            live.step, live.summary, self._names = before
            raise

    def _gathered(self, rows: Sequence[Row]) -> tuple[Mapping[str, list[Line]], Mapping[str, Any]]:
        """Return each metric's lines and its last value, and count the steps of calls that have none."""
        lines: defaultdict[str, list[Line]] = defaultdict(list)
        newest: dict[str, Any] = {}
        step = self.tracker.step
        for row in rows:
            if row.step is not None:
                step = row.step
            begin = (int(row.time * 1000), step) if row.kwargs.get("timestamp") else (step,)
            for key, value in row.values.items():
                name = self._names.get(key) or self._new_name(key, value)
                newest[name] = value
                if row.kwargs.get("plot", True):
                    lines[name].append((*begin, value))
            if row.step is None:
                step += 1
        self.tracker.step = step
        return lines, newest

    def write_row(self, row: Row) -> None:
        """Append one call's values one by one."""
        live = self.tracker
        if row.step is not None:
            live.step = row.step
        for key, value in row.values.items():
            name = self._names.get(key) or self._new_name(key, value)
            self.taken.part(name, partial(live.log_metric, name, value, **row.kwargs))
        if row.step is None:
            live.step += 1

    def _sum_up(self, last: Row) -> None:
        """Write `metrics.json` after a last call, and where it had no step, all that `Live.next_step` writes."""
        live, coming = self.tracker, self.tracker.step
        try:
            if last.step is None:
                live.step = coming - 1
                live.next_step()
            else:
                live.make_summary()
        finally:
            live.step = coming

    def _new_name(self, key: str, value: Any) -> str:
        """Return a name that is free in the summary, `metrics.json`, where "/" means nesting, and take its place."""
        name = safe_name(key, NOT_IN_PATHS, NAME_LENGTH)
        *parents, last = name.split("/")
        place = self.tracker.summary
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else None
        taken = not isinstance(place, dict) or isinstance(place.get(last), dict)
        if taken or last in _COLUMNS:
            name = hashed_name(name.replace("/", "_"), key, NAME_LENGTH)
        self.tracker.log_metric(name, value, plot=False)
        self._names[key] = name
        return name

    def rewind(self, step: int) -> None:
        """Remove the values of a step and later ones."""
        live, folder = self.tracker, Path(self.tracker.dir)
        cut_tables(folder, step)
        media = cut(Path(live.plots_dir), step)
        self.fast(LivePath).use(lambda fast: fast.forget_plots(media))
        live.summary = summary(folder)
        live.step = live.summary.get("step", 0)
        live.make_summary()
        live.step = step

    def flush(self) -> None:
        """Bring `metrics.json`, `dvc.yaml`, the report and DVC Studio up to date."""
        live, coming = self.tracker, self.tracker.step
        # As `Live.end` does it: what is stored is the step of the last values, from which a resumed run counts on.
        live.step = live.summary.get("step", coming)
        live.sync()
        live.step = coming
