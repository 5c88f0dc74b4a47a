"""The state of each tracker of a run: how far it has got, as the run directory says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from accel_track.cli._common import lag
from accel_track.delivery.report import UNKEPT
from accel_track.delivery.standing import ranks_of
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.journal.reader import JournalReader, last_seq


@dataclass
class TrackerState:
    """Counts of one tracker, over all ranks."""

    delivered: int = 0
    pending: int = 0
    refused: int = 0
    not_replayable: int = 0
    under_way: int = 0
    """Records that the SDK of a running process has and did not store yet."""
    unkept: int = 0
    """Checkpoints among the delivered records, where the backend keeps none."""
    dropped: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    damaged: int = 0
    lag: float | None = None
    """Seconds since the oldest pending record was logged."""

    @property
    def counts(self) -> dict[str, Any]:
        """The counts by name, for JSON."""
        return dict(vars(self))


def records(run: RunDirectory) -> dict[int, int]:
    """Return how many records each rank has logged.

    Raises:
        JournalError: A journal is damaged beyond reading.
    """
    return {rank: last_seq(run.rank(rank)) + 1 for rank in run.ranks()}


def state(run: RunDirectory, tracker: str, logged: dict[int, int]) -> TrackerState:
    """Return where a tracker stands.

    Args:
        run: The run.
        tracker: Name of the tracker.
        logged: What `records` returned.

    Raises:
        JournalError: A cursor is damaged.
    """
    result, live, ranks = TrackerState(), run.is_live(), ranks_of(run, tracker)
    for rank, count in logged.items():
        if rank not in ranks:
            continue
        cursor = cursors.load(run.cursor(tracker, rank))
        # Of a live run, what the SDK has and did not store yet is on its way; of another, it is to be delivered again.
        had = max(cursor.seq, cursor.taken) if live else cursor.seq
        pending = max(0, count - had)
        result.delivered += cursor.delivered
        result.pending += pending
        result.under_way += count - pending - cursor.seq if had > cursor.seq else 0
        result.refused += cursor.quarantined
        result.not_replayable += cursor.not_replayable
        result.retried += cursor.retried
        result.damaged += cursor.damaged
        result.unkept += cursor.dropped.pop(UNKEPT, 0)
        for name, number in cursor.dropped.items():
            result.dropped[name] = result.dropped.get(name, 0) + number
        if pending and had == cursor.seq and (oldest := JournalReader(run.rank(rank), cursor.position).read(1)):
            waiting = lag(oldest[0].record.time)
            result.lag = max((one for one in (result.lag, waiting) if one is not None), default=None)
    return result


def ending(run: RunDirectory, info: RunInfo) -> dict[str, str | None]:
    """Return `status`, "running" or how the run ended, and `reason`."""
    outcome = run.outcome(info)
    return {"status": "running", "reason": None} if outcome is None else outcome._asdict()
