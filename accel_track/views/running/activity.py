"""The activity of a directory: its running runs, each with its pace, its load, and how far its trackers are."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

from accel_track.delivery.process.protocol import CompanionState, companion_states
from accel_track.delivery.status import TrackerStatus, status_of
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.info import RunInfo, outcome_noted
from accel_track.journal.reader import segments
from accel_track.outcome import CRASHED, Outcome
from accel_track.views.content import Content
from accel_track.views.metric import Metric, Points
from accel_track.views.running.load import Load, LoadMeter
from accel_track.views.running.pace import Pace, latest_step, pace_of, total_steps

UNREADABLE = (ValueError, OSError, OverflowError, RecursionError)
"""The errors of a damaged run, JournalError among them."""

_SEARCH_EVERY = 5.0
_SEARCH_SHARE = 20
"""A search for runs comes after so many seconds, and after so many times as long as the one before took."""

_SEEN = 1000
"""Looks that are remembered; of more, every other one is forgotten."""
_LINGERS = 60.0
"""Seconds for which a run is shown that was seen to end."""
_ENDED_LATELY = 3600.0


class Watched:
    """One run that is looked at again and again. What `look` finds is in the attributes.

    Args:
        run: The run directory.

    Attributes:
        info: Its `run.json`; None before it was read.
        outcome: How it ended, or None while it is running.
        ended: When it was seen to end, in seconds since 1970-01-01 UTC, or None.
        content: What it has logged.
        pace: Its steps a second.
        step: The highest of the last steps of its metrics, or None.
        total: How many steps it is to have, or None if that is not known.
        load: How busy its machine is, or None if that is not known.
        trackers: How far each tracker is, by name.
        companions: What the companion processes of `delivery="process"` say of themselves.
        error: Why something of it cannot be read, or None.
    """

    def __init__(self, run: RunDirectory) -> None:
        """Read nothing yet."""
        self.run = run
        self.info: RunInfo | None = None
        self.outcome: Outcome | None = None
        self.ended: float | None = None
        self.pace = Pace()
        self.step: int | None = None
        self.total: int | None = None
        self.load: Load | None = None
        self.trackers: dict[str, TrackerStatus] = {}
        self.companions: list[CompanionState] = []
        self.error: str | None = None
        self._curve: str | None = None
        self._pace: str | None = None
        self._kept: set[str] = set()
        self._points: dict[str, Points] = {}
        self._seen: list[tuple[int, float]] = []
        """The number of records, and the time, of each look since the oldest pending record was logged."""
        self._meter = LoadMeter()
        self.content = self._reread()

    @property
    def running(self) -> bool:
        """Whether a process logs to it."""
        return self.info is not None and self.outcome is None

    @property
    def share(self) -> float | None:
        """The share of the steps that are done, between 0 and 1; None if it is unknown."""
        if self.total is None or self.step is None or self.step > self.total:
            return None
        return self.step / self.total

    @property
    def seconds_left(self) -> float | None:
        """The time that the rest of the steps takes at the mean pace; None if it is unknown."""
        if self.share is None or self.total is None or self.step is None or not self.pace.mean or not self.running:
            return None
        return (self.total - self.step) / self.pace.mean

    def quiet(self, now: float) -> float | None:
        """Return the seconds since the newest record of metrics; None if there is none."""
        return None if self.content.newest is None else max(0.0, now - self.content.newest)

    def metric(self, wanted: str | None) -> str | None:
        """Return the metric whose curve is shown: the wanted one; without a wish the run's most telling one."""
        return self._curve if wanted is None else wanted if wanted in self.content.metrics else None

    def points(self, name: str) -> Points:
        """Return the curve of a metric; empty if the last `look` did not want it."""
        if name not in self._points:
            self._points[name] = self.content.metrics.get(name, Metric()).points()
        return self._points[name]

    def look(self, wanted: str | None, now: float) -> None:
        """Read the new records; damage ends in `error`, and the rest is as it was.

        Args:
            wanted: Name of the metric whose points are kept; None: of the most telling one.
            now: Wall-clock time in seconds since 1970-01-01 UTC.
        """
        self.error = None
        try:
            self.info = self.run.load()
            live = self.run.is_live()
            self.outcome = None if live else outcome_noted(self.info) or CRASHED
            self.ended = None if self.outcome is None else now if self.ended is None else self.ended
            came = self.content.update()
            if (came or self.lacks(wanted)) and self._choose(wanted):
                self.content = self._reread()
                came = self.content.update()
            if came:
                self._points.clear()
                self.step, self.total = latest_step(self.content), total_steps(self.content.config)
            if self._pace is not None:
                stepped = _stepped(self.content.metrics[self._pace])
                self.pace = pace_of(self.points(self._pace), now, stepped=stepped)
            self.load = self._meter.look(self.info, self.content, now) if self.running else None
            self.companions = [one for _, _, one in companion_states(self.run)]
            self._look_at_trackers(self.info, live, now)
        except UNREADABLE as error:
            self.error = " ".join(str(error).split()) or type(error).__name__

    def _look_at_trackers(self, info: RunInfo, live: bool, now: float) -> None:
        """Find how far they are; the lag, which the journal tells at a price, is later seen by the looks before."""
        logged, first = self.content.logged, not self._seen
        found = {name: status_of(self.run, name, logged, live=live, lag=first, now=now) for name in info.trackers}
        count = sum(logged.values())
        oldest = min((count - one.pending - one.under_way for one in found.values()), default=count)
        if first:
            since = max((one.lag for one in found.values() if one.lag is not None), default=0.0)
            self._seen.append((oldest + 1, now - since))
        if count > self._seen[-1][0]:
            self._seen.append((count, now))
        for one in found.values() if not first else ():
            there = bisect_right(self._seen, count - one.pending, key=itemgetter(0))
            one.lag = None if not one.pending else max(0.0, now - self._seen[min(there, len(self._seen) - 1)][1])
        del self._seen[: max(0, bisect_right(self._seen, oldest, key=itemgetter(0)) - 1)]
        if len(self._seen) > _SEEN:
            del self._seen[1:-1:2]
        self.trackers = found

    def lacks(self, wanted: str | None) -> bool:
        """Return whether the points of a metric that it has are not kept yet."""
        return wanted is not None and wanted in self.content.metrics and wanted not in self._kept

    def _reread(self) -> Content:
        return Content(self.run, wanted=lambda name: name in self._kept)

    def _choose(self, wanted: str | None) -> bool:
        """Choose the metrics whose points are kept; return whether those of a new one are needed.

        One that was chosen stays so until another has twice its values.
        """
        named = {name: one for name, one in self.content.metrics.items() if one.count}
        own = {name: one for name, one in named.items() if not name.startswith("system/")} or named

        def chosen(before: str | None, rank: Callable[[str], tuple[bool, int]]) -> str | None:
            best = max(own, key=rank, default=None)
            if best is None or before is None or before not in own:
                return best
            (is_of_kind, count), (had, old) = rank(best), rank(before)
            return best if is_of_kind > had or (is_of_kind == had and count > 2 * old) else before

        self._curve = chosen(self._curve, lambda name: ("loss" in name.lower(), own[name].count))
        self._pace = chosen(self._pace, lambda name: (_stepped(own[name]), own[name].count))
        needed = {name for name in (self._curve, self._pace, wanted) if name is not None and name in named}
        if needed <= self._kept:
            return False
        self._kept = needed
        return True


class Activity:
    """The runs of a directory that are running, newest first, and those that ended lately.

    Args:
        directory: Where to look, at any depth.
        check: What is called once with each run directory before anything in it is opened; raises where it may not be.
        clock: Returns seconds since 1970-01-01 UTC.

    Attributes:
        ended: Whether to watch runs that ended within the last hour, too.
        wanted: Name of the metric whose curves are shown; None: of each run its most telling one.
    """

    def __init__(
        self,
        directory: Path,
        check: Callable[[RunDirectory], None],
        *,
        ended: bool = False,
        wanted: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Look at nothing yet."""
        self.directory, self.ended, self.wanted = directory, ended, wanted
        self._check, self._clock = check, clock
        self._watched: dict[Path, Watched] = {}
        self._refused: dict[Path, str] = {}
        self._plain: set[Path] = set()
        self._search_at = 0.0

    @property
    def runs(self) -> list[Watched]:
        """The runs to show: running ones, then ended ones, each newest first."""
        now = self._clock()
        found = [
            one for one in self._watched.values() if one.info is not None and (one.running or self._shows(one, now))
        ]
        return sorted(found, key=lambda one: (one.running, _created(one), one.run.path.name), reverse=True)

    @property
    def damaged(self) -> dict[Path, str]:
        """Why runs cannot be watched, by their paths."""
        broken = {path: one.error for path, one in self._watched.items() if one.info is None and one.error is not None}
        return self._refused | broken

    @property
    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._clock()

    def refresh(self) -> Iterator[None]:
        """Look for new runs now and then, and at each watched one; yield after each, for the caller's own work."""
        begun = time.monotonic()
        if searched := begun >= self._search_at:
            yield from self._search()
            spent = time.monotonic() - begun
            self._search_at = begun + max(_SEARCH_EVERY, _SEARCH_SHARE * spent)
        for one in list(self._watched.values()):
            if searched or one.info is None or one.running or one.lacks(self.wanted):
                one.look(self.wanted, self._clock())
                yield

    def search_soon(self) -> None:
        """Search for runs in the next `refresh`."""
        self._search_at = 0.0

    def _shows(self, one: Watched, now: float) -> bool:
        return one.ended is not None and now - one.ended < (_ENDED_LATELY if self.ended else _LINGERS)

    def _search(self) -> Iterator[None]:
        there: set[Path] = set()
        for run in find_runs(self.directory):
            there.add(run.path)
            try:
                self._meet(run)
            except UNREADABLE as error:
                self._refused[run.path] = " ".join(str(error).split())
            yield
        for path in self._watched.keys() - there:
            del self._watched[path]
        for path in self._refused.keys() - there:
            del self._refused[path]

    def _meet(self, run: RunDirectory) -> None:
        if run.path not in self._plain:
            self._check(run)
            self._plain.add(run.path)
        known = self._watched.get(run.path)
        if known is not None and known.running:
            return
        if run.is_live():
            self._watched[run.path] = Watched(run) if known is None else known
            self._watched[run.path].info = None  # for `refresh` to look at it
        elif self.ended and known is None:
            changed = _last_change(run)
            if self._clock() - changed < _ENDED_LATELY and run.load().imported is None:
                self._watched[run.path] = one = Watched(run)
                one.ended = changed
        self._refused.pop(run.path, None)


def _created(one: Watched) -> float:
    return 0.0 if one.info is None else one.info.created


def _stepped(metric: Metric) -> bool:
    return metric.last is not None and metric.last.step is not None


def _last_change(run: RunDirectory) -> float:
    """Return when a segment of the run was written last, in seconds since 1970-01-01 UTC; 0.0 for a run without one."""
    files = (path for rank in run.ranks() for _, path in segments(run.rank(rank)))
    return max((os.stat(path).st_mtime for path in files), default=0.0)
