"""Sync: the live workers on the journal of a run that is on disk, in another process, at another time."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from filelock import BaseFileLock

from accel_track.delivery.again import deliver_again
from accel_track.delivery.family import parent_of
from accel_track.delivery.report import status_of_worker
from accel_track.delivery.sources import StoredSource
from accel_track.delivery.status import TrackerStatus, ranks_of, total
from accel_track.delivery.worker import Worker, finish_in_order
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.journal.info import RunInfo, TrackerInfo
from accel_track.journal.reader import last_seq, read_last
from accel_track.outcome import FINISHED, Outcome
from accel_track.redaction import portable_kwargs, scrubbed
from accel_track.registry import known_names, tracker_class
from accel_track.rules import Rules
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.installing import install_command
from accel_track.trackers.sole import SoleTracker

_LOOK = 0.1
"""Seconds between two looks at the workers."""

_LOOK_AT_RUN = 1.0
"""Seconds between two looks whether a run has ended."""

_PUBLISH = 10.0
"""Seconds after which other machines are told how far a delivery is that goes on."""

TAKEN = "it is delivered by another process, which is running"
"""The obstacle that passes by itself: the cursor is locked."""


@dataclass
class Sync:
    """The delivery of one run to some of its trackers, or to others.

    Attributes:
        run: The run.
        to: Names of trackers, also ones that the run never had; empty for all of its own.
        arguments: Constructor arguments by tracker name; they win over those that the run stored.
        from_start: Whether to begin new backend runs, with the first record.
        again: Whether records that were refused are delivered once more.
        rules: What of the run these trackers get, where their delivery begins now; None: what their cursors say.
        rank: The only rank whose records are delivered; None for all.
        grouped: Whether other ranks have trackers too, even if they have no journal yet.
        alive: Says whether the run goes on, when that is known; else the run directory does.
        ended: How the run has ended, when that is known; else the run directory says it.
        leaves_open: Whether the backend runs of a run that goes on are left open, where backends can that.
    """

    run: RunDirectory
    to: Sequence[str] = ()
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    from_start: bool = False
    again: bool = False
    rules: Rules | None = None
    rank: int | None = None
    grouped: bool = False
    alive: Callable[[], bool] | None = None
    ended: Outcome | None = None
    leaves_open: bool = False

    def __post_init__(self) -> None:
        """Read `run.json`.

        Raises:
            JournalError: It is damaged.
        """
        self.info = self.run.load()
        self.names = list(dict.fromkeys(self.to or self.info.trackers))
        self.outcome = self.run.outcome(self.info)
        """The outcome of the run; None while the run goes on."""
        self.stopped = False
        """Whether Ctrl-C ended a delivery."""
        self._reset = set(self.names) if self.from_start else set()
        self._publish_at = time.monotonic() + _PUBLISH

    def ranks(self, name: str) -> list[int]:
        """Return the ranks whose records a tracker gets."""
        ranks = ranks_of(self.run, name)
        return ranks if self.rank is None else [self.rank]

    def described(self, name: str) -> TrackerInfo:
        """Return the run's notes about a tracker."""
        return self.info.trackers.get(name, TrackerInfo())

    def status(self, name: str) -> TrackerStatus:
        """Return the status of a tracker, and the obstacle to its delivery; nothing is started.

        Raises:
            JournalError: A cursor or a segment is damaged.
        """
        found = []
        for rank in self.ranks(name):
            cursor = cursors.Cursor() if name in self._reset else cursors.load(self.run.cursor(name, rank))
            pending = max(0, last_seq(self.run.rank(rank)) + 1 - cursor.seq)
            found.append(TrackerStatus.of(name, cursor, pending))
        status = total(name, found)
        wanted = (
            status.pending
            or (self.again and status.quarantined)
            or self.run.is_live()
            or (name not in self._reset and self._to_be_ended(name))
        )
        status.obstacle = self.obstacle(name) if wanted else None
        status.url = self.described(name).url
        return status

    def _to_be_ended(self, name: str) -> bool:
        """Return whether all that is left to do is to tell the backend how the run ended."""
        if self.outcome is None or not self.described(name).identity:
            return False
        with contextlib.suppress(Exception):  # a name that nobody knows here, a plugin's error
            if tracker_class(name).keeps_status:
                told = (cursors.load(self.run.cursor(name, rank)).status for rank in self.ranks(name))
                return any(status != self.outcome.status for status in told)
        return False

    def _was_left_open(self, cursor: cursors.Cursor) -> bool:
        """Return whether a visit has left a backend run open, of a run that has ended since."""
        if not self.leaves_open or self.outcome is None:
            return False
        return cursor.seq > 0 and cursor.status != self.outcome.status

    def kwargs(self, name: str, rank: int = 0) -> dict[str, Any]:
        """Return the constructor arguments of a tracker: those stored, those that continue its run, those given."""
        stored = self.described(name)
        identity = stored.ranks.get(str(rank), {}) if rank else stored.identity
        identity = {} if name in self._reset else identity
        return {**stored.kwargs, **identity, **self.arguments.get(name, {})}

    def obstacle(self, name: str) -> str | None:
        """Return the obstacle to this process's delivery to a tracker, or None."""
        stored = self.described(name)
        if name not in known_names():
            if stored.instance:
                return "it was passed as an object, whose class only the training program knows"
            return "no tracker of that name is installed here; install the package that provides it"
        lacking = [argument for argument in stored.withheld if argument not in self.arguments.get(name, {})]
        if lacking:
            how = " ".join(f"--set {name}.{argument}=VALUE" for argument in lacking)
            return f"the run does not store its arguments {', '.join(lacking)}; pass them with {how}"
        try:
            cls = tracker_class(name)
            if cls.installed():
                return cls.not_configured(self.kwargs(name))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return f"it cannot be used ({type(error).__name__}: {error})"
        how = install_command(cls.install) if cls.install else "install its package"
        return f"the package {cls.sdk!r} is not installed; {how}"

    def rules_of(self, name: str) -> Rules:
        """Return the rules of a tracker: those that its delivery began with, or else those given."""
        stored = [] if name in self._reset else [cursors.load(self.run.cursor(name, rank)) for rank in self.ranks(name)]
        begun_with = (cursor.rules or Rules() for cursor in stored if cursor.seq)
        return next(begun_with, self.rules or next((one.rules for one in stored if one.rules), Rules()))

    def deliver(
        self,
        *,
        follow: bool,
        timeout: float,
        watch: Callable[[Sequence[Job]], None] = lambda _: None,
    ) -> list[TrackerStatus]:
        """Deliver the pending records, rank by rank, to all trackers at once; return the status of each then.

        Ctrl-C ends it early, with cursors stored. Records may be delivered while the run's own process delivers to
        other trackers.

        Args:
            follow: Whether to go on until the run has ended.
            timeout: How long a tracker may make no progress, in seconds.
            watch: Called about ten times a second with the workers of the rank that is being delivered.

        Raises:
            JournalError: A cursor or a segment is damaged.
            OSError: The run directory cannot be written to.
        """
        self._note_end()
        if self.from_start:
            self._begin_anew()
        before = {name: self.status(name) for name in self.names}
        errors: dict[str, str] = {}
        for rank in self.run.ranks() if self.rank is None else [self.rank]:
            if self.stopped:
                break
            jobs: list[Job] = []
            for name in self.names:
                if before[name].obstacle is None and name not in errors and rank in self.ranks(name):
                    lock = self.run.claim(name, rank)
                    if lock is None:
                        before[name].obstacle = TAKEN
                    else:
                        self.info = self.run.load()  # somebody may have delivered until just now
                        self._add_job(jobs, name, rank, lock, errors, follow=follow)
            finish_in_order([job.worker for job in jobs])
            self._drive(jobs, follow=follow, timeout=timeout, watch=watch)
            errors.update({job.name: error for job in jobs if (error := job.error()) is not None})
            for name in self.names if self.again else ():
                if before[name].obstacle is None and name not in errors and rank in self.ranks(name):
                    before[name].obstacle = self._deliver_again(name, rank, errors)
        self.info = self.run.load()
        return [self._result(name, before[name].obstacle, errors.get(name)) for name in self.names]

    def _deliver_again(self, name: str, rank: int, errors: dict[str, str]) -> str | None:
        """Deliver the quarantined records; return the obstacle to this process's delivery, or None."""
        if (lock := self.run.claim(name, rank)) is None:
            return TAKEN
        build, note = partial(self.build, name, rank), partial(self.note, name, rank)
        try:
            if (error := deliver_again(self.run, name, rank, build, note, self.outcome)) is not None:
                errors[name] = error
        finally:
            lock.release()
        return None

    def _note_end(self, jobs: Sequence[Job] = ()) -> None:
        """Find out how the run ended, and store it where the run's own process could not."""
        self.info = self.run.load()
        self.outcome = self.ended or self.run.outcome(self.info)
        if self.outcome is not None:
            if self.info.status == "running":
                self.run.conclude(self.outcome)
                self.info = self.run.load()
            for job in jobs:
                job.worker.outcome = self.outcome

    def _result(self, name: str, obstacle: str | None, error: str | None) -> TrackerStatus:
        after = self.status(name)
        after.obstacle, after.error = obstacle, error
        return after

    def _begin_anew(self) -> None:
        """Forget the backend runs and then the cursors: in the other order, a crash in between would log twice."""
        for name in self.names:
            locks = [self.run.claim(name, rank) for rank in self.run.ranks()]
            if self.obstacle(name) is None and all(locks):
                self.info = self.run.update(partial(_forget, name))
                for rank in self.run.ranks():
                    self.run.cursor(name, rank).unlink(missing_ok=True)
                    self.run.quarantine(name, rank).unlink(missing_ok=True)
            for lock in filter(None, locks):
                lock.release()
        self._reset.clear()

    def _add_job(
        self, jobs: list[Job], name: str, rank: int, lock: BaseFileLock, errors: dict[str, str], *, follow: bool
    ) -> None:
        cursor = cursors.load(self.run.cursor(name, rank))
        delivered = last_seq(self.run.rank(rank)) < cursor.seq and not (follow and self.run.is_live())
        if delivered and not (self._to_be_ended(name) or self._was_left_open(cursor)):
            lock.release()
            return
        try:
            tracker = self.build(name, rank)
        except Exception as error:  # noqa: BLE001 - a constructor may raise anything, a disk too
            lock.release()
            errors[name] = f"{type(error).__name__}: {error}"
            return
        source = StoredSource(self.run.rank(rank), cursor)
        quarantine = self.run.quarantine(name, rank)
        path, note = self.run.cursor(name, rank), partial(self.note, name, rank)
        worker = Worker(tracker, source, path, quarantine, note, rules=self.rules, folder=self.run.rank(rank))
        worker.outcome = self.outcome or FINISHED
        jobs.append(Job(name, worker, source, lock, self.run.rank(rank)))

    def build(self, name: str, rank: int) -> GeneralTracker:
        """Return the tracker of a rank, not started.

        Raises:
            Exception: What its constructor raises.
        """
        folder = self.run.path.absolute().parents[1]
        directory = folder.parent if folder.name == PARENT else Path.cwd()
        stem = self.info.name or self.info.run_id
        run_name: str | None = f"{stem}-rank{rank}" if rank else stem
        if not rank and self.info.name is None and self.described(name).identity:
            run_name = None  # an earlier version of this package has let the backend choose
        kwargs, cls = self.kwargs(name, rank), tracker_class(name)
        if (parent := parent_of(self.run, self.info)) is not None:
            kwargs = {**parent.link(cls, name), **kwargs}
        if self.grouped or len(ranks_of(self.run, name)) > 1:
            kwargs = {**cls.grouped(stem, rank), **kwargs}
        return cls.for_run(self.info.project, run_name, os.fspath(directory), kwargs)

    def note(self, name: str, rank: int, tracker: GeneralTracker, identity: dict[str, Any]) -> None:
        """Store how to continue the backend run, in what the run's own process may have written since."""
        given, _ = portable_kwargs(self.arguments.get(name, {}))
        identity, withheld = portable_kwargs(identity)
        page = tracker.page()

        def change(info: RunInfo) -> None:
            stored = info.trackers.setdefault(name, TrackerInfo())
            stored.kwargs = {**stored.kwargs, **given}
            stored.continued_by(identity, rank)
            if not rank:
                stored.withheld = sorted({*stored.withheld, *withheld} - given.keys())
                stored.url = None if page is None else scrubbed(page)

        self.info = self.run.update(change)
        with contextlib.suppress(OSError):  # else at the next publication
            self.run.publish()

    def _drive(
        self,
        jobs: list[Job],
        *,
        follow: bool,
        timeout: float,
        watch: Callable[[Sequence[Job]], None],
    ) -> None:
        """Watch the workers until all are over; a deadline begins anew with each progress of its worker."""
        alive, pause = (self.run.is_live, _LOOK_AT_RUN) if self.alive is None else (self.alive, 0.0)
        try:
            self._begin(jobs, timeout, watch, follow=follow)
            following, looked_at = follow, time.monotonic()
            while left := [job for job in jobs if not job.over]:
                if following and time.monotonic() - looked_at >= pause:
                    following, looked_at = alive(), time.monotonic()
                    if not following:
                        self._note_end(jobs)
                for job in left:
                    job.look(timeout, ends=not following)
                self._watch(jobs, watch)
                left[0].worker.over.wait(_LOOK)
            watch(jobs)
        except KeyboardInterrupt:
            self.stopped = True
            print("accel-track: stopping; a second Ctrl-C stops at once", file=sys.stderr)  # noqa: T201 - for people
            for job in jobs:
                job.stop()
            for job in jobs:
                job.worker.over.wait(GRACE)
        finally:
            for job in jobs:
                job.lock.release()

    def _begin(
        self, jobs: Sequence[Job], timeout: float, watch: Callable[[Sequence[Job]], None], *, follow: bool
    ) -> None:
        for job in jobs:
            if self.leaves_open and self.outcome is None and not follow:
                job.visit(timeout, lambda: self._watch(jobs, watch))
            else:
                job.begin(timeout, ends=not follow)

    def _watch(self, jobs: Sequence[Job], watch: Callable[[Sequence[Job]], None]) -> None:
        watch(jobs)
        if time.monotonic() >= self._publish_at:
            self._publish_at = time.monotonic() + _PUBLISH
            with contextlib.suppress(OSError):  # again soon; nobody takes a claim over before it is old
                if not self.run.publish():
                    stop(jobs)


def stop(jobs: Sequence[Job]) -> None:
    """Let workers end behind the records that they have."""
    for job in jobs:
        job.stop()


def _forget(name: str, info: RunInfo) -> None:
    if name in info.trackers:
        tracker = info.trackers[name]
        tracker.identity, tracker.ranks, tracker.url = {}, {}, None


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
        self._visited = False
        self._folder = folder
        self._last, _, self._later = read_last(folder)
        self._seen = -1

    def begin(self, timeout: float, *, ends: bool) -> None:
        """Start the worker; if it is to end at the journal's, its deadline begins here."""
        if ends:
            self.worker.close(timeout)
        self.worker.start(0.0)

    def visit(self, timeout: float, watch: Callable[[], None]) -> None:
        """Deliver the present records and leave the backend run open; finish it if nothing is durable otherwise.

        Args:
            timeout: How long the tracker may make no progress, in seconds.
            watch: Called about ten times a second.
        """
        worker, tracker = self.worker, self.worker.tracker
        self._visited = True
        worker.start(timeout)
        if not tracker.durable_flush or isinstance(tracker, SoleTracker):
            worker.close(timeout)
        moved, seen = time.monotonic(), -1
        while not worker.over.is_set() and time.monotonic() - moved < timeout:
            if worker.drain(self.records(), _LOOK) or worker.stalled is not None:
                break
            watch()
            if worker.cursor.seq != seen:
                moved, seen = time.monotonic(), worker.cursor.seq
        if worker.stalled is not None or not worker.running:
            worker.close(0.0)
        elif tracker.durable_flush and not isinstance(tracker, SoleTracker):
            worker.rest()
            worker.wait_for_rest(GRACE)
            return
        worker.over.wait(GRACE)

    def look(self, timeout: float, *, ends: bool) -> None:
        """Give the worker more time if it got on; unlimited time while it is not to end."""
        if ends and self.worker.cursor.seq != self._seen:
            self._seen = self.worker.cursor.seq
            self.worker.close(timeout)
            self._given_up_at = time.monotonic() + timeout + GRACE

    def stop(self) -> None:
        """Let the worker end behind the records that it has; at once if its backend does not answer."""
        self.source.stopped = True
        self.worker.close(0.0 if self.worker.stalled is not None else GRACE)

    @property
    def over(self) -> bool:
        """Whether the worker is through, or hangs in its SDK."""
        return self._visited or self.worker.over.is_set() or time.monotonic() > self._given_up_at

    def records(self) -> int:
        """Return the current number of records."""
        self._last = max(self._last, max((record.seq for record in self._later), default=-1))
        return self._last + 1

    def error(self) -> str | None:
        """Return why something is left, or None."""
        pending = status_of_worker(self.worker, last_seq(self._folder) + 1).pending
        if self.worker.failure is None and not pending:
            return None
        if self.worker.last_error is None and self.source.stopped:
            return "stopped"
        is_through = self.worker.over.is_set() or self.worker.resting
        return self.worker.last_error or (None if is_through else "no answer in time")
