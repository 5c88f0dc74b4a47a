"""The run of an Aim tracker, as long as it takes everything."""

from __future__ import annotations

from typing import Any

from accel_track.errors import EndedError
from accel_track.trackers.sdk import SDKTracker


class AimLiving(SDKTracker):
    """The part of the tracker that knows whether the program has closed the run."""

    def alive(self) -> Any:
        """Return the run if it takes everything.

        Raises:
            EndedError: It is closed: Aim takes numbers then, without its lock, and neither hyperparameters nor files.
        """
        run = self.tracker
        if run.meta_run_tree is None:
            message = f"{self.name}: the run takes no more values; the program has closed it."
            raise EndedError(message)
        return run
