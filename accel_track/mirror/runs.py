"""Mirrored runs: the run directories of a store, each as a copy on this machine that is brought up to date."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import cast

from filelock import BaseFileLock

from accel_track.errors import JournalError
from accel_track.files import make_private
from accel_track.folders import cache_home
from accel_track.journal import cursor as cursors
from accel_track.journal.cursor import Cursor
from accel_track.journal.directory import RunDirectory
from accel_track.mirror.claims import LASTS, Claim
from accel_track.mirror.download import Download, is_news, overlay
from accel_track.mirror.layout import (
    CLAIMS,
    RUN,
    STARTED,
    TRACKERS,
    Delivered,
    State,
    encoded,
    plain_path,
    rank_name,
    stored_name,
)
from accel_track.mirror.store import Store, StoreError

SILENT = 60.0
"""Seconds without a sign of life, or six times the mirror's interval, after which a run counts as killed."""


def cache_folder(store: Store) -> Path:
    """Return the folder of this machine for copies of a store's runs; it may be deleted at any time."""
    return cache_home() / "mirror" / hashlib.sha256(store.shown.encode()).hexdigest()[:16]


def _place(copy: Path) -> str:
    """Return the name of a folder of copies, by which claims of this machine's own are known; made once.

    Raises:
        OSError: It cannot be written.
    """
    file = copy.parent / ".place"
    make_private(file.parent)
    with contextlib.suppress(FileExistsError), open(file, "x", encoding="ascii") as new:
        new.write(secrets.token_hex(16))
    return file.read_text("ascii")


class Lively:
    """Says by a run's states whether the program that trains is there."""

    def __init__(self) -> None:
        """Begin without a state."""
        self._last: State | None = None
        self._since = 0.0

    def see(self, state: State) -> None:
        """Note the store's current state."""
        if state != self._last:
            # How old the first one is, only its own clock can tell; later ones are as old as they are here.
            age = max(0.0, time.time() - state.time) if self._last is None else 0.0
            self._last, self._since = state, time.monotonic() - age

    def silent(self) -> float:
        """Return for how many seconds nothing was heard; infinite if the run is over, or not there."""
        return float("inf") if self._last is None or self._last.over else time.monotonic() - self._since

    def is_alive(self) -> bool:
        """Return whether the run goes on."""
        return self._last is not None and self.silent() < max(SILENT, 6 * self._last.interval)


class MirroredRun(RunDirectory):
    """A run in a store, and its copy in a folder of this machine.

    Args:
        store: Where the run is.
        name: Its folder there; empty if the store's URL is the run's.
        path: The folder of the copy.
    """

    def __init__(self, store: Store, name: str, path: Path) -> None:
        """Fetch nothing yet."""
        super().__init__(path)
        self._url = f"{store.shown.rstrip('/')}/{name}".rstrip("/")
        self._store = store
        self.download = Download(store, name, self)
        self._lively: defaultdict[int, Lively] = defaultdict(Lively)
        self._held: dict[tuple[str, int], _Held] = {}

    @property
    def shown(self) -> str:
        """The run's URL, without credentials."""
        return self._url

    @property
    def lacking(self) -> list[str]:
        """The parts that the store says it has, and those missing or damaged, by the last look."""
        return self.download.problems

    def refresh(self, *, media: bool = True) -> bool:
        """Bring the copy up to date; say whether there was anything new.

        Args:
            media: Whether to fetch media and artifacts, too.

        Raises:
            StoreError: The store cannot be reached.
            JournalError: There is no such run, or it is another one, or of a later version.
            OSError: The copy cannot be written.
        """
        info = self.download.info()
        if info is None:
            message = f"{self.shown}: there is no {RUN} that can be read; nothing is done with it."
            raise JournalError(message)
        if info.run_id != self.path.name:
            message = f"{self.shown}: its {RUN} is of another run, {info.run_id!r}; nothing is done with it."
            raise JournalError(message)
        make_private(self.path)
        news = self.download.look(info, media=media, kept=[name for name, _ in self._held])
        for rank, state in self.download.states.items():
            self._lively[rank].see(state)
        return news

    def changed(self) -> bool:
        """Return whether the store has something new, which a look at one object of each rank that goes on tells.

        Raises:
            StoreError: The store cannot be reached.
        """
        ranks = [0, *(rank for rank, known in self.download.states.items() if rank and not known.over)]
        return any(self._has_changed(rank) for rank in ranks)  # all are seen by `refresh`

    def _has_changed(self, rank: int) -> bool:
        state, known = self.download.state(rank), self.download.states.get(rank)
        if state is None:
            return False
        self._lively[rank].see(state)
        return known is None or is_news(state, known)

    @property
    def interval(self) -> float:
        """Seconds between two uploads, as far as that is known."""
        state = self.download.states.get(0)
        return 10.0 if state is None else state.interval

    def is_live(self) -> bool:
        """Return whether the process that trains is there, as far as the store tells."""
        return self._lively[0].is_alive()

    def living(self) -> frozenset[int]:
        """Return the ranks whose processes are there: one may end later than rank 0."""
        return frozenset(rank for rank, one in self._lively.items() if one.is_alive())

    def claim(self, tracker: str, rank: int = 0) -> BaseFileLock | None:
        """Return the lock against other processes' deliveries, here and elsewhere; None if another process has it.

        Raises:
            OSError: It cannot be made, or the store cannot be reached.
        """
        state = self.download.states.get(rank)
        if state is not None and tracker in state.trackers and self._may_deliver(rank, state):
            return None
        lock = super().claim(tracker, rank)
        if lock is None:
            return None
        file = self.cursor(tracker, rank).name
        name = self.download.path(f"{CLAIMS}/{rank_name(rank)}-{stored_name(file)}")
        claim = Claim(self._store, name, _place(self.path))
        try:
            if not claim.take():
                lock.release()
                return None
            self._take_over(tracker, rank)
        except BaseException:
            lock.release()
            raise
        held = self._held[tracker, rank] = _Held(self, tracker, rank, lock, claim)
        return cast("BaseFileLock", held)

    def _may_deliver(self, rank: int, state: State) -> bool:
        """Return whether the program delivers; or its companion does, which has not told the store how far it is."""
        return self._lively[rank].is_alive() or (state.over and time.time() - state.time < LASTS)

    def _take_over(self, tracker: str, rank: int) -> None:
        """Take over how far the one before has got: what the store says, unless this machine knows better."""
        for one in self.download.delivered(rank):
            if one.name == tracker:
                self.download.take_cursor(rank, one)
                self.update(partial(overlay, rank=rank, delivered=one))

    def publish(self) -> bool:
        """Store how far the trackers are that this process delivers to; False where another has taken one over.

        Raises:
            StoreError: The store cannot be reached.
        """
        lost = [held for held in list(self._held.values()) if not held.publish()]
        return not lost

    def store_delivered(self, tracker: str, rank: int, before: bytes) -> bytes:
        """Store how far a tracker is, unless that is what was stored before; return what is stored now."""
        cursor = Cursor()
        with contextlib.suppress(JournalError):
            cursor = cursors.load(self.cursor(tracker, rank))
        cursor.time = cursor.time or time.time()  # one that begins anew is newer than what others have
        data = encoded(Delivered(tracker, cursor, self.load().trackers.get(tracker)))
        if data != before:
            file = stored_name(self.cursor(tracker, rank).name)
            self._store.put(self.download.path(f"{rank_name(rank)}/{TRACKERS}/{file}"), data)
        return data

    def forget_claim(self, tracker: str, rank: int) -> None:
        """Take the store's word for a tracker again."""
        self._held.pop((tracker, rank), None)


class _Held:
    """A tracker of a rank that this process delivers to: the lock here, and the claim in the store."""

    def __init__(self, run: MirroredRun, tracker: str, rank: int, lock: BaseFileLock, claim: Claim) -> None:
        self._run, self._tracker, self._rank, self._lock, self._claim = run, tracker, rank, lock, claim
        self._stored = b""

    def publish(self) -> bool:
        if not self._claim.renew():
            return False
        self._stored = self._run.store_delivered(self._tracker, self._rank, self._stored)
        return True

    def release(self) -> None:
        """Store how far the tracker is, then let others go on."""
        try:
            with contextlib.suppress(StoreError):  # this machine's copy knows it; others may deliver a part once more
                if self.publish():
                    self._claim.release()
        finally:
            self._run.forget_claim(self._tracker, self._rank)
            self._lock.release()


def mirrored_runs(place: str | Store, known: Collection[str] = ()) -> Iterator[MirroredRun]:
    """Yield the runs below a URL, or the one that it is; none of them is fetched yet.

    Args:
        place: The URL, or the store.
        known: URLs of runs that are left out.

    Raises:
        StoreError: The store cannot be reached.
        MissingPackageError: The package that such URLs need is not installed.
        ValueError: It is not an URL of a store.
    """
    store = Store(place) if isinstance(place, str) else place
    base = cache_folder(store)
    if store.mark(RUN) is not None:
        if (info := Download(store, "", RunDirectory(base)).info()) is None:
            message = f"{store.shown}: its {RUN} cannot be read."
            raise JournalError(message)
        if "/" in info.run_id or plain_path(stored_name(info.run_id)) is None:
            message = f"{store.shown}: its {RUN} names a run {info.run_id!r}, which is no name."
            raise JournalError(message)
        if store.shown not in known:
            yield MirroredRun(store, "", base / info.run_id)
        return
    for name in _names(store):
        path = plain_path(name)
        run = None if path is None else MirroredRun(store, name, base / path)
        if run is not None and run.shown not in known and store.mark(f"{name}/{RUN}") is not None:
            yield run


def _names(store: Store) -> Iterator[str]:
    """Yield the folders in a store that may be runs."""
    for folder in store.folders():
        if folder == STARTED:
            continue
        if store.mark(f"{folder}/{RUN}") is not None:
            yield folder
        else:
            yield from (f"{folder}/{one}" for one in store.folders(folder))
