"""Deliver through the journal: the calling thread writes a record; workers, here or in a companion, do the rest."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from filelock import BaseFileLock

from accel_track.capture import Captured, captured
from accel_track.delivery.arriving import Arriving
from accel_track.delivery.companions import Companions
from accel_track.delivery.inline import say_who
from accel_track.delivery.media import Media
from accel_track.delivery.pruning import prune_in_background
from accel_track.delivery.report import Delivering, closing_report, show, wait_for
from accel_track.delivery.settings import Settings
from accel_track.delivery.sources import LiveSource
from accel_track.delivery.upkeep import Upkeep
from accel_track.delivery.worker import Worker, every, finish_in_order
from accel_track.errors import DeliveryError, ResumeError, warn
from accel_track.journal.cursor import load
from accel_track.journal.directory import RunDirectory
from accel_track.journal.forked import EndedJournal, ForkedJournal
from accel_track.journal.info import RunInfo, TrackerInfo, concluded, job_name
from accel_track.journal.writer import JournalWriter
from accel_track.outcome import Outcome
from accel_track.redaction import portable_kwargs, redacted_command, scrubbed
from accel_track.registry import known_names
from accel_track.sigterm import sigterm_held_back
from accel_track.trackers.base import GeneralTracker
from accel_track.values import storable

_SETTLE = 5.0
"""How long `flush` and `settle` wait, in seconds: what is not delivered by then is safe in the journal."""

_CHANGING = (
    "log: {!r} holds a {}, of which no copy can be made: what is delivered is what it will be then. Log a new object "
    "in each call."
)


class JournaledDelivery:
    """A journal, and a worker for each tracker.

    Args:
        settings: How to deliver.
        directory: The logging directory, or None for the working directory.
        project: Name of the project.
        name: Name of the run.
        rank: Number of this process. Others than 0 join the run directory of rank 0's.
        run_id: Name of the run directory, or None for a new one.
        resumed: The run directory of a run to continue, or None.
        distinct: Whether the run gets another name where another run of the project has this one.

    Raises:
        ResumeError: Another process is logging to `resumed`.
    """

    def __init__(
        self,
        settings: Settings,
        directory: str | os.PathLike[str] | None,
        project: str,
        name: str,
        rank: int = 0,
        run_id: str | None = None,
        resumed: RunDirectory | None = None,
        *,
        distinct: bool = False,
    ) -> None:
        """Make the run directory, or go on in it, and begin the journal; a disk that takes nothing is a warning."""
        self.trackers: list[GeneralTracker] = []
        self._settings = settings
        self._workers: list[Worker] = []
        self._live: BaseFileLock | None = None
        self._claims: dict[str, BaseFileLock] = {}
        self._rank = rank
        self._told: set[str] = set()
        self._changing: set[str] = set()
        self._objects: set[str] = set()
        self._over = threading.Event()
        command = redacted_command(sys.argv) if settings.redact else list(sys.argv)
        own = resumed is None or (rank > 0 and not resumed.path.exists())
        new = RunDirectory.new(directory, project, name, command, run_id)
        self.directory = resumed if resumed is not None and not own else new
        try:
            if own:
                name = self.directory.make(distinct=distinct).name or name
            if rank == 0:
                self._live = self.directory.claim_run()
                if not own and self._live is None:
                    message = f"{self.directory.path}: another process is logging to this run; end that one first."
                    raise ResumeError(message)
                if not own or settings.all_ranks:  # another rank may have been first
                    self.directory.update(partial(_owned if own else _running_again, command))
        except OSError as error:
            warn(
                f"journal: cannot write to {self.directory.path} ({error.strerror}); records are delivered from memory "
                "until it can be written to."
            )
        self.name = name
        self.journal: JournalWriter | ForkedJournal = JournalWriter(
            self.directory.rank(rank), rank, settings.durability, first_seq=self.directory.acknowledged(rank)
        )
        self._upkeep = Upkeep(self.directory, self.journal, self._lock_again)
        self._arriving = Arriving(lambda *call: self.journal.metrics(*call))  # noqa: PLW0108 - another one after a fork
        self._media = Media(self.directory.rank(rank))
        self._companions = Companions(self.directory, rank, settings)
        every(1.0, self._keep, self._over)
        _open_runs.add(self)
        if rank == 0 and settings.keep != "all":
            prune_in_background(self.directory, settings.kept_seconds)

    def add(
        self,
        trackers: Sequence[GeneralTracker],
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        instances: Collection[str] = (),
    ) -> None:
        """Start a worker for each tracker; it begins with the run's first record.

        Args:
            trackers: The trackers.
            init_kwargs: What the user gave for their constructors, by name.
            instances: Names of those that the user constructed.

        Raises:
            Exception: A tracker's own error in `start`, unless it may pass by itself and `strict` is false.
        """
        if isinstance(self.journal, ForkedJournal):
            return
        trackers = self._companions.take(trackers, init_kwargs or {}, instances, self.describe)
        end = time.monotonic() + self._settings.start_timeout
        for tracker in trackers:
            same = sum(one.name == tracker.name for one in self.trackers)
            name = f"{tracker.name}-{same + 1}" if same else tracker.name
            if not self._claim(name):
                warn(f"{name}: another process delivers this run to it already; it is left out here.")
                continue
            worker = self._worker(tracker, name, self.journal)
            self.describe(name, (init_kwargs or {}).get(tracker.name, {}), instance=tracker.name in instances)
            if tracker.name in instances and name not in known_names():
                self._objects.add(name)
            self.trackers.append(tracker)
            self._workers.append(worker)
            worker.start(max(0.0, end - time.monotonic()))
            self._check_start(worker)
        self.journal.keeps_objects = bool(self._workers)

    def _claim(self, name: str) -> bool:
        try:
            lock = self.directory.claim(name, self._rank)
        except OSError:  # a disk that takes nothing was warned about
            return True
        if lock is not None:
            self._claims[name] = lock
        return lock is not None

    def _worker(self, tracker: GeneralTracker, name: str, journal: JournalWriter) -> Worker:
        cursor, quarantine = self.directory.cursor(name, self._rank), self.directory.quarantine(name, self._rank)
        source = LiveSource(journal, load(cursor))
        return Worker(tracker, source, cursor, quarantine, partial(self._started, name), name=name)

    def _check_start(self, worker: Worker) -> None:
        error, name = worker.failure or worker.stalled, worker.name
        if worker.running:
            return
        if error is not None and (worker.over.is_set() or self._settings.strict):
            self.trackers.remove(worker.tracker)
            self._workers.remove(worker)
            worker.close(0.0)
            say_who(error, worker.tracker)
            raise error
        if error is None:
            message = f"{name}: has not started within {self._settings.start_timeout:g} s"
            if self._settings.strict:
                message += "; give it more time with `start_timeout`."
                raise TimeoutError(message)
            warn(f"{message}; it is waited for in the background, its records are kept in the journal.")
        worker.waits_to_start = True

    def describe(self, name: str, kwargs: Mapping[str, Any], *, instance: bool = False) -> None:
        """Note in `run.json` how to make a tracker again."""
        stored, withheld = portable_kwargs(kwargs)

        def change(info: RunInfo) -> None:
            known = info.trackers.setdefault(name, TrackerInfo())
            known.kwargs, known.withheld, known.instance = stored, withheld, instance

        self._upkeep.update(change)

    def _started(self, name: str, tracker: GeneralTracker) -> None:
        identity, withheld = portable_kwargs(tracker.identity())
        page = tracker.page()

        def change(info: RunInfo) -> None:
            stored = info.trackers[name]
            if self._rank:
                stored.ranks[str(self._rank)] = identity
                return
            stored.identity, stored.withheld = identity, sorted({*stored.withheld, *withheld})
            stored.url = None if page is None else scrubbed(page)

        self._upkeep.update(change)

    def configure(self, values: dict[str, Any], *, environment: bool = False) -> None:
        """Append hyperparameters, or where the program runs."""
        self.journal.config(values, environment=environment)

    def captured(self, values: Any, kwargs: Any) -> Captured:
        """Return what a call of `log` was given, with copies of objects if there are workers that deliver them."""
        return captured(values, kwargs, copies=bool(self._workers))

    def log(self, call: Captured, step: int | None) -> None:
        """Append values."""
        for kind, name in call.changing.items():
            if kind not in self._changing:
                self._changing.add(kind)
                warn(_CHANGING.format(name, kind), 4)
        if not self._arriving.take(call, step):
            self.journal.metrics(call.values, step, call.kwargs, unread=call.unread)
        if self._settings.on_error == "raise":
            self.raise_failure()

    def rewind(self, step: int) -> None:
        """Append that the run goes on from an earlier step."""
        self.journal.rewind(step)

    def checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Append a checkpoint, whose files are linked or copied into the run directory, or the end of one."""
        if isinstance(self.journal, JournalWriter):
            kept = self._media.keep(path) if path else ""
            self._media.waiting(self.journal.checkpoint(name, kept, step, storable(values)), kept)
        else:
            self.journal.metrics(values, step, {})

    def conclude(self, outcome: Outcome | None) -> None:
        """Store how the run has ended if nothing else follows; None: it is running again."""
        if self._rank == 0 and isinstance(self.journal, JournalWriter):
            self._upkeep.update(partial(concluded, outcome))

    def flush(self) -> None:
        """Wait until the trackers have stored what was logged, but not longer than 5 seconds."""
        self._drain(self._workers)

    def settle(self, name: str) -> None:
        """Wait until a tracker is started and has had what was logged, but not longer than 5 seconds."""
        self._drain([worker for worker in self._workers if worker.tracker.name == name])

    def _drain(self, workers: Sequence[Worker]) -> None:
        if isinstance(self.journal, ForkedJournal):
            return
        self._arriving.arrive(wait=True)
        end, seq = time.monotonic() + _SETTLE, self.journal.next_seq
        for worker in workers:
            worker.drain(seq, max(0.0, end - time.monotonic()))

    @sigterm_held_back()  # a launched process is terminated as soon as another one has failed
    def finish(self, outcome: Outcome) -> None:
        """Deliver what is left and finish the trackers, in `finish_timeout` at most; say what is not delivered."""
        if isinstance(self.journal, ForkedJournal):
            return
        self._arriving.arrive(wait=True)
        self._upkeep.look(self._workers, self._companions.remotes)
        self.conclude(outcome)
        finish_in_order(self._workers)
        for worker in self._workers:
            worker.outcome = outcome
            worker.close(self._settings.finish_timeout)
        self._companions.end(outcome)
        everyone: list[Delivering] = [*self._workers, *self._companions.remotes]
        wait_for(everyone, self.journal.next_seq, self._settings.finish_timeout)
        self._over.set()
        self._companions.look()
        self._upkeep.look(self._workers, self._companions.remotes)
        self.journal.close()
        self._release_media()
        if self._live is not None:
            self._live.release()
        for worker in self._workers:
            if worker.over.is_set():  # else it may still store its cursor: the lock ends with the process
                self._release(worker.name)
        _open_runs.discard(self)
        show(closing_report(self.directory.path, everyone, self.journal, self._companions.going_on(), self._objects))
        self.journal = EndedJournal()
        if self._settings.on_error == "raise":
            self.raise_failure()

    def elsewhere(self, name: str) -> bool:
        """Whether a tracker is in the companion process."""
        return any(remote.name == name for remote in self._companions.remotes)

    def _release(self, name: str) -> None:
        if (lock := self._claims.pop(name, None)) is not None:
            lock.release()

    def raise_failure(self) -> None:
        """Raise the first failure of a tracker that was not raised yet.

        Raises:
            DeliveryError: There is one.
        """
        for worker in self._workers:
            error = worker.failure or worker.trouble
            if error is not None and worker.name not in self._told:
                self._told.add(worker.name)
                message = f"{worker.name}: {worker.last_error}; what was logged is in {self.directory.path}."
                raise DeliveryError(message) from error
        for remote in self._companions.remotes:
            if remote.failed and remote.name not in self._told:
                self._told.add(remote.name)
                message = f"{remote.name}: {remote.last_error}; what was logged is in {self.directory.path}."
                raise DeliveryError(message)

    def _keep(self) -> None:
        """Once a second: have the disk store the journal, and release what no worker needs from memory."""
        journal = self.journal
        if isinstance(journal, JournalWriter):
            self._arriving.arrive(wait=False)
            self._upkeep.look(self._workers, self._companions.remotes)
            self._release_media()
            self._companions.look()

    def _release_media(self) -> None:
        """Delete the copies of checkpoints that every tracker of this process has."""
        if not self._media.is_waiting:
            return
        handled = [worker.ledger.given for worker in self._workers]
        handled += [remote.cursor.taken for remote in self._companions.remotes]
        if handled:
            self._media.release(min(handled))

    def _lock_again(self) -> None:
        """Lock in a folder that was made again what was locked in the one that is gone."""
        if self._rank == 0:
            if self._live is not None:
                self._live.release()
            self._live = self.directory.claim_run()
        for name in list(self._claims):
            self._release(name)
            self._claim(name)


def _running_again(command: list[str], info: RunInfo) -> None:
    info.status, info.reason, info.job, info.starts = "running", None, job_name(), info.starts + 1
    _owned(command, info)


def _owned(command: list[str], info: RunInfo) -> None:
    info.command, info.host, info.pid = command, socket.gethostname(), os.getpid()


_open_runs: weakref.WeakSet[JournaledDelivery] = weakref.WeakSet()


def _after_fork() -> None:
    for delivery in _open_runs:
        delivery.journal = ForkedJournal()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
