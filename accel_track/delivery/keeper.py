"""The keeper: one thread that looks after all runs of the process, about once a second, while one needs that."""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from accel_track.errors import WORKER_NAME

INTERVAL = 1.0
"""Seconds between two looks."""

_log = logging.getLogger(__name__)


class Keeper:
    """A thread that calls functions about once a second, each until it is removed, and others once.

    Args:
        interval: Seconds between two calls.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        """Begin without a thread."""
        self._interval = interval
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child, which has no other thread."""
        self._lock = threading.Lock()
        self._looks: tuple[Callable[[], None], ...] = ()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, look: Callable[[], None]) -> None:
        """Call a function every so often from now on."""
        with self._lock:
            self._looks = (*self._looks, look)
        self._live()

    def remove(self, look: Callable[[], None]) -> None:
        """Call the function no more; the thread ends where no other function is left."""
        with self._lock:
            self._looks = tuple(one for one in self._looks if one != look)
        self._jobs.put(None)

    def soon(self, job: Callable[[], None]) -> None:
        """Call a function once. May be called by the garbage collector, in the middle of anything: takes no lock."""
        self._jobs.put(job)
        if self._thread is None:
            with contextlib.suppress(RuntimeError):  # at the interpreter's end, `atexit` sees to it
                _thread.start_new_thread(self._live, ())

    def wait_until_idle(self, timeout: float) -> None:
        """Wait for the thread's end where nothing needs it any more."""
        thread = self._thread
        if not self._looks and thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _live(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{WORKER_NAME}keeper", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        jobs, thread = self._jobs, self._thread
        while True:
            try:
                job = jobs.get(timeout=self._interval)
            except Empty:
                due = self._looks
            else:  # a job, or None where a function was removed
                due = tuple(filter(None, (job,)))
            for one in due:
                try:
                    one()
                except Exception:  # noqa: BLE001, PERF203 - a thread has nobody to raise to, and the next are to be called
                    _log.exception("accel_track: looking after a run failed")
            with self._lock:
                if self._looks or not jobs.empty():
                    continue
                self._thread = None
                # `soon` puts, then looks for the thread: what it has put before that line is seen here.
                if jobs.empty():
                    return
                self._thread = thread


keeper = Keeper()
"""The process's."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=keeper.forget)


def every(seconds: float, call: Callable[[], None], until: threading.Event) -> threading.Thread:
    """Call a function every so often in a thread of its own, until an event is set."""

    def repeat() -> None:
        while not until.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, name=f"{WORKER_NAME}meter", daemon=True)
    thread.start()
    return thread
