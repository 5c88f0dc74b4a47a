"""The summary of a run: what `accel-track ls` shows of it, and how its files tell that this has changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import Any

import msgspec

from accel_track.journal.directory import RunDirectory
from accel_track.journal.glance import glance
from accel_track.journal.info import RunInfo
from accel_track.journal.plain import check_plain


class Summary(msgspec.Struct):
    """A run in short.

    Attributes:
        run_id: The run's id.
        status: "running", how it ended, or "damaged".
        reason: What ended it, or None.
        error: Why it is damaged, in one line, or None.
        project: Its project.
        name: Its name in the project.
        created: When it began, in seconds since 1970-01-01 UTC.
        parent: Id of the run that it is a child of, or None.
        tags: Its labels.
        note: What people have noted about it.
        records: How many records it has logged, of all ranks; None if it is damaged.
        newest: When the last of these was logged, or None.
        trackers: By name, the counts of `TrackerStatus`, without `lag`.
        waiting: By name, when the oldest pending record was logged.
    """

    run_id: str
    status: str = "damaged"
    reason: str | None = None
    error: str | None = None
    project: str | None = None
    name: str | None = None
    created: float | None = None
    parent: str | None = None
    tags: list[str] = []
    note: str = ""
    records: int | None = None
    newest: float | None = None
    trackers: dict[str, dict[str, Any]] = {}
    waiting: dict[str, float] = {}

    @classmethod
    def of(cls, run: RunDirectory) -> Summary:
        """Return the summary of a run as its files are now; of a damaged one, what can be told."""
        found = cls(run.path.name, project=run.path.absolute().parent.name)
        try:
            found._read(run)
        except (ValueError, OSError, OverflowError) as error:
            found.status, found.error = "damaged", " ".join(str(error).split())
        return found

    def _read(self, run: RunDirectory) -> None:
        from accel_track.delivery.status import status_of

        run.refresh(media=False)
        check_plain(run)
        info = run.load()
        self._name(info)
        ends = {rank: glance(run.rank(rank)) for rank in run.ranks()}
        logged = {rank: count for rank, (count, _) in ends.items()}
        self.records = sum(logged.values())
        self.newest = max((time for _, time in ends.values() if time is not None), default=None)
        now, live = time.time(), run.is_live()
        for name in info.trackers:
            counts = status_of(run, name, logged, live=live).counts
            if (lag := counts.pop("lag")) is not None:
                self.waiting[name] = now - lag
            self.trackers[name] = counts
        outcome = run.outcome(info)
        self.status, self.reason = ("running", None) if outcome is None else outcome

    def _name(self, info: RunInfo) -> None:
        for field in ("run_id", "project", "name", "created", "parent", "tags", "note"):
            setattr(self, field, getattr(info, field))

    @property
    def pending(self) -> int:
        """The number of records that trackers do not have yet, of all trackers."""
        return sum(counts["pending"] for counts in self.trackers.values())

    def duration(self, now: float) -> float | None:
        """Return the seconds from the run's beginning to its last record, of a running one until now; None: unknown."""
        end = now if self.status == "running" else self.newest
        return None if end is None or self.created is None else max(0.0, end - self.created)


def signature(run: RunDirectory) -> bytes | None:
    """Return a mark that changes with everything in `Summary` and the run's journals; None for a run that goes on.

    Nothing is read for it: it is made of the sizes, inodes and times of change of `run.json`, the segments and the
    cursors.
    """
    if run.is_live():
        return None
    folder = os.fspath(run.path)  # no Path in here: of ten thousand runs, these would take most of the time
    facts: list[object] = [_facts(f"{folder}/run.json")]
    for rank in sorted(name for name in _names(folder) if name.startswith("rank-")):
        for place, ending in ((f"{folder}/{rank}", ".seg"), (f"{folder}/{rank}/cursors", ".json")):
            names = sorted(name for name in _names(place) if name.endswith(ending))
            facts += [(rank, name, _facts(f"{place}/{name}")) for name in names]
    return hashlib.blake2b(repr(facts).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _names(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def _facts(path: str) -> tuple[int, ...]:
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns
