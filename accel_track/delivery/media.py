"""Media on their way: kept in the call, encoded behind it, and given to trackers as what they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from accel_track.delivery.sources import UnreadableError
from accel_track.delivery.staging import FOLDER
from accel_track.errors import WORKER_NAME
from accel_track.media import Medium
from accel_track.media.folder import MediaFolder
from accel_track.media.kinds import KINDS
from accel_track.records import AnyRecord, Stored, WithoutForm, restored
from accel_track.values.capture import Captured
from accel_track.values.passing import leave_out

_PAUSE = 5.0
"""Seconds until pixels that the disk did not take, encoded, are tried again."""


class KeptMedia:
    """The media of one rank's journal.

    Args:
        folder: The rank's folder.
    """

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self.files = MediaFolder(folder / FOLDER)

    def keep(self, call: Captured) -> None:
        """Store the media of a call; what cannot be stored is left out, and noted as unread."""
        for found in call.media:
            try:
                found.place[found.key] = Stored(found.kind.kind, self.files.keep(found.content), found.content.info)
            except (OSError, ValueError) as error:  # noqa: PERF203 - the others are kept
                leave_out(found, error, call)

    def whole(self, record: AnyRecord) -> AnyRecord:
        """Return a record with its media as trackers are given them.

        Raises:
            UnreadableError: A file cannot be encoded at the moment.
        """
        try:
            return restored(record, self._medium)
        except OSError as error:
            raise UnreadableError(*error.args) from error

    def _medium(self, stored: Stored) -> Medium | WithoutForm:
        kind = KINDS.get(stored.kind)
        if kind is None:
            return WithoutForm(f"{stored.kind}, which this version does not know")
        try:
            path = self.files.file(stored.file) if stored.file else None
        except ValueError as error:
            return WithoutForm(f"{stored.kind} whose file is damaged: {error}")
        if stored.file and path is None:
            return WithoutForm(f"{stored.kind} whose file is missing")
        return kind.of_stored(stored.info, path)


class Encoding:
    """The thread that encodes what waits in a folder; there is none while nothing waits.

    Args:
        files: The folder.
    """

    def __init__(self, files: MediaFolder) -> None:
        """Start nothing yet."""
        self._files = files
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stop = threading.Event()

    def begin(self) -> None:
        """Encode what waits, in the background."""
        if not self._files.waiting or os.getpid() != self._pid:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{WORKER_NAME}media", daemon=True)
                self._thread.start()

    def end(self, timeout: float) -> None:
        """Wait until all is encoded; what is not by then is encoded by whoever delivers it."""
        self.begin()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, timeout))
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._files.encode_next():
                    continue
            except OSError:  # a full disk
                if self._stop.wait(_PAUSE):
                    return
                continue
            with self._lock:
                if not self._files.waiting:
                    self._thread = None
                    return
