"""Trackio's fast path on a server: hyperparameters after a run's first row, and word of what was not sent."""

from __future__ import annotations

from typing import Any

from accel_track.trackers.fast import FastPath


class Sending(FastPath):
    """The sending of a run's rows, which Trackio leaves to a thread."""

    distribution = "trackio"
    tested = "==0.43.*"
    parts = ("trackio.sqlite_storage:SQLiteStorage.has_pending_data",)
    attributes = ("_config_logged", "_next_step")

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Not to local runs, for which there is `Store`."""
        return bool(native.url is not None)

    def renew_config(self) -> int:
        """Let the next row carry the hyperparameters, and return the last row's step."""
        self.native._config_logged = False  # noqa: SLF001
        return int(max(self.native._next_step - 1, 0))  # noqa: SLF001

    def count_from(self, step: int) -> None:
        """Let rows without steps begin at one."""
        self.native._next_step = step  # noqa: SLF001

    def unsent(self) -> bool:
        """Return whether Trackio keeps rows of this project that the server has not got."""
        from trackio.sqlite_storage import SQLiteStorage

        return bool(SQLiteStorage.has_pending_data(self.native.project))
