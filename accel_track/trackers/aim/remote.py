"""An `aim server`'s receipts: Aim's client sends from a thread of its own, which tells of no failure."""

from __future__ import annotations

import time
from typing import Any

from accel_track.trackers.fast import FastPath

SECONDS = 10.0
_LOOK = 0.02


class QueuePath(FastPath):
    """Waits for the queue of Aim's client, whose own way of waiting never ends where its thread has."""

    distribution = "aim"
    tested = "==3.29.*"
    attributes = ("repo._client._queue._queue.unfinished_tasks", "repo._client._queue._thread.is_alive")

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Return whether the run is at a server."""
        return bool(native.repo.is_remote_repo)

    def wait(self) -> bool:
        """Wait until the server has answered everything that was sent to it.

        Raises:
            ConnectionError: It has not in that time, or the client has ended.
        """
        queue = self.native.repo._client._queue  # noqa: SLF001
        end = time.monotonic() + SECONDS
        while count := queue._queue.unfinished_tasks:  # noqa: SLF001
            if not queue._thread.is_alive():  # noqa: SLF001
                message = (
                    f"Aim's client has stopped with {count} requests that the server has not taken; check the server "
                    "and what stands before it, and deliver the run with `accel-track sync` after this process"
                )
                raise ConnectionError(message)
            if time.monotonic() > end:
                message = f"the Aim server has not answered {count} requests; check that it is running"
                raise ConnectionError(message)
            time.sleep(_LOOK)
        return True
