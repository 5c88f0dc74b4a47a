"""Repeated delivery of refused records, once the cause of the refusal is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from accel_track.delivery.artifacts import deliverable
from accel_track.delivery.base import hand_over
from accel_track.delivery.ledger import keep_aside, refused, shown
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.staging import kept_file
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import History, JournalReader
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import AnyRecord, Artifact, Checkpoint, replayable
from accel_track.rules import Reshaper, Rules
from accel_track.trackers.base import GeneralTracker


def deliver_again(
    run: RunDirectory,
    name: str,
    rank: int,
    build: Callable[[], GeneralTracker],
    note: Callable[[GeneralTracker, dict[str, Any]], None],
    outcome: Outcome | None,
) -> str | None:
    """Hand a tracker the records of its quarantine, once each; return why some of them stay there, or None.

    The caller holds the lock on the tracker's cursor.

    Args:
        run: The run.
        name: Name of the tracker.
        rank: Whose records.
        build: Returns the tracker, not started.
        note: Gets, once the tracker is started, the identity of its run.
        outcome: How the run ended, or None.

    Raises:
        JournalError: The cursor or a segment is damaged.
        OSError: The run directory cannot be written to.
    """
    records = _refused_records(run, name, rank)
    if not records:
        return None
    taken: list[int] = []
    problem: Exception | None = None
    try:
        tracker = build()
        tracker.forget()
        tracker.users += 1
        tracker.start()
        note(tracker, tracker.identity())
        for record in records:
            try:
                _check_files(run.rank(rank), record)
                hand_over(tracker, [record], run.rank(rank))
            except Exception as error:  # noqa: BLE001, PERF203 - it stays refused, and the next may be stored
                problem = error
                if tracker.is_transient(error) or tracker.concerns_run(error):
                    break
            else:
                taken.append(record.seq)
        tracker.flush()
        tracker.users -= 1
        tracker.outcome = outcome or FINISHED
        tracker.finish()
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything; then nothing is known to be stored
        return shown(error)
    _taken(run, name, rank, taken)
    return None if problem is None else shown(problem)


def _check_files(folder: Path, record: AnyRecord) -> None:
    """Make sure that the files of a record are what was logged.

    Raises:
        FileNotFoundError: They are gone, or have changed.
    """
    gone = isinstance(record, Artifact) and deliverable(folder, record) is None
    if gone or (isinstance(record, Checkpoint) and record.path and kept_file(folder, record.path) is None):
        message = "its files are gone or have changed since it was logged"
        raise FileNotFoundError(message)


def _refused_records(run: RunDirectory, name: str, rank: int) -> list[AnyRecord]:
    """Return what of the quarantine is behind the cursor and still counts; what is before it is delivered anyway."""
    aside, end = refused(run.quarantine(name, rank)), cursors.load(run.cursor(name, rank)).seq
    if not aside:
        return []
    counts, rules = History(run.rank(rank)).counts, cursors.load(run.cursor(name, rank)).rules or Rules()
    reshape = Reshaper(msgspec.structs.replace(rules, every=1), name)  # what is left out is in no quarantine
    found = (one for one in JournalReader(run.rank(rank)) if one.seq in aside and one.seq < end and counts(one))
    media = KeptMedia(run.rank(rank))
    shaped = (record for one in found if (record := reshape(one)) is not None)
    return [whole for one in shaped if (whole := replayable(media.whole(one))) is not None]


def _taken(run: RunDirectory, name: str, rank: int, taken: list[int]) -> None:
    """Count what is delivered now, then take it out of the quarantine: in between, it would be delivered once more."""
    file, cursor = run.cursor(name, rank), cursors.load(run.cursor(name, rank))
    left = refused(run.quarantine(name, rank)) - set(taken)
    moved = min(len(taken), max(0, cursor.quarantined - sum(seq < cursor.seq for seq in left)))
    cursor.delivered += moved
    cursor.quarantined -= moved
    cursors.save(file, cursor)
    keep_aside(run.quarantine(name, rank), left)
