"""The stacks of all threads of this process in a file: after a fatal signal, when asked from outside, and now.

`faulthandler` has one file for fatal signals. It is taken only where nobody has enabled it, and given up where somebody
else takes it: this module holds its files weakly, so that they live as long as `faulthandler` writes to them.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import threading
import time
import weakref
from pathlib import Path

from accel_track.monitors.memory import KERNEL
from accel_track.texts import printable
from accel_track.watchdog.evidence import LARGEST, Evidence

STALLED, THREAD = "# stalled", "# thread"
"""The beginnings of the lines that say when stacks were written, and the names of threads."""
_LEFT_FREE = 6
"""Real-time signals at the upper end that are left to others: debuggers and virtual machines take the last ones."""


class _File:
    """A file that is closed once nobody holds it."""

    def __init__(self, path: Path) -> None:
        self._file = Evidence.appending(path)

    def fileno(self) -> int:
        return self._file

    def flush(self) -> None:
        pass

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._file)


class Stacks:
    """The file for the stacks of this process: that of the run that began last and has not ended."""

    def __init__(self) -> None:
        """Take nothing yet."""
        self._paths: list[Path] = []
        self._lock = threading.RLock()
        self._faults: weakref.ref[_File] | None = None
        self.signal: int | None = None
        """The signal on which stacks are written; None: there is none, and none is needed."""

    def forget(self) -> None:
        """Send the stacks of a forked child, whose crash is not the run's, to a file of the children's."""
        path = self._paths[-1] if self._paths else None
        self._paths, self._lock, self.signal = [], threading.RLock(), None
        if path is not None and _lives(self._faults):
            with contextlib.suppress(OSError):
                self._enable(path.with_name("children.txt"))

    @property
    def faults(self) -> str:
        """The place of the stacks after a fatal signal: "here", or "elsewhere", as the program has decided."""
        return "here" if _lives(self._faults) else "elsewhere"

    def take(self, path: Path) -> None:
        """Send the stacks to a file.

        Raises:
            OSError: It cannot be made.
        """
        with self._lock:
            self._paths.append(path)
            try:
                self._point()
            except BaseException:
                self._paths.remove(path)
                raise

    def release(self, path: Path) -> None:
        """Send the stacks to the file that was taken before it, or to none."""
        with self._lock, contextlib.suppress(ValueError, OSError):
            self._paths.remove(path)
            self._point()

    def _point(self) -> None:
        path = self._paths[-1] if self._paths else None
        if path is None:
            if _lives(self._faults):
                faulthandler.disable()
            if self.signal is not None:
                faulthandler.unregister(self.signal)
                self.signal = None
            return
        if _lives(self._faults) or not faulthandler.is_enabled():
            self._enable(path)
        if self.signal is None:
            self.signal = _free_signal()
        if self.signal is not None:
            faulthandler.register(self.signal, _File(path))

    def _enable(self, path: Path) -> None:
        file = _File(path)
        faulthandler.enable(file)
        self._faults = weakref.ref(file)


def _lives(file: weakref.ref[_File] | None) -> bool:
    return file is not None and file() is not None


def _free_signal() -> int | None:
    """Return a real-time signal that nobody in this process handles, ignores or blocks, or None."""
    last, status = getattr(signal, "SIGRTMAX", None), KERNEL.text("self/status")
    masks = re.findall(r"^Sig(?:Cgt|Ign|Blk):\s*([0-9a-f]+)$", status, re.MULTILINE)
    if last is None or not masks or not hasattr(faulthandler, "register"):
        return None
    numbers = range(int(last) - _LEFT_FREE, int(signal.SIGRTMIN), -1)
    return next((one for one in numbers if not any(int(mask, 16) >> (one - 1) & 1 for mask in masks)), None)


def write_stacks(path: Path, seconds: float) -> None:
    """Append the stacks of all threads, with their names.

    Args:
        path: The file; one that has grown large takes no more.
        seconds: For how long no record came.

    Raises:
        OSError: It cannot be written.
    """
    file = Evidence.appending(path)
    try:
        if os.fstat(file).st_size < LARGEST:
            names = [f"{THREAD} 0x{one.ident or 0:016x} {printable(one.name)[:100]}\n" for one in threading.enumerate()]
            os.write(file, "".join([f"{STALLED} {time.time():.3f} {seconds:.3f}\n", *names]).encode())
            faulthandler.dump_traceback(file, all_threads=True)
    finally:
        os.close(file)


stacks = Stacks()
"""The process's."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=stacks.forget)
