"""The repair: what a receipt finds missing is delivered, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from accel_track.delivery.again import deliver_alone
from accel_track.delivery.comparing.lacking import Lacking
from accel_track.delivery.comparing.records import RecordsFor
from accel_track.delivery.media import KeptMedia
from accel_track.delivery.receipt import Receipt, compare
from accel_track.delivery.sync import TAKEN, Sync
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.records import AnyRecord, replayable


@dataclass
class Repair:
    """The result of a repair.

    Attributes:
        before: The receipt before.
        delivered: Records, and parts of records, that were delivered.
        error: Why some were not, or None.
        after: The receipt after.
    """

    before: Receipt
    delivered: int
    error: str | None
    after: Receipt


def repair(run: RunDirectory, name: str, arguments: Mapping[str, Any] | None = None) -> Repair:
    """Deliver to a tracker the values that its backend lacks, once each, in their order, and compare again.

    A process may be killed in the middle: the next repair begins with a comparison, too, and so delivers the rest.

    Args:
        run: The run.
        name: Name of the tracker.
        arguments: Constructor arguments of the tracker; they win over those that the run stored.

    Raises:
        JournalError: `run.json`, a cursor or a segment is damaged.
        OSError: The run directory cannot be read or written to.
    """
    sync = Sync(run, [name], {name: dict(arguments or {})})
    locks = {rank: run.claim(name, rank) for rank in sync.ranks(name)}
    try:
        before = compare(run, name, arguments)
        delivered, error = 0, None
        if any(map(len, before.lacking.values())):
            error = (sync.obstacle(name) or _unread(before)) if all(locks.values()) else TAKEN
        for rank, lacking in before.lacking.items() if error is None else ():
            if len(lacking) and error is None:
                count, error = _deliver(sync, name, rank, lacking)
                delivered += count
    finally:
        for lock in locks.values():
            if lock is not None:
                lock.release()
    return Repair(before, delivered, error, compare(run, name, arguments) if delivered or error else before)


def _unread(receipt: Receipt) -> str | None:
    """Raise an error if nothing at all could be read, since everything may be there."""
    nothing = receipt.unread and not any(tally.there or tally.extra.count for tally in receipt.tallies)
    return f"nothing could be read there ({next(iter(receipt.unread))})" if nothing else None


def _deliver(sync: Sync, name: str, rank: int, lacking: Lacking) -> tuple[int, str | None]:
    build, note = partial(sync.build, name, rank), partial(sync.note, name, rank)
    records = _lacking_records(sync, name, rank, lacking)
    taken, error = deliver_alone(records, sync.run.rank(rank), build, note, sync.outcome)
    return len(taken), error


def _lacking_records(sync: Sync, name: str, rank: int, lacking: Lacking) -> Iterator[AnyRecord]:
    """Yield the records and the parts of records that are lacking, in the journal's order."""
    folder, tracker = sync.run.rank(rank), sync.build(name, rank)
    media, rules = KeptMedia(folder), cursors.load(sync.run.cursor(name, rank)).rules
    for record, counts in RecordsFor(folder, (name, tracker.name), rules):
        if counts and (part := lacking.of(record, tracker.stored_name)) is not None:
            whole = replayable(media.whole(part))
            if whole is not None:
                yield whole
