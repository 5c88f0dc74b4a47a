"""The reading of runs one by one, by several processes where there are many."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from accel_track.journal.directory import RunDirectory

FoundT = TypeVar("FoundT")

MANY = 500
"""From how many runs on it is worth other processes."""

_MOST_PROCESSES = 8
_AT_ONCE = 50


def each(read: Callable[[RunDirectory], FoundT], runs: Sequence[RunDirectory]) -> Iterator[FoundT]:
    """Yield the findings about each run, in the runs' order.

    Args:
        read: Finds it out; a function that pickle knows by its name.
        runs: The runs.
    """
    done = 0
    if len(runs) >= MANY and (processes := _processes()) > 1 and all(type(one) is RunDirectory for one in runs):
        yield read(runs[0])  # what that imports, the others have
        done = 1
        with contextlib.suppress(BrokenProcessPool, OSError):  # one was killed, or none can be made
            for one in _by_others(read, runs[1:], processes):
                yield one
                done += 1
    yield from map(read, runs[done:])


def _by_others(read: Callable[[RunDirectory], FoundT], runs: Sequence[RunDirectory], number: int) -> Iterator[FoundT]:
    ignored = signal.SIGINT, signal.SIG_IGN  # Ctrl-C is the parent's
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(number, context, initializer=signal.signal, initargs=ignored)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside NumPy's threads, which allow for it
            found = pool.map(read, runs, chunksize=_AT_ONCE)
        yield from found
    finally:
        pool.shutdown(cancel_futures=True)


def _processes() -> int:
    """Return how many processes may read; 1 where a process with threads, or another system, had better not fork."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
