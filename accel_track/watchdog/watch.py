"""The watch of one process over its run: it notes who it is, signs of life, stalls, and what ended it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from accel_track.journal.writer import JournalWriter
from accel_track.monitors.memory import KERNEL, Memory
from accel_track.outcome import Outcome
from accel_track.texts import clean
from accel_track.watchdog.evidence import LARGEST, Beat, Began, Evidence
from accel_track.watchdog.processes import boot_id, started_at
from accel_track.watchdog.stacks import stacks, write_stacks
from accel_track.watchdog.uncaught import last_uncaught, shown, tell, tell_no_more

BEAT = 5.0
"""Seconds between two signs of life."""
TIMES = 10
"""The number of median intervals without a record that make a stall."""
_KNOWN = 3
"""The number of intervals that a median needs."""


class Looking(Protocol):
    """The caller of functions about once a second, such as the keeper."""

    def add(self, look: Callable[[], None]) -> None:
        """Call a function every so often from now on."""

    def remove(self, look: Callable[[], None]) -> None:
        """Let the caller forget a function."""


class Watch:
    """The watch of one run of this process, from a thread that is not the training's; `log` knows nothing of it.

    While nobody has said how the run ended, the thread stays, also while the run rests, until a stall has been written
    down. Files that cannot be written are passed over.

    Args:
        rank: The rank's folder.
        journal: The journal of this process.
        keeper: Who calls `look`.
        stall_after: Seconds without a record, at least, that are a stall; 0: none is.
    """

    def __init__(self, rank: Path, journal: JournalWriter, keeper: Looking, stall_after: float) -> None:
        """Begin to watch."""
        self._journal, self._keeper, self._stall_after = journal, keeper, stall_after
        self._lock = threading.RLock()
        self._evidence: Evidence | None = None
        self._group = KERNEL.group()
        self._outcome: Outcome | None = None
        self._looks = False
        self._intervals: deque[float] = deque(maxlen=60)
        self._seq, self._seen, self._newest = journal.next_seq, time.monotonic(), 0.0
        self._stalled, self._beat_at = False, 0.0
        self._pid, self._error = os.getpid(), id(last_uncaught())  # of a notebook's earlier cell, say
        with contextlib.suppress(OSError):
            self._evidence = Evidence.new(rank)
            self._begin()

    def _begin(self) -> None:
        """Take the process's one file of stacks, the hook of threads, and the keeper's time.

        Raises:
            OSError: A file cannot be written.
        """
        if (evidence := self._evidence) is None:
            return
        stacks.take(evidence.stacks)
        tell(self._thread_ended)
        self._seen, self._stalled = time.monotonic(), False
        pid, main = os.getpid(), threading.main_thread().ident or 0
        who = (time.time(), pid, started_at(pid), socket.gethostname(), boot_id(), main)
        memory = KERNEL.memory(self._group)
        evidence.note(Began(*who, stacks.signal, stacks.faults, self._group, memory))
        self._beat(memory)
        self.wake()

    def wake(self) -> None:
        """Look on, where the run goes on."""
        with self._lock:
            if self._evidence is not None and self._outcome is None and not self._looks:
                self._looks = True
                self._keeper.add(self.look)

    def _rest(self) -> None:
        self._keeper.remove(self.look)
        self._looks = False

    def look(self) -> None:
        """Do the work that is due; about once a second."""
        with self._lock, contextlib.suppress(OSError):
            if not self._looks:  # it ended meanwhile
                return
            now, seq = time.monotonic(), self._journal.next_seq
            if seq != self._seq:
                self._intervals.append((now - self._seen) / max(1, seq - self._seq))
                self._seq, self._seen, self._newest, self._stalled = seq, now, time.time(), False
            elif not self._stalled and self._is_long(now - self._seen):
                self._stalled = True
                if self._evidence is not None:
                    write_stacks(self._evidence.stacks, now - self._seen)
            error = last_uncaught()
            if error is not None and id(error) != self._error:
                self._note_error(error)
            if now >= self._beat_at:
                self._beat()
            if self._stalled and self._journal.resting:  # the next record wakes it
                self._rest()

    def _is_long(self, seconds: float) -> bool:
        return 0 < self._stall_after <= seconds and seconds >= TIMES * (self._interval or 0.0)

    @property
    def _interval(self) -> float | None:
        return statistics.median(self._intervals) if len(self._intervals) >= _KNOWN else None

    def _beat(self, memory: Memory | None = None) -> None:
        """Write a sign of life.

        Args:
            memory: As it is, if that was just asked for.

        Raises:
            OSError: It cannot be written.
        """
        evidence, journal = self._evidence, self._journal
        if evidence is None:
            return
        self._beat_at = time.monotonic() + BEAT
        memory = memory or KERNEL.memory(self._group)
        beat = Beat(time.time(), journal.next_seq, self._newest or None, self._interval, memory, journal.lost)
        beat.waiting = sum(one.waits for one in list(journal.kept))
        with contextlib.suppress(OSError):
            beat.disk_free = shutil.disk_usage(evidence.path).free
        if self._outcome is not None:
            beat.status, beat.reason = self._outcome
        evidence.beat(beat)

    def conclude(self, outcome: Outcome | None) -> None:
        """Note how the run has ended if nothing else follows, and give back what is the process's; None: it goes on."""
        with self._lock, contextlib.suppress(OSError):
            was, self._outcome = self._outcome, outcome
            if self._evidence is None:
                return
            if outcome is None:
                if was is not None:
                    self._begin()
                return
            error = sys.exc_info()[1] or last_uncaught()
            if outcome.status != "finished" and error is not None and id(error) != self._error:
                self._note_error(error)
            if was is None:
                self._rest()
                tell_no_more(self._thread_ended)
                stacks.release(self._evidence.stacks)
            self._beat()

    def _note_error(self, error: BaseException) -> None:
        self._error = id(error)  # the exception itself would keep what its frames have
        self._write_error(f"# {time.time():.3f}\n{shown(error)}")

    def _thread_ended(self, name: str, error: BaseException) -> None:
        with contextlib.suppress(OSError):
            if os.getpid() != self._pid:  # a forked child
                return
            self._write_error(f"# {time.time():.3f} in the thread {clean(name)[:200]}\n{shown(error)}")

    def _write_error(self, text: str) -> None:
        if self._evidence is None:
            return
        with open(Evidence.appending(self._evidence.error), "ab") as stream:
            if stream.tell() < LARGEST:
                stream.write(text.encode("utf-8", "replace"))
