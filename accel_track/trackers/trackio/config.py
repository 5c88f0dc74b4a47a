"""A Trackio run's hyperparameters, which Trackio itself stores with the first row, and never again."""

from __future__ import annotations

from typing import Any

from accel_track.texts import storable_texts
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.trackio.server import Sending
from accel_track.trackers.trackio.store import Store
from accel_track.values.plain import long_integers_as_text, storable


class TrackioConfig(SDKTracker):
    """The part of the tracker that keeps hyperparameters."""

    _pending = False
    """Whether only the next row can carry what was stored last."""

    _empty = False
    """Whether the run has no rows."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters in a local run; on a server they go out with the next row, or when the run ends."""
        portable = self._portable(values)
        self.tracker.config.update(portable)
        self._pending = self.fast(Store).use(Store.store_config) is None
        if self._pending and self.fast(Sending).fast is None and not self._empty:
            for name, value in portable.items():
                self.drop(name, value, "Trackio takes no hyperparameters after a run's first row")

    def _begin_config(self, run: Any, *, resumed: bool) -> None:
        """Take up what a resumed local run has stored, which Trackio itself would erase."""
        self._pending = self._empty = False
        last: int | None = None
        stored: dict[str, Any] = {}
        if resumed and run.url is None:
            last, stored = self.fast(Store).use(Store.stored) or (None, _public_config(self.import_sdk(), run))
        config = {**stored, **run.config}
        run.config = {name: value for name, value in config.items() if name.startswith("_")}
        run.config |= self._portable({name: value for name, value in config.items() if name not in run.config})
        self._empty = last is None

    def _finish_config(self, run: Any) -> None:
        """Let a row without values carry hyperparameters that are not stored, or that Trackio shows with rows only."""
        configured = any(not name.startswith("_") for name in run.config)
        if self._pending or (self._empty and configured):
            step = self.fast(Sending).use(Sending.renew_config) if self._pending else 0
            run.log({}, step=step)

    def _portable(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values that Trackio can write, and count the rest: it would lose all rows that come with it."""
        portable: dict[str, Any] = storable_texts(long_integers_as_text(storable(values)))
        for name in [name for name in portable if name.startswith("_")]:
            why = 'Trackio keeps hyperparameters whose names begin with "_" for itself'
            self.drop(name, portable.pop(name), why)
        return portable


def _public_config(trackio: Any, run: Any) -> dict[str, Any]:
    """Return the hyperparameters that are stored of a run that has rows."""
    try:
        return next((one.config or {} for one in trackio.Api().runs(run.project) if one.id == run.id), {})
    except ValueError:  # there is no such project yet
        return {}
