"""Delivery's notes in `run.json`, to which `accel-track sync` may add at any time."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from accel_track.journal.info import RunInfo, TrackerInfo, concluded, job_name
from accel_track.outcome import Outcome
from accel_track.redaction import portable_kwargs, scrubbed
from accel_track.trackers.base import GeneralTracker


class Noted:
    """The notes about the trackers, and about the run's outcome.

    Args:
        update: Changes `run.json`.
        rank: Number of this process.
    """

    def __init__(self, update: Callable[[Callable[[RunInfo], None]], None], rank: int) -> None:
        """Note nothing yet."""
        self._update, self._rank = update, rank

    def describe(self, name: str, kwargs: Mapping[str, Any], *, instance: bool = False) -> None:
        """Note how to make a tracker again."""
        stored, withheld = portable_kwargs(kwargs)

        def change(info: RunInfo) -> None:
            known = info.trackers.setdefault(name, TrackerInfo())
            known.kwargs, known.withheld, known.instance = stored, withheld, instance

        self._update(change)

    def mirror(self, url: str) -> None:
        """Note where the run's mirror is.

        Args:
            url: Without credentials.
        """

        def change(info: RunInfo) -> None:
            info.mirror = url

        if self._rank == 0:
            self._update(change)

    def alerts(self, rules: Sequence[str]) -> None:
        """Note which rules raise alerts, for a collector of mirrors."""

        def change(info: RunInfo) -> None:
            info.alerts = list(rules)

        self._update(change)

    def identity(self, name: str, tracker: GeneralTracker, identity: dict[str, Any]) -> None:
        """Note how to continue a tracker's backend run."""
        identity, withheld = portable_kwargs(identity)
        page = tracker.page()

        def change(info: RunInfo) -> None:
            stored = info.trackers[name]
            stored.continued_by(identity, self._rank)
            if not self._rank:
                stored.withheld = sorted({*stored.withheld, *withheld})
                stored.url = None if page is None else scrubbed(page)

        self._update(change)

    def conclude(self, outcome: Outcome | None) -> None:
        """Note how the run has ended if nothing else follows, or that it goes on."""
        if self._rank == 0:
            self._update(partial(concluded, outcome))


def running_again(command: list[str], info: RunInfo) -> None:
    """Note in a run's info that this process continues it."""
    info.status, info.reason, info.job, info.starts = "running", None, job_name(), info.starts + 1
    info.alerts = []  # the rules of an earlier process are not this one's
    owned(command, info)


def owned(command: list[str], info: RunInfo) -> None:
    """Note that this process logs to the run."""
    info.command, info.host, info.pid = command, socket.gethostname(), os.getpid()
