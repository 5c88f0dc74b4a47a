"""Media on their way: kept in the call, encoded behind it, and given to trackers as what they are."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from accel_track.delivery.sources import UnreadableError
from accel_track.delivery.staging import FOLDER
from accel_track.errors import WORKER_NAME
from accel_track.media import Medium
from accel_track.media.folder import ENCODED, MediaFolder
from accel_track.media.kinds import KINDS
from accel_track.media.sums import Sums, sha256
from accel_track.records import AnyRecord, Stored, WithoutForm, restored
from accel_track.values.capture import Captured
from accel_track.values.passing import PassingMedia, leave_out

_PAUSE = 5.0
"""Seconds until pixels that the disk did not take, encoded, are tried again."""

PATIENCE = 10.0
"""Seconds that the end of a run waits for checksums, behind all else."""


class KeptMedia:
    """The media of one rank's journal.

    Args:
        folder: The rank's folder.
        durable: Whether what is kept survives a power cut.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Touch nothing yet."""
        self.files = MediaFolder(folder / FOLDER, durable=durable)
        self._sums = Sums(folder / FOLDER)
        self._elsewhere = PassingMedia()

    def keep(self, call: Captured) -> None:
        """Store the media of a call; what cannot be stored is left out, and noted as unread."""
        with self.files.together(found.content for found in call.media) as bundle:
            for found in call.media:
                try:
                    file = self.files.keep(found.content, bundle)
                except Exception as error:  # noqa: BLE001, PERF203 - what is wrong with one costs the others nothing
                    leave_out(found, error, call)
                else:
                    found.place[found.key] = Stored(found.kind.kind, file, found.content.info)

    def whole(self, record: AnyRecord) -> AnyRecord:
        """Return a record with its media as trackers are given them.

        Raises:
            UnreadableError: A file cannot be encoded at the moment.
        """
        try:
            return restored(record, self.medium)
        except OSError as error:
            raise UnreadableError(*error.args) from error

    def medium(self, stored: Stored) -> Medium | WithoutForm:
        """Return the object that a tracker gets for a medium, or a stand-in for a lost one.

        Raises:
            OSError: Its file cannot be encoded at the moment.
        """
        kind = KINDS.get(stored.kind)
        if kind is None:
            return WithoutForm(f"{stored.kind}, which this version does not know")
        try:
            path = self._file(stored.file) if stored.file else None
            if path is not None and self._is_damaged(path):
                return WithoutForm(f"{stored.kind} whose file is damaged: its bytes are not what was stored")
            if stored.file and path is None:
                return WithoutForm(f"{stored.kind} whose file is missing")
            return kind.of_stored(stored.info, path)
        except ValueError as error:
            return WithoutForm(f"{stored.kind} whose file is damaged: {error}")

    def _is_damaged(self, path: Path) -> bool:
        """Return whether a file's bytes are neither those that its name nor those that a checksum says."""
        digest = sha256(path)
        if digest == path.name.partition(".")[0]:
            return False
        noted = self._sums.has(path.name, digest)
        # A power cut may have taken the checksum of an encoded file, whose name is made of something else.
        return not noted if noted is not None else not path.name.endswith(ENCODED)

    def _file(self, name: str) -> Path | None:
        try:
            return self.files.file(name)
        except OSError:  # a full disk, which numbers do not wait for either
            return self.files.file_elsewhere(name, self._elsewhere.folder)


def media_notes(files: MediaFolder) -> list[str]:
    """Return sentences about the media of a run that has ended, for its closing report."""
    if not files.encoded_in_calls:
        return []
    return [f"{files.encoded_in_calls} media were encoded in the calls that logged them: too many waited"]


class Encoding:
    """The thread that encodes what waits in a folder, then computes checksums; there is none while nothing waits.

    Args:
        files: The folder.
    """

    def __init__(self, files: MediaFolder) -> None:
        """Start nothing yet."""
        self._files = files
        self._checksums: deque[Iterator[None]] = deque()
        self._lock = threading.RLock()  # a signal handler may log, too
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._ending, self._stop = threading.Event(), threading.Event()
        self._patient_until = float("inf")

    @property
    def is_busy(self) -> bool:
        """Whether something waits."""
        return bool(self._files.waiting or self._checksums)

    def begin(self, checksums: Iterator[None] | None = None) -> None:
        """Do the waiting work in the background.

        Args:
            checksums: Computes checksums, in steps.
        """
        if checksums is not None:
            self._checksums.append(checksums)
        if not self.is_busy or os.getpid() != self._pid:
            return
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name=f"{WORKER_NAME}media", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # too many threads, or the interpreter ends
                self._thread = None

    def end(self, timeout: float) -> None:
        """Wait until all is encoded; what is not by then is encoded by whoever delivers it."""
        self._patient_until = time.monotonic() + min(timeout, PATIENCE)
        self._ending.set()
        self.begin()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, timeout))
        elif thread is None:
            self._encode_here(time.monotonic() + timeout)
        self._stop.set()
        self._files.forget_spares()

    def _encode_here(self, until: float) -> None:
        with contextlib.suppress(OSError):
            while time.monotonic() < until and self._files.encode_next():
                pass

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._files.encode_next():
                    continue
            except OSError:  # a full disk
                if self._ending.wait(_PAUSE):
                    return
                continue
            if time.monotonic() >= self._patient_until:
                return
            if self._checksums:
                self._sum_up()
                continue
            with self._lock:
                if not self.is_busy:
                    self._thread = None
                    return

    def _sum_up(self) -> None:
        """Compute a part of a checksum."""
        with contextlib.suppress(OSError):  # the disk takes nothing: there will be none
            if next(self._checksums[0], self) is None:
                return
        self._checksums.popleft()
