"""The watches of one tracker object, which logs their histograms by itself, in the backward pass."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from accel_track.errors import warn

if TYPE_CHECKING:
    from accel_track.monitors.watch import Watch
    from accel_track.trackers.base import GeneralTracker


class OwnWatches:
    """The modules that a tracker object was told to watch, until it is finished.

    Args:
        tracker: The tracker, which this does not keep alive.
    """

    def __init__(self, tracker: GeneralTracker) -> None:
        """Watch nothing yet."""
        self._tracker = weakref.ref(tracker)
        self._watches: list[Watch] = []

    def add(self, model: Any, log: str, every: int) -> None:
        """Watch a module, in place of an earlier watch of it.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` is something else.
        """
        from accel_track.monitors.watch import Watch

        watch = Watch(model, log, every, ready=self.log)
        self.remove(watch.model)
        self._watches.append(watch)

    def remove(self, model: Any = None) -> None:
        """Watch a module no longer, or none."""
        ending = [one for one in self._watches if model is None or one.model is model]
        self._watches = [one for one in self._watches if one not in ending]
        for watch in ending:
            watch.end()

    def log(self, watch: Watch) -> None:
        """Log the histograms of a watch; never raises into a training's backward pass."""
        tracker = self._tracker()
        if tracker is None or not getattr(tracker, "started", True):  # a stand-in does not know
            self.remove()
            return
        watch.stamp(watch.passes)
        try:
            for step, values in watch.histograms():
                tracker._log_media(dict(values), step)  # noqa: SLF001 - of one mechanism
        except Exception as error:  # noqa: BLE001 - an SDK's own
            self.remove()
            warn(f"{tracker.name}: watch: could not log a histogram ({type(error).__name__}: {error}), and ends.")
