"""The fleet: many mirrored runs at once, delivered in turn by a few threads, as they come, go on and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from accel_track.delivery.status import TrackerStatus
from accel_track.delivery.sync import TAKEN, Job, Sync, stop
from accel_track.errors import WORKER_NAME, AccelTrackError
from accel_track.mirror.runs import MirroredRun
from accel_track.texts import clean

POOL = 8
"""Runs that are delivered at the same moment; each has a backend's connections for as long."""

_LOOK = 0.2
"""Seconds between two looks for runs whose turn it is."""

_FIND = 10.0
"""Seconds between two looks for new runs."""

_ENDED = 60.0
"""Seconds between two looks whether a run that has ended goes on."""

_LONGEST_PAUSE = 300.0


@dataclass
class Followed:
    """One run of a fleet.

    Attributes:
        run: The run.
        statuses: Where its trackers stand, since the last visit.
        ended: How the run has ended, where all is delivered; empty before.
        error: What keeps it from being delivered, or None.
    """

    run: MirroredRun
    statuses: list[TrackerStatus] = field(default_factory=list)
    ended: str = ""
    error: str | None = None
    owes: bool = True
    """Whether a visit has something to do, though the store has nothing new."""
    alive: frozenset[int] | None = None
    """The ranks that went on at the last visit; None before the first."""
    told: str | None = None
    """The error that was told."""
    busy: bool = False
    due: float = 0.0
    pause: float = 0.0

    @property
    def delivered(self) -> int:
        """The number of records that the trackers have."""
        return sum(one.delivered for one in self.statuses)

    @property
    def complete(self) -> bool:
        """Whether the trackers have everything of a run that has ended."""
        return bool(self.ended) and self.error is None and all(one.complete for one in self.statuses)


class Fleet:
    """The fleet of runs: each is visited every so often, delivered, and finished when it has ended.

    Memory and connections do not depend on how many there are, but for a few hundred bytes a run.

    Args:
        find: Yields the runs that there are, but for those whose URLs it is given.
        deliver: Makes the delivery of a run.
        timeout: How long a tracker may make no progress, in seconds.
        tell: Called with a line for a run that is taken up, has ended, or cannot be delivered.
        look: Called with each run that has something new, or has fallen silent.
        pool: Runs that are visited at the same moment.
    """

    def __init__(
        self,
        find: Callable[[Collection[str]], Iterable[MirroredRun]],
        deliver: Callable[[MirroredRun], Sync],
        timeout: float,
        tell: Callable[[str], None],
        pool: int = POOL,
        look: Callable[[MirroredRun], None] = lambda _: None,
    ) -> None:
        """Follow nothing yet."""
        self.followed: dict[str, Followed] = {}
        self._find, self._deliver, self._timeout, self._tell, self._pool = find, deliver, timeout, tell, pool
        self._look = look
        self._stop = threading.Event()
        self._find_due, self._find_error = 0.0, ""

    def follow(self, watch: Callable[[], None] = lambda: None, *, until_ended: bool = False) -> None:
        """Follow the runs, until Ctrl-C or, if that is wanted, until all have ended.

        Args:
            watch: Called about five times a second.
            until_ended: Whether to end with the runs.
        """
        pool = ThreadPoolExecutor(self._pool, thread_name_prefix=f"{WORKER_NAME}fleet")
        try:
            while not (until_ended and self.followed and all(one.ended for one in self.followed.values())):
                self._find_new()
                now = time.monotonic()
                for one in self.followed.values():
                    if not one.busy and now >= one.due:
                        one.busy = True
                        pool.submit(self._visit, one)
                watch()
                self._stop.wait(_LOOK)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def _find_new(self) -> None:
        if time.monotonic() < self._find_due:
            return
        try:
            for run in self._find(self.followed.keys()):
                self.followed[run.shown] = Followed(run)
            self._find_error = ""
        except (AccelTrackError, OSError) as error:
            if self._find_error != (text := clean(error)):
                self._find_error = text
                self._tell(f"{text}; it is tried again")
        self._find_due = time.monotonic() + _FIND

    def _visit(self, one: Followed) -> None:
        """Deliver the new records of a run."""
        was, first = one.ended, one.alive is None
        try:
            self._look_at(one)
            one.error, one.pause = None, 0.0
        except Exception as error:  # noqa: BLE001 - of a damaged run, a plugin, a store; the others go on
            one.error = clean(error)
        if one.error is not None or any(status.error for status in one.statuses):
            one.pause = min(_LONGEST_PAUSE, max(1.0, 2 * one.pause))
        self._say(one, first=first, was=was)
        interval = _ENDED if one.ended else min(10.0, max(0.5, one.run.interval))
        one.due = time.monotonic() + max(one.pause, interval)
        one.busy = False

    def _look_at(self, one: Followed) -> None:
        run = one.run
        if not run.changed() and not one.owes and one.alive == run.living():
            return
        run.refresh()
        one.alive = run.living()
        self._look(run)
        sync = self._deliver(run)

        def watch(jobs: Sequence[Job]) -> None:
            if self._stop.is_set():
                stop(jobs)

        one.statuses = sync.deliver(follow=False, timeout=self._timeout, watch=watch)
        one.owes = any(map(_owed, one.statuses)) or bool(run.download.problems)
        one.ended = "" if sync.outcome is None or one.owes or one.alive else sync.outcome.status
        if run.download.problems:
            message = f"{run.shown}: {run.download.problems[0]}"
            raise AccelTrackError(message)

    def _say(self, one: Followed, *, first: bool, was: str) -> None:
        error = one.error or next((str(status) for status in one.statuses if status.error or status.obstacle), None)
        if error is not None:
            if one.told != error:
                self._tell(f"{one.run.shown}: {error}; it is tried again")
            one.told = error
            return
        one.told = None
        if one.ended and one.ended != was:
            self._tell(f"{one.run.shown}: {one.ended}; {', '.join(map(str, one.statuses))}")
        elif first and not one.ended:
            self._tell(f"{one.run.shown}: followed")


def _owed(status: TrackerStatus) -> bool:
    """Return whether another visit may deliver what this one has not."""
    if status.obstacle is not None:
        return status.obstacle == TAKEN
    return bool(status.pending or status.unfinished or status.error)
