"""The run of a wandb tracker, as long as it takes anything."""

from __future__ import annotations

from typing import Any

from accel_track.errors import EndedError
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.wandb.fast import Rows


class WandBLiving(SDKTracker):
    """The part of the tracker that knows whether the program has ended the run, as `wandb.finish()` does."""

    _own: str | None = None
    """The place of this process's run in the folder, if the run is offline."""

    def alive(self) -> Any:
        """Return the run if it takes values.

        Raises:
            EndedError: It is finished: wandb refuses values then, and takes a configuration and keeps none of it.
        """
        if self.fast(Rows).use(Rows.is_finished):
            message = f"{self.name}: the run takes no more values; the program has finished it."
            raise EndedError(message)
        return self.tracker

    def flush(self) -> None:
        """Look whether an offline run's file is still there; wandb itself has no flush.

        Raises:
            EndedError: It is gone.
        """
        if self._own is not None:
            self.check_file(self._own, "*.wandb")
