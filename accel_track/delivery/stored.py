"""A worker on a journal that is on disk, for `accel_track.delivery.sync`."""

from __future__ import annotations

import time
from pathlib import Path

from filelock import BaseFileLock

from accel_track.delivery.report import line
from accel_track.delivery.sources import StoredSource
from accel_track.delivery.worker import Worker
from accel_track.journal.reader import last_seq, read_last

GRACE = 30.0
"""Seconds that a worker gets to end by itself after its deadline, or after Ctrl-C."""


class Job:
    """One worker, with what it needs.

    Args:
        name: Name of the tracker.
        worker: Not started yet.
        source: The worker's source.
        lock: The lock on its cursor, held.
        folder: The rank's folder.
    """

    def __init__(self, name: str, worker: Worker, source: StoredSource, lock: BaseFileLock, folder: Path) -> None:
        """Count the records."""
        self.name, self.worker, self.source, self.lock = name, worker, source, lock
        self._given_up_at = float("inf")
        self._folder = folder
        self._last, self._later = read_last(folder)
        self._seen = -1

    def begin(self, timeout: float, *, ends: bool) -> None:
        """Start the worker; if it is to end at the journal's, its deadline begins here."""
        if ends:
            self.worker.close(timeout)
        self.worker.start(0.0)

    def look(self, timeout: float, *, ends: bool) -> None:
        """Give the worker more time if it got on; unlimited time while it is not to end."""
        if ends and self.worker.cursor.seq != self._seen:
            self._seen = self.worker.cursor.seq
            self.worker.close(timeout)
            self._given_up_at = time.monotonic() + timeout + GRACE

    def stop(self) -> None:
        """Have the worker end behind the records that it has; at once where its backend does not answer."""
        self.source.stopped = True
        self.worker.close(0.0 if self.worker.stalled is not None else GRACE)

    @property
    def over(self) -> bool:
        """Whether the worker is through, or hangs in its SDK."""
        return self.worker.over.is_set() or time.monotonic() > self._given_up_at

    def records(self) -> int:
        """Return how many records there are by now."""
        self._last = max(self._last, max((record.seq for record in self._later), default=-1))
        return self._last + 1

    def error(self) -> str | None:
        """Return why something is left, or None."""
        pending = line(self.worker, last_seq(self._folder) + 1).pending
        if self.worker.failure is None and not pending:
            return None
        if self.worker.last_error is None and self.source.stopped:
            return "stopped"
        return self.worker.last_error or (None if self.worker.over.is_set() else "no answer in time")
