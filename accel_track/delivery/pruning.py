"""Pruning: `accel-track prune` and the setting `keep` delete run directories whose records are all delivered."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from accel_track.delivery.status import ranks_of, records
from accel_track.errors import WORKER_NAME, JournalError, warn
from accel_track.files import make_private
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import DELETED, PARENT, RunDirectory, find_runs
from accel_track.journal.info import RunInfo
from accel_track.mirror.mirrored import mirrored
from accel_track.texts import counted


def kept_because(run: RunDirectory) -> str | None:
    """Return why a run must not be deleted, or None if it has ended and all its trackers have its records.

    Raises:
        JournalError: It is damaged.
        OSError: It cannot be read.
    """
    info = run.load()
    if info.run_id != run.path.name:
        return f"its run.json is of another run, {info.run_id}"
    if run.is_live():
        return "it is running"
    if not info.trackers:
        return "it has no tracker, so nothing else has its records"
    return undelivered(run, info)


def undelivered(run: RunDirectory, info: RunInfo) -> str | None:
    """Return a sentence about the records that neither the trackers nor the mirror of a run have, or None.

    Raises:
        JournalError: It is damaged.
        OSError: It cannot be read.
    """
    notes = [note for rank in run.ranks() if (note := mirrored(run, rank)) is not None]
    if lacking := sum(note.lacking for note in notes):
        return f"its mirror {info.mirror} lacks {counted(lacking, 'byte')}"
    logged = records(run)
    taken = {rank for name in info.trackers for rank in ranks_of(run, name)}
    if taken and (others := [str(rank) for rank, count in logged.items() if count and rank not in taken]):
        return f"none of its trackers takes what rank {', '.join(others)} has logged"
    return next(filter(None, (_lacking(run, name, logged) for name in info.trackers)), None)


def _lacking(run: RunDirectory, name: str, logged: dict[int, int]) -> str | None:
    """Return a sentence about the logged records of each rank that a tracker does not have."""
    had = {rank: cursors.load(run.cursor(name, rank)) for rank in ranks_of(run, name)}
    if pending := sum(max(0, logged[rank] - cursor.seq) for rank, cursor in had.items()):
        return f"{counted(pending, 'record')} pending for {name}"
    if quarantined := sum(cursor.quarantined for cursor in had.values()):
        return f"{counted(quarantined, 'record')} quarantined for {name}"
    damaged = sum(cursor.damaged for cursor in had.values())
    return f"{counted(damaged, 'damaged byte')} not delivered to {name}" if damaged else None


def leads_elsewhere(run: RunDirectory) -> str | None:
    """Raise an error for a folder that is not in a `.accel_track`, or gets there through a symbolic link."""
    path = run.path.absolute()
    if path.parents[1].name != PARENT:
        return f"it is not in a {PARENT} folder"
    if any(folder.is_symlink() for folder in (path, *path.parents[:2])):
        return "it is reached through a symbolic link"
    return None


def size_and_time(folder: Path) -> tuple[int, float]:
    """Return the bytes in a folder, and when a file in it was last written to. Locks are touched by looking at them."""
    total, newest = 0, 0.0
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.stat(os.path.join(parent, name), follow_symlinks=False)
            total += status.st_size
            newest = max(newest, 0.0 if ".lock" in name else status.st_mtime)
    return total, newest


def delete(run: RunDirectory) -> bool:
    """Delete a run's folder, unless another process uses it; say whether it is deleted.

    It is moved out of the way first, so what a killed process leaves of it is no run, and goes with the next deletion.

    Raises:
        JournalError: It is damaged.
        OSError: It cannot be deleted.
    """
    bin_ = run.path.parents[1] / DELETED / run.path.parent.name
    with _held(run) as free:
        if not free:
            return False
        make_private(bin_)
        run.path.rename(bin_ / run.path.name)
    with contextlib.suppress(OSError):  # other runs of the project are there
        run.path.parent.rmdir()
    finish_deletions(run.path.parents[1])
    return True


def finish_deletions(store: Path) -> None:
    """Delete the folders that were moved out of the way.

    Args:
        store: The folder `.accel_track`.
    """
    if not (store / DELETED).is_symlink():
        shutil.rmtree(store / DELETED, ignore_errors=True)


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[bool]:
    """Hold all locks of a run; the value of the block tells whether nobody else holds one."""
    try:
        names = [*run.load().trackers]
    except JournalError:  # whoever uses it has told its name before
        names = []
    with contextlib.ExitStack() as locks:
        free = True
        for lock in (run.claim_run(), *(run.claim(name, rank) for rank in run.ranks() for name in names)):
            if lock is None:
                free = False
            else:
                locks.callback(lock.release)
        yield free


def prune_in_background(run: RunDirectory, older_than: float) -> threading.Thread:
    """Delete the runs of a logging directory that came to their end, are delivered and were not touched for a while.

    Args:
        run: The run that begins, which is kept.
        older_than: Seconds since they were touched.
    """
    arguments = run.path.parents[1], run.path, older_than
    thread = threading.Thread(target=_prune, args=arguments, name=f"{WORKER_NAME}prune", daemon=True)
    thread.start()
    return thread


def _prune(store: Path, own: Path, older_than: float) -> None:
    finish_deletions(store)
    for run in find_runs(store):
        try:
            is_over = run.path != own and leads_elsewhere(run) is None and run.load().status == "finished"
            is_old = is_over and time.time() - size_and_time(run.path)[1] >= older_than
            if is_old and kept_because(run) is None:
                delete(run)
        except (JournalError, OSError) as error:  # noqa: PERF203 - of each run
            warn(f"keep: {run.path} is not deleted ({error}).")
