"""The rows of a Trackio run: a local run's together, a server's through the run's queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accel_track.errors import warn
from accel_track.media.calls import AlertLevel
from accel_track.trackers.rows import Row
from accel_track.trackers.trackio.config import TrackioConfig
from accel_track.trackers.trackio.names import unicode_names
from accel_track.trackers.trackio.server import Sending
from accel_track.trackers.trackio.store import Store

# orjson, which Trackio writes rows with, takes integers of 64 bits.
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1
_LOST = "Trackio could not convert it, see its warning"
_PACKAGES = frozenset(("trackio", "matplotlib", "plotly"))


class TrackioMetrics(TrackioConfig):
    """The part of the tracker that stores the rows of calls."""

    def refusal(self, value: Any) -> str | None:
        """Refuse integers beyond 64 bits, too."""
        if isinstance(value, int) and not _SMALLEST <= value <= _GREATEST:
            return ""
        return super().refusal(value)

    def takes_object(self, value: Any) -> bool:
        """Take its own objects, figures and lists: it leaves out, with a warning at most, what it cannot write."""
        if isinstance(value, (list, tuple)):
            return len(value) > 0 and all(self.refusal(item) is None for item in value)
        return not _PACKAGES.isdisjoint(cls.__module__.partition(".")[0] for cls in type(value).__mro__)

    def write(self, rows: Sequence[Row]) -> None:
        """Write a local run's rows together, each with the time of its call; others go into the run's queue."""
        lost: list[tuple[str, Any]] = []
        # A direct call of `log` is one row, for which a transaction of its own would take milliseconds.
        direct = self.record_time is None and any(row.record.seq < 0 for row in rows)
        if direct or not self.fast(Store).send(rows, lost):
            super().write(rows)
        elif len(lost) < sum(len(row.values) for row in rows):
            self._empty = False
        for key, value in lost:
            self.drop(key, value, _LOST)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise one of Trackio's alerts.

        A local run's from a delivery is stored once, with the time at which it was raised. One that goes to a webhook
        or a server has the time of its delivery.
        """
        raised, kind = self.record_time, {"warning": "warn"}.get(level, level)
        if raised is None or not self.fast(Store).use(lambda fast: fast.store_alert(title, text, kind, raised)):
            levels = type(self.import_sdk().AlertLevel.WARN)
            self.tracker.alert(title, self.said_late(text) or None, levels(kind))

    def write_row(self, row: Row) -> None:
        """Put a row into the run's queue."""
        if self._pending:
            self.fast(Sending).use(Sending.renew_config)
        self._pending = self._empty = False
        self.tracker.log(unicode_names(row.values), step=row.step, **row.kwargs)
        for name, value in row.values.items():
            if getattr(value, "_file_path", value) is None:  # its file could not be stored, so Trackio left it out
                self.drop(name, value, _LOST)

    def rewind(self, step: int) -> None:
        """Delete a local run's rows from a step on, so that each step has one value."""
        self.fast(Sending).use(lambda fast: fast.count_from(step))
        if self.tracker.url is None and not self.fast(Store).use(lambda fast: fast.delete_rows(step)):
            warn(f"{self.name}: its rows of step {step} and later ones stay beside those that are logged again.")
