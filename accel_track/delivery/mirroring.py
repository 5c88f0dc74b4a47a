"""Mirroring: the thread that copies what a run appends to a store, and what it says of how far that is."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from accel_track.delivery.retry import Deadline, DeadlineReachedError, retrying
from accel_track.errors import WORKER_NAME, warn
from accel_track.files import replace_file
from accel_track.folders import shown_path
from accel_track.journal.directory import RunDirectory
from accel_track.mirror.claims import Claim
from accel_track.mirror.layout import CLAIMS, rank_name, stored_name
from accel_track.mirror.mirrored import Mirrored, noted_file
from accel_track.mirror.store import Store, StoreError
from accel_track.mirror.upload import OtherJournalError, Upload
from accel_track.texts import clean, json_bytes

LEAST = 5.0
"""Seconds that the last look has at least, when trackers have used up the time of the end."""


class Mirroring:
    """The copy of one rank's folder every so often, with repetitions, until it is ended; never on the caller's thread.

    Args:
        store: Where to.
        run: The run.
        rank: Whose folder.
        interval: Seconds between two looks.
        owned: Returns the names of the trackers that this program delivers to, and whether it goes on with each.
    """

    def __init__(
        self, store: Store, run: RunDirectory, rank: int, interval: float, owned: Callable[[], Mapping[str, bool]]
    ) -> None:
        """Start nothing yet."""
        self._store, self._run, self._rank = store, run, rank
        self._interval, self._owned = interval, owned
        self._upload = Upload(store, run, rank, interval, self._wait)
        self._deadline = Deadline()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closing = False
        self._done_at: float | None = None
        self._error: str | None = None
        self._told = ""
        self._left = False
        """Whether the end has not waited for the thread."""

    @property
    def shown(self) -> str:
        """The store's URL without credentials."""
        return self._store.shown

    def wake(self) -> None:
        """Copy from now on."""
        with self._lock:
            self._closing = False
            if self._thread is None and os.getpid() == self._pid:
                self._left = False
                self._deadline = Deadline()
                self._thread = threading.Thread(target=self._copy, name=f"{WORKER_NAME}mirror", daemon=True)
                self._thread.start()

    def rest(self, *, over: bool) -> None:
        """Copy everything new, and give the thread back if the run seems to be over.

        A run whose end is not noted keeps the thread: without signs of life from it, it would be taken for killed.
        """
        if over:
            self._close()

    def end(self, timeout: float) -> None:
        """Copy everything new, tell that nothing more will come, and wait that long at most."""
        self.wake()
        thread = self._thread
        self._deadline.set(max(timeout, LEAST))
        self._close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(timeout, LEAST))
            if thread.is_alive():  # in a request that does not end: others may complete the mirror from here on
                self._note()
                self._left = True

    def _close(self) -> None:
        self._closing = True
        self._deadline.wake()

    def _wait(self, seconds: float) -> None:
        self._deadline.wait(seconds)
        if self._deadline.left <= 0:
            raise DeadlineReachedError

    def _copy(self) -> None:
        repeat = retrying(transient=self._is_waited_for, deadline=self._deadline, before_retry=self._stall)
        try:
            while True:
                with self._lock:
                    closing = self._closing
                begun = time.time()
                repeat(partial(self._upload.look, self._owned(), over=closing))
                self._done_at, self._error = begun, None
                self._note()
                with self._lock:
                    if closing and self._closing:
                        self._thread = None
                        return
                if not self._closing:
                    self._deadline.wait(self._interval)
        except DeadlineReachedError as error:
            self._error = self._error or clean(error.__cause__ or "there was no time for it")
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to
            self._error = clean(str(error) or type(error).__name__)
            warn(f"mirror: {self._error}; the run goes on without it.")
        self._note()
        with self._lock:
            self._thread = None

    def _is_waited_for(self, error: BaseException) -> bool:
        return isinstance(error, Exception) and not isinstance(error, (OtherJournalError, DeadlineReachedError))

    def _stall(self, error: BaseException) -> None:
        self._error = clean(error)
        self._note()
        if self._told != self._error:
            self._told = self._error
            warn(f"mirror: {self._error}; it is tried again, and the run's folder has what is not there yet.")

    def _note(self) -> None:
        """Write down how far the mirror is, for `accel-track show`."""
        if self._left:
            return
        with contextlib.suppress(OSError):
            noted = Mirrored(self.shown, self._done_at, self._upload.segments, self._upload.behind, self._error)
            replace_file(noted_file(self._run, self._rank), json_bytes(noted))

    def is_claimed(self, name: str) -> bool:
        """Return whether another process delivers the run to a tracker, as far as the store can tell."""
        file = stored_name(self._run.cursor(name, self._rank).name)
        claim = Claim(self._store, f"{self._upload.name}/{CLAIMS}/{rank_name(self._rank)}-{file}")
        try:
            return claim.holder is not None
        except StoreError:
            return False

    def notes(self) -> list[str]:
        """Return a sentence for the closing report where something is not in the store."""
        behind = self._upload.behind
        if self._thread is None and self._error is None and not behind:
            return []
        error = f" ({self._error})" if self._error else ""
        lacks = f"the mirror {self.shown} lacks {behind} bytes{error}"
        return [f"{lacks}; copy them, once the store answers, with: accel-track sync {shown_path(self._run.path)}"]
