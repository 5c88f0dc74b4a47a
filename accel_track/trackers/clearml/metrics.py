"""The scalars of a ClearML task: the values of each call, as series of plots."""

from __future__ import annotations

from functools import partial

from accel_track.trackers.clearml.fast import Scalars
from accel_track.trackers.clearml.plots import Plots
from accel_track.trackers.rows import Row
from accel_track.trackers.sole import SoleTracker


class ClearMLMetrics(SoleTracker):
    """The part of the tracker that reports the values of calls."""

    plots: Plots
    """The plots of the task; new when it is opened."""

    def write_row(self, row: Row) -> None:
        """Report scalars, or single values where there is no step; `kwargs` go to `Logger.report_scalar`."""
        scalars = [(*self.plots.place(name, row.step), float(value)) for name, value in row.values.items()]
        if not row.kwargs and self.fast(Scalars).send(scalars, row.step, row.time):
            return
        logger = self.tracker.get_logger()
        for title, series, value in scalars:
            if row.step is None:
                report = partial(logger.report_single_value, series, value)
            else:
                report = partial(logger.report_scalar, title, series, value, iteration=row.step, **row.kwargs)
            self.taken.part((title, series), report)
