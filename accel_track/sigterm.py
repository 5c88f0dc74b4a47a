"""End a program in order on SIGTERM, which clusters send some seconds before they kill it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accel_track.outcome import Outcome


def exit_on_sigterm(tell: Callable[[], None]) -> Callable[[], None]:
    """Have SIGTERM raise SystemExit on the main thread, unless the program or a library handles it already.

    By default the signal kills Python at once: no `finally`, no end of the run. Forked children keep that default.

    Args:
        tell: Called first, in the signal handler.

    Returns:
        What undoes it.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return lambda: None
    owner = os.getpid()

    def handle(*_: Any) -> None:
        if os.getpid() != owner:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        tell()
        raise SystemExit(Outcome("preempted").exit_code)

    def undo() -> None:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)
    return undo


@contextmanager
def sigterm_held_back() -> Iterator[None]:
    """Deliver SIGTERM only after the block, which must be bounded in time, to whoever handles it now.

    Forked children keep who handles it now. Who has launched several processes terminates all of them as soon as the
    first one has failed, and kills them some time later (torch's `ProcessContext.join`: after 30 s).
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
