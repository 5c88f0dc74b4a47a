"""The process of a run that goes on, as this machine shows it: its state, and its stacks, for which it is asked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from accel_track.watchdog.evidence import Began, Evidence
from accel_track.watchdog.processes import boot_id, handles, started_at, state_of

_STATES = {
    "T": "it was stopped by a signal, such as Ctrl-Z's",
    "t": "a debugger has stopped it",
    "D": "it waits in the kernel, for a disk, a network file system or a driver, and cannot be interrupted",
    "Z": "it has ended, and its parent has not taken notice",
}
_ANSWER = 3.0
"""Seconds that a process has to write its stacks."""


def is_here(began: Began) -> bool:
    """Return whether a process is one of this machine, and is there."""
    here = began.host == socket.gethostname() and began.boot == boot_id()
    return here and began.ticks is not None and started_at(began.pid) == began.ticks


def oddity(began: Began) -> str | None:
    """Return the obstacle that keeps a process of this machine from running, in words, or None."""
    return _STATES.get(state_of(began.pid) or "")


def asked_for_stacks(began: Began, evidence: Evidence) -> bool:
    """Ask a process of this machine to write its stacks; return whether it has.

    A signal is sent only where the process has a handler for it, and holds the file that the handler writes to: it may
    be another by now, or the run directory somebody else's.
    """
    number, first = began.signal, getattr(signal, "SIGRTMIN", None)
    if number is None or first is None or not first <= number <= signal.SIGRTMAX or not is_here(began):
        return False
    if not (handles(began.pid, number) and _holds(began.pid, evidence.stacks)):
        return False
    before, end = _size(evidence.stacks), time.monotonic() + _ANSWER
    with contextlib.suppress(OSError):
        os.kill(began.pid, number)
        while time.monotonic() < end:
            size = _size(evidence.stacks)
            time.sleep(0.05)
            if before < size == _size(evidence.stacks):
                return True
    return False


def _holds(pid: int, file: Path) -> bool:
    """Return whether a process has a file open."""
    with contextlib.suppress(OSError):
        wanted = file.stat()
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                    return True
    return False


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
