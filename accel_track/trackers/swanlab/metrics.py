"""The values of a SwanLab run: those of each call that SwanLab will keep."""

from __future__ import annotations

from typing import Any

from accel_track.errors import HalfStoredError, warn
from accel_track.trackers.rows import Row
from accel_track.trackers.swanlab.fast import Rows, Threads
from accel_track.trackers.swanlab.log_file import SUFFIX
from accel_track.trackers.swanlab.media import SwanLabMedia
from accel_track.trackers.swanlab.series import AllSeries, kind_of


class SwanLabMetrics(SwanLabMedia):
    """The part of the tracker that logs the values that SwanLab will keep."""

    series: AllSeries
    """SwanLab's series by name; empty when the run is opened."""

    def takes_object(self, value: Any) -> bool:
        """Take SwanLab's media objects and charts, also lists of these."""
        return kind_of(value) is not None

    def write_row(self, row: Row) -> None:
        """Log the values of a call that SwanLab will keep; `kwargs` that are not of its images go to `Run.log`."""
        run, text = self.alive(), self.import_sdk().Text
        kept, refused = self.series.kept(row.values, row.step)
        if kept:
            # SwanLab takes a string for the text of a number and drops any other one.
            values = {name: text(one) if isinstance(one, str) else one for name, one in kept.items()}
            more = self.kwargs_of_log(row)
            if more or not self.fast(Rows).send(values, row.step, row.time):
                run.log(values, step=row.step, **more)
            self.series.note(kept, row.step)
        for one in refused:
            self.drop(*one)

    def rewind(self, step: int) -> None:
        """Warn that SwanLab keeps its values; those of this process are still counted if it refuses them."""
        warn(f"{self.name}: it keeps the first value of a step, so what it has from step {step} on is not replaced.")

    def flush(self) -> None:
        """See whether SwanLab's thread could write what it had; it has no way to make it write.

        Raises:
            HalfStoredError: It could not, and does not try again.
        """
        with self.place.using(self, stores=True):
            self.check_written()

    def check_written(self) -> None:
        """Raise the error with which SwanLab's thread has lost a record, if it has.

        Raises:
            HalfStoredError: It has.
            EndedError: An offline run's file is gone.
        """
        if self._folder is not None:
            self.check_file(self._folder, f"*{SUFFIX}")
        if (error := self.fast(Threads).use(lambda threads: threads.lost)) is not None:
            message = f"{self.name}: its thread could not write a record ({error}), and does not try again."
            raise HalfStoredError(message) from error
