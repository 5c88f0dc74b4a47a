"""Upkeep of a run's files: they are stored, made again where they are gone, and written after an outage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from accel_track.delivery.process.parent import Remote
from accel_track.delivery.worker import Worker
from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.journal.writer import JournalWriter


class Upkeep:
    """The care for the journal and the run directory of one process.

    Args:
        directory: The run directory.
        journal: The journal of this process in it.
        lock_again: Takes the locks again that this process held, after the folder was made again.
    """

    def __init__(self, directory: RunDirectory, journal: JournalWriter, lock_again: Callable[[], None]) -> None:
        """Do nothing yet."""
        self._directory, self._journal, self._lock_again = directory, journal, lock_again
        self._changes: list[Callable[[RunInfo], None]] = []

    def update(self, change: Callable[[RunInfo], None]) -> None:
        """Change `run.json`, to which `accel-track sync` may have added since; later, if the disk takes nothing now."""
        self._changes.append(change)
        self._update()

    def _update(self) -> None:
        def change(info: RunInfo) -> None:
            for one in changes:
                one(info)

        if changes := list(self._changes):
            with contextlib.suppress(OSError, JournalError):
                self._directory.update(change)
                del self._changes[: len(changes)]

    def look(self, workers: Iterable[Worker], remotes: Iterable[Remote]) -> None:
        """Do the work that is due; about once a second."""
        workers, remotes, journal = list(workers), list(remotes), self._journal
        cursors = [remote.cursor for remote in remotes]
        journal.sync()
        journal.given = min([*(one.ledger.given for one in workers), *(one.taken for one in cursors)], default=0)
        journal.forget(min([*(one.cursor.seq for one in workers), *(one.seq for one in cursors)], default=0))
        is_gone = not self._directory.remember()
        if journal.is_gone() or is_gone:
            with contextlib.suppress(OSError, JournalError):  # again in a second
                self._directory.make()
                journal.restore()
                for worker in workers:
                    worker.store_again()
                for remote in remotes:
                    remote.store_again()
                self._lock_again()
        journal.recover()
        self._update()
