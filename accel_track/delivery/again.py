"""Repeated delivery of refused records, once the cause of the refusal is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from accel_track.delivery.artifacts import deliverable
from accel_track.delivery.base import hand_over
from accel_track.delivery.ledger import keep_aside, refused, shown
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.staging import kept_file
from accel_track.errors import HalfStoredError
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import History, JournalReader
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import AnyRecord, Artifact, Checkpoint, is_call, replayable
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
    taken, problem = deliver_alone(records, run.rank(rank), build, note, outcome)
    _taken(run, name, rank, [records[place].seq for place in taken])
    return problem


def deliver_alone(
    records: Iterable[AnyRecord],
    folder: Path,
    build: Callable[[], GeneralTracker],
    note: Callable[[GeneralTracker, dict[str, Any]], None],
    outcome: Outcome | None,
) -> tuple[list[int], str | None]:
    """Hand a tracker some records, and finish it; return the places of those that it has stored, and a problem or None.

    The caller holds the lock on the tracker's cursor, which stays where it is.

    Args:
        records: The records, with their media as trackers are given them.
        folder: The rank's folder.
        build: Returns the tracker, not started.
        note: Gets, once the tracker is started, the identity of its run.
        outcome: How the run ended, or None.
    """
    try:
        tracker = build()
        tracker.forget()
        tracker.users += 1
        tracker.start()
        note(tracker, tracker.identity())
        taken, problem = _hand_over(tracker, records, folder)
        tracker.flush()
        tracker.users -= 1
        tracker.outcome = outcome or FINISHED
        tracker.finish()
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything; then nothing is known to be stored
        return [], shown(error)
    return taken, None if problem is None else shown(problem)


def _hand_over(
    tracker: GeneralTracker, records: Iterable[AnyRecord], folder: Path
) -> tuple[list[int], Exception | None]:
    """Hand over as many records at once as the tracker takes, in halves where that fails."""
    taken: list[int] = []
    problem: Exception | None = None
    for batch in _batches(records, tracker.batch_size):
        groups = [batch]
        while groups:
            group = groups.pop()
            error = _refusal(tracker, [record for _, record in group], folder)
            if error is None:
                taken += [place for place, _ in group]
            elif isinstance(error, HalfStoredError) or tracker.is_transient(error) or tracker.concerns_run(error):
                return taken, error
            elif len(group) > 1:
                middle = len(group) // 2
                groups += [group[middle:], group[:middle]]
            else:  # it stays refused, and the next may be stored
                problem = error
    return taken, problem


def _batches(records: Iterable[AnyRecord], size: int) -> Iterator[list[tuple[int, AnyRecord]]]:
    """Yield records with their places, calls of `log` so many together."""
    batch: list[tuple[int, AnyRecord]] = []
    for place, record in enumerate(records):
        if batch and (len(batch) >= size or not is_call(record) or not is_call(batch[0][1])):
            yield batch
            batch = []
        batch.append((place, record))
    if batch:
        yield batch


def _refusal(tracker: GeneralTracker, records: Sequence[AnyRecord], folder: Path) -> Exception | None:
    try:
        for record in records:
            _check_files(folder, record)
        tracker.record_time = records[0].time
        hand_over(tracker, records, folder)
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything
        return error
    finally:
        tracker.record_time = None
    return None


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
    """Return the quarantined records behind the cursor that still count; those before it are delivered anyway."""
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
    """Count records as delivered, then take them out of the quarantine; a kill in between repeats their delivery."""
    file, cursor = run.cursor(name, rank), cursors.load(run.cursor(name, rank))
    left = refused(run.quarantine(name, rank)) - set(taken)
    moved = min(len(taken), max(0, cursor.quarantined - sum(seq < cursor.seq for seq in left)))
    cursor.delivered += moved
    cursor.quarantined -= moved
    cursors.save(file, cursor)
    keep_aside(run.quarantine(name, rank), left)
