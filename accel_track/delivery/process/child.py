"""The companion process: `accel-track sync --follow` of one run, and its watcher, told by a pipe what it needs.

It ends when everything is delivered after the end of the process that trains, which it notices at once: a process whose
parent has died gets another one.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, TextIO

from accel_track.alerts.watching import Watching
from accel_track.delivery.process.protocol import Brief, CompanionState, Concluding, WorkerState, load_state, state_file
from accel_track.delivery.status import TrackerStatus
from accel_track.delivery.sync import Job, Sync
from accel_track.errors import AccelTrackError
from accel_track.files import replace_file
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import outcome_noted
from accel_track.mirror.complete import complete
from accel_track.outcome import CRASHED, Outcome
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.texts import clean, json_bytes
from accel_track.watchdog.death import note_death
from accel_track.watchdog.exits import Exit

_LAST = 5.0
"""Seconds that the process that trains gets to end once all is delivered, for its exit status to be noted."""

_LOOK = 0.1
"""Seconds between two looks at the process that trains, where no tracker is followed."""

_LET_GO = 10.0
"""Seconds that the process that trains gets to let go of a run that it has ended."""

_LAST_ALERTS = 60.0
"""Seconds that services get for the last alerts."""

_LONGEST_EXIT = 20
"""Seconds for what SDKs do at the interpreter's exit, where one may hang: Aim does if its folder was deleted."""


def _read(size: int) -> bytes:
    """Read so many bytes from the pipe and no more: `select` has to see what is behind them."""
    data = b""
    while len(data) < size and (more := os.read(0, size - len(data))):
        data += more
    return data


def _message() -> Any:
    """Return the next message from the parent; None if there will be none."""
    data = _read(int.from_bytes(_read(4), "little"))
    return pickle.loads(data) if data else None  # noqa: S301 - from the parent, which has started this process


class Deliverer:
    """The companion's work: it delivers until the process that trains has ended and everything is delivered.

    Args:
        brief: What to deliver.
    """

    def __init__(self, brief: Brief) -> None:
        """Load the trackers' classes and arguments."""
        self._brief = brief
        self._run = RunDirectory(brief.run)
        self._file = state_file(self._run, brief.rank, brief.stem)
        self._state = CompanionState(os.getpid(), load_state(self._file).starts + 1)
        self._ended: Outcome | None = None
        self._exit = Exit(brief.parent)
        arguments = {}
        for name, data in brief.trackers.items():
            LOGGER_TYPE_TO_CLASS[name], arguments[name] = pickle.loads(data)  # noqa: S301 - as above
        self._sync = Sync(
            self._run, list(arguments), arguments, rank=brief.rank, grouped=brief.grouped, alive=self._alive
        )
        self._watching = None if brief.watched is None else Watching(self._run, brief.rank, brief.watched)

    def _alive(self) -> bool:
        """Return whether the process that trains is there and has not ended the run."""
        if self._ended is None:
            message = _message() if select.select([0], [], [], 0)[0] else None
            if isinstance(message, Outcome):
                self._ended = message
                self._conclude(message)
            elif isinstance(message, Concluding):
                self._conclude(message.outcome)
            elif os.getppid() != self._brief.parent:
                noted = outcome_noted(self._run.load()) if self._brief.rank == 0 else None
                self._ended = noted or CRASHED
                note_death(self._run.rank(self._brief.rank), self._exit, self._brief.parent)
                self._conclude(self._ended)
                if self._watching is not None:  # before trackers get the last records
                    self._watching.record(0.0)
            self._sync.ended = self._ended
        return self._ended is None

    def _conclude(self, outcome: Outcome) -> None:
        """Raise the last alerts."""
        if self._watching is not None:
            self._watching.conclude(outcome)

    def _note(self, jobs: Sequence[Job]) -> None:
        """Store how the trackers are doing, if that has changed."""
        trackers = {
            job.name: WorkerState(
                job.worker.running,
                job.worker.last_error,
                job.worker.failure is not None or job.worker.trouble is not None,
            )
            for job in jobs
        }
        self._store(self._now(trackers))

    def _now(self, trackers: dict[str, WorkerState], *, over: bool = False) -> CompanionState:
        state = CompanionState(self._state.pid, self._state.starts, over, trackers)
        if self._watching is not None:
            state.watches, state.problem = True, self._watching.problem
        return state

    def _last(self, name: str, error: str | None) -> WorkerState:
        """Return the end of a tracker; a tracker that never had a worker has failed."""
        known = self._state.trackers.get(name)
        failed = error is not None if known is None else known.failed
        return WorkerState(error=error, failed=failed)

    def _store(self, state: CompanionState) -> None:
        if state != self._state:
            with contextlib.suppress(OSError):  # the folder is gone, or the disk full, for the time being
                replace_file(self._file, json_bytes(state))
                self._state = state

    def deliver(self) -> None:
        """Deliver; return when there is nothing more to do.

        Raises:
            JournalError: A cursor or a segment is damaged.
            OSError: The run directory cannot be written to.
        """
        replace_file(self._file, json_bytes(self._state))
        if self._watching is not None:
            self._watching.start()
        found: list[TrackerStatus] = []
        if self._brief.trackers:
            found = self._sync.deliver(follow=True, timeout=self._brief.patience, watch=self._note)
        trackers = {one.name: self._last(one.name, one.obstacle or one.error) for one in found}
        if self._watching is not None and not self._sync.stopped:
            self._watch_on(self._watching, trackers)
        self._store(self._now(trackers, over=not self._sync.stopped))
        for one in found:
            print(one, flush=True)  # noqa: T201 - into the log
        if self._sync.stopped:  # by SIGTERM, which may have been for the companion alone: the trainer starts another
            raise SystemExit(Outcome("preempted").exit_code)
        if self._exit.wait(_LAST):
            note_death(self._run.rank(self._brief.rank), self._exit, self._brief.parent)
        if self._brief.mirror is not None:
            self._complete_mirror(self._brief.mirror)

    def _watch_on(self, watching: Watching, trackers: dict[str, WorkerState]) -> None:
        """Watch until the run has ended, also where no tracker is left, and send the last alerts."""
        while self._alive():
            self._store(self._now(trackers))
            time.sleep(_LOOK)
        watching.record(_LET_GO)
        watching.close(_LAST_ALERTS)

    def _complete_mirror(self, url: str) -> None:
        """Copy the parts that the process that trains could not: a killed process's tail, the trackers' progress."""
        try:
            complete(self._run, url, [self._brief.rank])
        except (AccelTrackError, OSError, ValueError) as error:
            print(f"mirror: {error}", flush=True)  # noqa: T201 - into the log


def main() -> None:
    """Deliver the records by the parent's brief. SIGTERM stops the process with its cursors stored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout = sys.stderr = CleanLog(sys.stdout)
    brief = _message()
    if brief is not None:
        sys.path[:] = brief.path
        try:
            Deliverer(brief).deliver()
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_LONGEST_EXIT)


class CleanLog(io.TextIOBase):
    """A text stream in place of the standard output and error.

    Args:
        file: Where cleaned lines go.
    """

    encoding = "utf-8"

    def __init__(self, file: TextIO) -> None:
        """Begin with an empty line."""
        self._file = file
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            self._file.write("".join(f"{clean(line)}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Write an unfinished line, too."""
        with self._lock:
            self._file.write(clean(self._begun))
            self._begun = ""
            self._file.flush()

    def fileno(self) -> int:
        """Return the file's number, for what writes past this."""
        return self._file.fileno()

    def writable(self) -> bool:
        """Return True: the stream is writable."""
        return True


if __name__ == "__main__":
    main()
