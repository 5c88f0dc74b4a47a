"""The handling of SIGTERM, which clusters send some seconds before they kill a program."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accel_track.outcome import Outcome


def exit_on_sigterm(tell: Callable[[], None]) -> Callable[[], None]:
    """Make SIGTERM raise SystemExit on the main thread, unless the program or a library handles it already.

    By default the signal kills Python at once: no `finally`, no end of the run. Forked children keep that default.

    Args:
        tell: Called first, in the signal handler.

    Returns:
        A function that undoes this; it may be called from any thread.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, _exit_in_order):
        return lambda: None
    key = os.getpid(), next(_numbers)
    _told[key] = tell
    signal.signal(signal.SIGTERM, _exit_in_order)

    def undo() -> None:
        _told.pop(key, None)
        alone = not _told and threading.current_thread() is threading.main_thread()
        if alone and signal.getsignal(signal.SIGTERM) == _exit_in_order:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    return undo


_told: dict[tuple[int, int], Callable[[], None]] = {}
"""The functions that the handler calls, by process and number."""

_numbers = itertools.count()


def _exit_in_order(*_: Any) -> None:
    tell = [one for (process, _), one in _told.items() if process == os.getpid()]
    if not tell:  # in a forked child, or undone from another thread than the main one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    for one in tell:
        one()
    raise SystemExit(Outcome("preempted").exit_code)


@contextmanager
def sigterm_held_back() -> Iterator[None]:
    """Deliver SIGTERM to its previous handler only after the block, which must be bounded in time.

    Forked children keep the previous handler. A launcher terminates all of its processes as soon as the first one
    has failed, and kills them some time later (torch's `ProcessContext.join`: after 30 s).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, owner = False, os.getpid()

    def note(*_: Any) -> None:
        nonlocal came
        came = True
        if os.getpid() != owner:
            deliver()

    def deliver() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        if came:
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        deliver()
