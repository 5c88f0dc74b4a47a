"""The status of one tracker of a run: how many of the run's records its backend has, and what keeps the others."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accel_track.journal import cursor as cursors
from accel_track.journal.cursor import Cursor
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader, last_seq
from accel_track.registry import tracker_class
from accel_track.texts import counted

UNKEPT = "checkpoint"
"""Name under which trackers count checkpoints as dropped whose backends keep none."""


@dataclass
class TrackerStatus:
    """The status of one tracker, over all ranks whose records it gets; each record is in one of the first five numbers.

    Attributes:
        name: Name of the tracker.
        delivered: Records that the backend has.
        pending: Records that it has not.
        quarantined: Records that it refused for good.
        not_replayable: Records that nothing can be delivered of any more.
        under_way: Records that the SDK of a running process has and did not store yet.
        unkept: Checkpoints among the delivered records, where the backend keeps none.
        dropped: Other values of delivered records that the backend does not take, by name.
        retried: How often something was tried again.
        damaged: Bytes of the journal that were skipped.
        lag: Seconds since the oldest pending record was logged, or None.
        error: What keeps the backend from the rest, or None.
        unfinished: Whether the backend could not be told of the end.
        obstacle: Why it cannot be or was not delivered to, or None.
        url: Page of the backend run.
    """

    name: str
    delivered: int = 0
    pending: int = 0
    quarantined: int = 0
    not_replayable: int = 0
    under_way: int = 0
    unkept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    damaged: int = 0
    lag: float | None = None
    error: str | None = None
    unfinished: bool = False
    obstacle: str | None = None
    url: str | None = None

    @classmethod
    def of(cls, name: str, cursor: Cursor, pending: int) -> TrackerStatus:
        """Return the status that one cursor tells, with so many records behind it."""
        dropped = dict(cursor.dropped)
        return cls(
            name,
            cursor.delivered,
            pending,
            cursor.quarantined,
            cursor.not_replayable,
            unkept=dropped.pop(UNKEPT, 0),
            dropped=dropped,
            retried=cursor.retried,
            damaged=cursor.damaged,
        )

    @property
    def complete(self) -> bool:
        """Whether the backend has everything that it can take, and knows of the end."""
        return not (self.pending or self.quarantined or self.unfinished or (self.error and not self.obstacle))

    @property
    def whole(self) -> bool:
        """Whether the tracker has all logged records."""
        return self.complete and not (self.not_replayable or self.dropped or self.unkept)

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers by name, for JSON."""
        return {name: value for name, value in vars(self).items() if name in _COUNTS}

    def __str__(self) -> str:
        """Return the status as one sentence."""
        counts = [f"{self.delivered} delivered"]
        counts += [f"{self.pending} pending"] if self.pending else []
        counts += [f"{self.quarantined} quarantined"] if self.quarantined else []
        counts += [f"{self.not_replayable} without portable form"] if self.not_replayable else []
        counts += [f"{counted(sum(self.dropped.values()), 'value')} dropped"] if self.dropped else []
        counts += [f"{counted(self.unkept, 'checkpoint')} not kept there"] if self.unkept else []
        counts += ["not finished"] if self.unfinished else []
        error = f" ({self.error})" if self.error else ""
        obstacle = f"; {self.obstacle}" if self.obstacle else ""
        return f"{self.name}: {', '.join(counts)}{error}{obstacle}"


_COUNTS = (
    *("delivered", "pending", "quarantined", "not_replayable", "under_way", "unkept", "dropped", "retried", "damaged"),
    "lag",
)


def total(name: str, found: Sequence[TrackerStatus]) -> TrackerStatus:
    """Return the numbers of several ranks as one."""
    dropped: Counter[str] = Counter()
    for one in found:
        dropped.update(one.dropped)
    return TrackerStatus(
        name,
        delivered=sum(one.delivered for one in found),
        pending=sum(one.pending for one in found),
        quarantined=sum(one.quarantined for one in found),
        not_replayable=sum(one.not_replayable for one in found),
        under_way=sum(one.under_way for one in found),
        unkept=sum(one.unkept for one in found),
        dropped=dict(dropped),
        retried=sum(one.retried for one in found),
        damaged=sum(one.damaged for one in found),
        lag=max((one.lag for one in found if one.lag is not None), default=None),
    )


def records(run: RunDirectory) -> dict[int, int]:
    """Return the number of records that each rank has logged.

    Raises:
        JournalError: A journal is damaged beyond reading.
    """
    return {rank: last_seq(run.rank(rank)) + 1 for rank in run.ranks()}


def status_of(
    run: RunDirectory,
    name: str,
    logged: Mapping[int, int],
    *,
    live: bool | None = None,
    lag: bool = True,
    now: float | None = None,
) -> TrackerStatus:
    """Return the status of a tracker, by the run directory.

    Args:
        run: The run.
        name: Name of the tracker.
        logged: What `records` returned.
        live: What `run.is_live` says, if that is known.
        lag: Whether to tell that, too: it takes a look at the segment with the oldest pending record.
        now: Wall-clock time in seconds since 1970-01-01 UTC, if it is not the present.

    Raises:
        JournalError: A cursor is damaged.
    """
    live, found = run.is_live() if live is None else live, []
    for rank in ranks_of(run, name):
        cursor, count = cursors.load(run.cursor(name, rank)), logged.get(rank, 0)
        # Of a live run, what the SDK has and did not store yet is on its way; of another, it is to be delivered again.
        had = max(cursor.seq, cursor.taken) if live else cursor.seq
        one = TrackerStatus.of(name, cursor, max(0, count - had))
        one.under_way = count - one.pending - cursor.seq if had > cursor.seq else 0
        if (
            lag
            and one.pending
            and had == cursor.seq
            and (oldest := JournalReader(run.rank(rank), cursor.position).read(1))
        ):
            one.lag = seconds_since(oldest[0].record.time, now)
        found.append(one)
    return total(name, found)


def seconds_since(moment: float | None, now: float | None = None) -> float | None:
    """Return the age of a time in seconds, or None."""
    now = time.time() if now is None else now
    return None if moment is None or not math.isfinite(moment) else max(0.0, now - moment)


def ranks_of(run: RunDirectory, name: str) -> list[int]:
    """Return the ranks whose records a tracker gets: all if it runs on each, with a backend run of its own, or rank 0.

    Args:
        run: The run.
        name: Name of the tracker; of one that is not known here, nothing but rank 0's is taken.
    """
    ranks = run.ranks()
    with contextlib.suppress(Exception):  # a name that nobody knows here, a plugin's error
        return ranks[:1] if tracker_class(name).main_process_only else ranks
    return ranks[:1]
