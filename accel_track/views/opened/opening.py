"""The opening of runs: their delivery into a private folder, for a page of this machine, for as long as it is open."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from accel_track.delivery.beside import Beside
from accel_track.delivery.status import TrackerStatus
from accel_track.delivery.sync import TAKEN, Job, Sync, stop
from accel_track.errors import WORKER_NAME, AccelTrackError
from accel_track.files import make_private
from accel_track.folders import cache_home
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.journal.locks import acquired
from accel_track.texts import clean

_POOL = 4
"""Runs that have ended and are delivered at the same moment; each that goes on has a thread of its own."""

_TIMEOUT = 60.0
"""Seconds without progress after which the delivery of an ended run is given up."""

_LOOK = 1.0
"""Seconds between two looks whether a run goes on again."""

_FETCH = 5.0
"""Seconds between two looks into mirrors."""

_DAYS = 30
"""The time for which a delivery is kept that nobody opens."""


@dataclass
class Opened:
    """One run that is open: from beside, and what became of its delivery."""

    run: Beside
    task: Future[list[TrackerStatus]] | None = None
    statuses: list[TrackerStatus] = field(default_factory=list)
    error: str | None = None

    @property
    def trouble(self) -> str | None:
        """The reason why the run is not delivered, or None."""
        told = (one.error or one.obstacle for one in self.statuses if one.obstacle != TAKEN)
        return self.error or next((one for one in told if one), None)


class Opening:
    """The delivery of runs to one tracker, into a folder of the cache, where the next opening of these runs goes on.

    Args:
        runs: The runs.
        tracker: Name of the tracker.

    Raises:
        JournalError: A run cannot be read.
        OSError: The folder cannot be made.
    """

    def __init__(self, runs: Sequence[RunDirectory], tracker: str) -> None:
        """Make the folder."""
        _delete_old()
        self.folder = _folder(runs, tracker)
        make_private(self.folder)
        os.utime(self.folder)
        self._tracker = tracker
        self._lock = acquired(self.folder / "open.lock")
        self.opened = [Opened(one) for one in _beside(runs, self.folder)]
        self._stop, self._begun = threading.Event(), threading.Event()
        live = sum(one.run.is_live() for one in self.opened)
        self._pool = ThreadPoolExecutor(_POOL + live, thread_name_prefix=f"{WORKER_NAME}open")
        self._look_at, self._fetch_at = 0.0, time.monotonic() + _FETCH

    def start(self) -> None:
        """Begin to deliver, and return as soon as the tracker has made its files."""
        self.look()
        while not self._begun.wait(0.05) and not self.settled:
            self.look()

    @property
    def settled(self) -> bool:
        """Whether all records are delivered of the runs that do not go on."""
        return all(one.task is None or one.task.done() or one.run.is_live() for one in self.opened)

    def look(self) -> None:
        """Note which deliveries are through, and go on with runs that go on again; at most once a second."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK
        self._fetch()
        for one in self.opened:
            if one.task is None or (one.task.done() and self._goes_on(one)):
                one.task = self._pool.submit(self._deliver, one)

    def _fetch(self) -> None:
        """Bring copies of mirrored runs up to date, every few seconds."""
        if time.monotonic() < self._fetch_at:
            return
        for one in self.opened:
            _fetch_one(one)
        self._fetch_at = time.monotonic() + _FETCH

    def _goes_on(self, one: Opened) -> bool:
        return one.run.is_live() or any(status.obstacle == TAKEN for status in one.statuses)

    def _deliver(self, one: Opened) -> list[TrackerStatus]:
        def watch(jobs: Sequence[Job]) -> None:
            if any(job.worker.running or job.over for job in jobs):
                self._begun.set()
            if self._stop.is_set():
                stop(jobs)

        try:
            one.statuses = Sync(one.run, [self._tracker]).deliver(follow=True, timeout=_TIMEOUT, watch=watch)
        except Exception as error:  # noqa: BLE001 - of one run, which is told of it
            one.error = clean(error) or type(error).__name__
        return one.statuses

    def close(self) -> None:
        """End the deliveries behind what they have in hand."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        if self._lock is not None:
            self._lock.release()


def _fetch_one(one: Opened) -> None:
    try:
        one.run.refresh()
    except (AccelTrackError, OSError) as error:
        one.error = clean(error)


def _home() -> Path:
    return cache_home() / "open"


def _folder(runs: Sequence[RunDirectory], tracker: str) -> Path:
    """Return the folder of these runs, as they are: a run that takes another's place is another one."""
    whole = sorted(f"{run.path.absolute()} {run.path.stat().st_ino}" for run in runs)
    return _home() / f"{tracker}-{hashlib.sha256(os.fsencode(chr(10).join(whole))).hexdigest()[:16]}"


def _beside(runs: Sequence[RunDirectory], folder: Path) -> list[Beside]:
    """Return the runs from beside; of two with one name, the second has its id behind it."""
    taken: set[tuple[str, str]] = set()
    found = []
    for run in runs:
        info = run.load()
        name = info.name or info.run_id
        if (info.project, name) in taken:
            name = f"{name} {info.run_id}"
        taken.add((info.project, name))
        place = folder / PARENT / info.project / info.run_id
        make_private(place)
        found.append(Beside(run, place, name))
    return found


def _delete_old() -> None:
    """Delete folders that were not opened for long, and are not open."""
    home = _home()
    for folder in home.iterdir() if home.is_dir() else ():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _DAYS * 86400:
            lock = acquired(folder / "open.lock")
            if lock is not None:
                lock.release()
                shutil.rmtree(folder, ignore_errors=True)
