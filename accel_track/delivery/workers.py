"""The workers of one run, with the locks on their cursors."""

from __future__ import annotations

import time
from collections.abc import Iterator

from accel_track.delivery.locks import Locks
from accel_track.delivery.report import wait_for
from accel_track.delivery.worker import Worker, finish_in_order
from accel_track.errors import DeliveryError
from accel_track.journal.cursor import Cursor
from accel_track.journal.writer import JournalWriter
from accel_track.outcome import Outcome


class _Draining:
    """A worker until it has acknowledged the records before a number, for `wait_for`."""

    last_error, missing, unfinished = None, 0, False

    def __init__(self, worker: Worker, seq: int) -> None:
        self.name = worker.name
        self.over = self
        self._worker, self._seq = worker, seq

    @property
    def cursor(self) -> Cursor:
        return self._worker.cursor

    durable = cursor

    def wait(self, timeout: float) -> bool:
        end = time.monotonic() + timeout
        # What it waits for itself, nobody waits for here.
        return self._worker.drain(self._seq, timeout) or time.monotonic() < end


class Workers:
    """The workers of a run: they drain, rest, wake and end together.

    Args:
        locks: The run's locks; a worker delivers only while its cursor is held.
    """

    def __init__(self, locks: Locks) -> None:
        """Begin without workers."""
        self._all: list[Worker] = []
        self._locks = locks
        self._told: set[str] = set()

    def __iter__(self) -> Iterator[Worker]:
        """Yield each worker."""
        return iter(self._all)

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self._all)

    def append(self, worker: Worker) -> None:
        """Take a worker on, whose cursor is held."""
        self._all.append(worker)

    def remove(self, worker: Worker) -> None:
        """Leave out a worker whose tracker could not be started."""
        self._all.remove(worker)
        worker.close(0.0)
        self.release(worker)

    @property
    def acknowledged(self) -> int:
        """Number of the next record that a tracker has not acknowledged; 0 if there is no worker."""
        return min((worker.cursor.seq for worker in self._all), default=0)

    def drain(self, seq: int, timeout: float, *, name: str | None = None) -> None:
        """Wait until the records before a number are acknowledged, by the trackers of a name or by all."""
        end = time.monotonic() + timeout
        for worker in self._all:
            if name in (None, worker.tracker.name):
                worker.drain(seq, max(0.0, end - time.monotonic()))

    def may_rest(self, seq: int) -> bool:
        """Return whether the records before a number are acknowledged by all that go on."""
        return all(worker.may_rest(seq) for worker in self._all)

    def rest(self) -> None:
        """Let the workers' threads end, or wait if a tracker is bound to its own."""
        for worker in self._all:
            worker.rest()

    def wait_for_rest(self, timeout: float) -> None:
        """Wait until they have."""
        end = time.monotonic() + timeout
        for worker in self._all:
            worker.wait_for_rest(max(0.0, end - time.monotonic()))

    def wake(self) -> None:
        """Let the workers deliver again whose cursor is not in the hands of `accel-track sync`."""
        for worker in self._all:
            if worker.resting and self._locks.claim(worker.name):
                worker.wake()

    def close(self, outcome: Outcome, timeout: float) -> None:
        """Let the workers deliver the present records and finish their trackers in the background, in that time."""
        finish_in_order(self._all)
        for worker in self._all:
            worker.outcome = outcome
            worker.close(timeout)

    def drain_own(self, journal: JournalWriter, timeout: float) -> None:
        """Wait until trackers that are not the package's have what was logged, and what they have logged thereupon.

        A custom tracker may log to its own run. Once the others are told to end, nobody would deliver that.
        """
        end, seq = time.monotonic() + timeout, -1
        own = [one for one in self._all if not type(one.tracker).__module__.startswith("accel_track.trackers.")]
        while own and seq < journal.next_seq and time.monotonic() < end:
            seq = journal.next_seq
            wait_for([_Draining(worker, seq) for worker in own], seq, end - time.monotonic())

    def release(self, *workers: Worker) -> None:
        """Give the cursors back of those that have ended, of the given ones or all."""
        for worker in workers or self._all:
            if worker.over.is_set():  # else it may still store its cursor: the lock ends with the process
                self._locks.release(worker.name)

    def raise_failure(self, kept: str) -> None:
        """Raise the first failure that was not raised yet.

        Args:
            kept: Where the records are.

        Raises:
            DeliveryError: There is one.
        """
        for worker in self._all:
            error = worker.failure or worker.trouble
            if error is not None and worker.name not in self._told:
                self._told.add(worker.name)
                message = f"{worker.name}: {worker.last_error}; what was logged is in {kept}."
                raise DeliveryError(message) from error
