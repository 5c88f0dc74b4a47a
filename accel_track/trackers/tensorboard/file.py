"""An event file, appended to by any thread."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from pathlib import Path

from accel_track.errors import warn
from accel_track.trackers.tensorboard.wire import first_event

# TensorBoard's own writers of a process count from 0, and overwrite a file that has their name.
_numbers = itertools.count(1000)


class EventFile:
    """An event file that is never buffered: what `append` has returned from is in it, also after `kill -9`.

    Args:
        folder: Where to make it; created when missing.
        suffix: What to add to its name.
    """

    def __init__(self, folder: str, suffix: str = "") -> None:
        """Make the file, with the event that says what it is."""
        self.folder, self.suffix = folder, suffix
        self._lock = threading.RLock()  # a signal handler may append
        self._whole: int | None = None
        self._file: int | None = None
        self._make()

    def _make(self) -> None:
        os.makedirs(self.folder, exist_ok=True)
        now = time.time()
        begin = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        while self._file is None:
            self.path = Path(self.folder, f"{begin}.{next(_numbers)}{self.suffix}")
            with contextlib.suppress(FileExistsError):  # of a container with the same host name
                self._file = self._open(os.O_EXCL)
        try:
            self._write(first_event(now))
        except OSError:
            self.close()
            self.path.unlink()
            raise

    def _open(self, more: int = 0) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | more, 0o666)

    def append(self, events: bytes) -> None:
        """Write framed events: all of them or, when it raises, none.

        A file that was closed is opened again; in the place of one that somebody has deleted, another one is made.

        Raises:
            OSError: The disk takes no more.
        """
        with self._lock:
            if self._is_gone():
                self._replace()
            elif self._file is None:
                self._file = self._open()
            self._write(events)

    def _is_gone(self) -> bool:
        # The number of links alone tells nothing: there are file systems on which it is always 0.
        linked = self._file is not None and os.fstat(self._file).st_nlink
        return not linked and not self.path.exists()

    def _replace(self) -> None:
        earlier = self.path
        self.close()
        self._whole = None
        self._make()
        warn(
            f"tensorboard: somebody has deleted {earlier}; further values are in {self.path.name}. "
            "`accel-track verify RUN --against tensorboard --repair` delivers the earlier ones again."
        )

    def _write(self, events: bytes) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        if self._whole is not None:
            self._cut()
        left = memoryview(events)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._whole = os.fstat(self._file).st_size - (len(events) - len(left))
            self._cut()
            raise

    def _cut(self) -> None:
        """Take away the part of events that is behind the last whole one."""
        assert self._file is not None  # noqa: S101 - for the type checker
        assert self._whole is not None  # noqa: S101 - as above
        os.ftruncate(self._file, self._whole)
        self._whole = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
