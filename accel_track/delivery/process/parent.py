"""The parent's side of `delivery="process"`: its companions, and which trackers go to them."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accel_track.alerts.watching import Watched
from accel_track.delivery.base import Plan
from accel_track.delivery.process.protocol import (
    Brief,
    CompanionState,
    Concluding,
    WorkerState,
    load_state,
    portable,
    state_file,
)
from accel_track.errors import DeliveryError, JournalError, warn
from accel_track.files import make_private
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.options import Settings
from accel_track.outcome import Outcome
from accel_track.state import LOCAL_RANK_VARIABLES, RANK_VARIABLES

PATIENCE = 60.0
"""Seconds without progress after which a companion gives up at the end, where `finish_timeout` is not longer."""

_LONGEST_PAUSE = 60.0
_NOTIFY = "ACCEL_TRACK_NOTIFY"
_started: list[subprocess.Popen[bytes]] = []
"""Processes that may go on: Python warns of a Popen that is collected before its process has ended."""

_NOT_INHERITED = (
    # The rank of the process that trains is not this one's.
    *(*RANK_VARIABLES, *LOCAL_RANK_VARIABLES, "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    # With these, an SDK would join what it has running in the process that trains.
    *("WANDB_SERVICE", "CLEARML_PROC_MASTER_ID", "TRAINS_PROC_MASTER_ID"),
)


class Remote:
    """A tracker in the companion, as `accel_track.delivery.report` asks after it.

    Args:
        name: Name of the tracker.
        companion: Where it runs.
        cursor: Its cursor's file.
    """

    missing = 0

    def __init__(self, name: str, companion: Companion, cursor: Path) -> None:
        """Read nothing yet."""
        self.name = name
        self.last_error: str | None = None
        self.failed = False
        """Whether the tracker has failed, and does not only wait for something."""
        self.unfinished = False
        """Whether the backend could not be told of the end."""
        self.over = companion
        self._file = cursor
        self._known = cursors.Cursor()

    @property
    def cursor(self) -> cursors.Cursor:
        """The cursor of the tracker, as the companion has stored it last."""
        with contextlib.suppress(JournalError):
            found = cursors.load(self._file)
            self._known = found if found.time else self._known  # else there is no file: not yet, or it is gone
        return self._known

    durable = cursor

    def store_again(self) -> None:
        """Store the cursor once more where its file is gone; the companion is ahead of it."""
        if not self._file.exists():
            with contextlib.suppress(OSError):
                make_private(self._file.parent)
                cursors.save(self._file, self._known)


class Companion:
    """A process that delivers some of a run's trackers, from the journal, and lives on until it has.

    Args:
        run: The run directory.
        rank: Number of this process.
        number: How many companions this process had before.
        settings: How to deliver.
        watched: What it watches the run for, or None.
    """

    def __init__(
        self, run: RunDirectory, rank: int, number: int, settings: Settings, watched: Watched | None = None
    ) -> None:
        """Start nothing yet."""
        stem = "companion" if not number else f"companion-{number + 1}"
        self.remotes: list[Remote] = []
        self.log = run.rank(rank) / f"{stem}.log"
        self._file = state_file(run, rank, stem)
        self._brief = Brief(
            str(run.path.absolute()),
            rank,
            stem,
            {},
            max(PATIENCE, settings.finish_timeout),
            os.getpid(),
            settings.all_ranks,
            settings.mirror,
            watched,
        )
        self._run, self._rank = run, rank
        self._process: subprocess.Popen[bytes] | None = None
        self._pause, self._again_at = 1.0, 0.0
        self._told: set[str] = set()
        self._lock = threading.Lock()
        """Held where the process may be started again: by the end of the run, or by who looks after it."""
        self._outcome: Outcome | None = None

    def hand(self, name: str, cls: type, kwargs: Mapping[str, Any]) -> None:
        """Give the companion a tracker, before the companion's start.

        Raises:
            ValueError: Another process cannot have it.
        """
        self._brief.trackers[name] = portable(cls, kwargs)
        self.remotes.append(Remote(name, self, self._run.cursor(name, self._rank)))

    def start(self) -> str | None:
        """Start the process, for which nobody waits; return why that cannot be, or None."""
        if not sys.executable:
            return "this Python does not know its own program, `sys.executable`"
        self._hang_up()
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        try:
            with open(self.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "accel_track.delivery.process.child"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,  # Ctrl-C and a closed terminal are for the process that trains
                )
        except OSError as error:
            return str(error)
        _started[:] = [process for process in _started if process.poll() is None] + [self._process]
        self._send(self._brief)
        if self._outcome is not None:
            self._send(self._outcome)
            self._hang_up()
        return None

    def _send(self, message: Any) -> None:
        data = pickle.dumps(message)
        stream = None if self._process is None else self._process.stdin
        if stream is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended: `look` says so
                stream.write(len(data).to_bytes(4, "little") + data)
                stream.flush()

    def _hang_up(self) -> None:
        """Close the pipe to the process: there is nothing more to tell."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def look(self) -> None:
        """Tell once why a tracker waits or has ended; start the process again if it has crashed."""
        state = self._state()
        for remote in self.remotes:
            its = state.trackers.get(remote.name, WorkerState())
            remote.last_error, remote.failed, remote.unfinished = its.error, its.failed, its.unfinished
            if remote.last_error is not None and remote.name not in self._told:
                self._told.add(remote.name)
                warn(f"{remote.name}: {remote.last_error} (in the companion process, see {self.log})")
        if state.problem is not None and _NOTIFY not in self._told:
            self._told.add(_NOTIFY)
            warn(f"alerts: {state.problem}; training goes on.")
        with self._lock:
            if not self._crashed() or time.monotonic() < self._again_at:
                return
            if self._again_at == 0.0:
                warn(
                    f"the companion process has ended ({_ending(self._process)}, see {self.log}); "
                    "it is started again, and nothing is lost."
                )
            self._again_at, self._pause = time.monotonic() + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            self.start()

    def _state(self) -> CompanionState:
        """Return the process's own report; an empty one before its first, whatever an earlier process has said."""
        state = load_state(self._file)
        return state if self._process is not None and state.pid == self._process.pid else CompanionState()

    def started(self, timeout: float) -> str | None:
        """Wait until all trackers are started; return what keeps one from it, or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            state = self._state()
            found = [state.trackers.get(remote.name, WorkerState()) for remote in self.remotes]
            errors = [f"{one.name}: {its.error}" for one, its in zip(self.remotes, found, strict=True) if its.error]
            if errors or all(one.running for one in found):
                return errors[0] if errors else None
            time.sleep(0.02)
        return f"the trackers have not started within {timeout:g} s; see {self.log}"

    @property
    def watches(self) -> bool:
        """Whether the companion watches the run for alerts."""
        return self._brief.watched is not None

    def conclude(self, outcome: Outcome) -> None:
        """Ask the process for the last alerts, and start it again if it has crashed since the last look."""
        with self._lock:
            if self._crashed():
                self.start()
            self._send(Concluding(outcome))

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def end(self, outcome: Outcome) -> None:
        """Ask the process to deliver the remaining records, to tell the backends how the run ended, and to end."""
        with self._lock:
            self._outcome = outcome
            if self._crashed():  # since the last look
                self.start()
            else:
                self._send(outcome)
                self._hang_up()

    def stop(self) -> None:
        """End the process now; it gets five seconds to store its cursors."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._hang_up()
            self._process = None

    def wait(self, timeout: float) -> bool:
        """Wait until the process has done its work, even if it has to be started again; say whether it has."""
        end = time.monotonic() + timeout
        while self._process is not None and not self._done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._process.wait(min(left, 0.2)) != 0:
                    time.sleep(0.05)  # `look` starts it again
        return True

    def _done(self) -> bool:
        """Return whether the process has nothing more to do; it may still be at its exit."""
        return self._process is not None and (self._process.poll() == 0 or self._state().over)

    def _crashed(self) -> bool:
        return self._process is not None and self._process.poll() is not None and not self._done()

    @property
    def going_on(self) -> str | None:
        """A sentence if the process is still at work, or None."""
        if self._process is None or self._process.poll() is not None or not self.remotes:
            return None
        return f"The companion process {self._process.pid} goes on delivering; see {self.log}"


def _ending(process: subprocess.Popen[bytes] | None) -> str:
    code = 0 if process is None else process.returncode
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class Companions:
    """The companion processes of this process: one for each time that trackers were added.

    Args:
        run: The run directory.
        rank: Number of this process.
        settings: How to deliver.
        watched: What one of them watches the run for, or None.
    """

    def __init__(self, run: RunDirectory, rank: int, settings: Settings, watched: Watched | None = None) -> None:
        """Begin without companions."""
        self._run, self._rank, self._settings, self._watched = run, rank, settings, watched
        self._all: list[Companion] = []
        self._told: set[str] = set()

    @property
    def remotes(self) -> list[Remote]:
        """The trackers in the companions."""
        return [remote for companion in self._all for remote in companion.remotes]

    def take(self, plans: Sequence[Plan], describe: Callable[[str, Mapping[str, Any]], None]) -> Sequence[Plan]:
        """Start a companion with the trackers that can be in another process; return the others.

        Args:
            plans: The trackers, not started. Those that the user constructed stay here.
            describe: Notes in the run directory how to make a tracker again.

        Raises:
            DeliveryError: With `strict`, one of them cannot be started.
        """
        if not self._settings.runs_apart:
            return plans
        companion = self._new()
        left = []
        for plan in plans:
            if plan.tracker is None or plan.is_instance or plan.tracker.needs_terminal:
                left.append(plan)
                continue
            try:
                companion.hand(plan.name, type(plan.tracker), plan.kwargs)
            except ValueError as error:
                warn(f"{plan.name}: delivered in a thread, not in the companion process: {error}.")
                left.append(plan)
            else:
                describe(plan.name, plan.kwargs)
        if not companion.remotes:
            return left
        if (problem := self._problem() or companion.start()) is not None:
            warn(f"no companion process ({problem}); its trackers are delivered in threads of this process.")
            return plans
        if self._settings.strict and (problem := companion.started(self._settings.start_timeout)) is not None:
            companion.stop()
            raise DeliveryError(problem)
        self._all.append(companion)
        return left

    def _new(self) -> Companion:
        """Return a companion, which watches the run unless another one does."""
        watched = None if any(one.watches for one in self._all) else self._watched
        return Companion(self._run, self._rank, len(self._all), self._settings, watched)

    def watch(self) -> bool:
        """Ask a companion to watch the run for alerts, one without trackers if need be; return whether one does."""
        if self._watched is None or any(one.watches for one in self._all):
            return self._watched is not None
        companion = self._new()
        if (problem := self._problem() or companion.start()) is not None:
            warn(f"alerts: no companion process ({problem}); no rule is watched, and no service gets an alert.")
            return False
        self._all.append(companion)
        return True

    @property
    def is_watched(self) -> bool:
        """Whether a companion is there that watches the run."""
        return any(one.watches and one.runs for one in self._all)

    def conclude(self, outcome: Outcome) -> None:
        """Ask for the last alerts."""
        for companion in self._all:
            if companion.watches:
                companion.conclude(outcome)

    def _problem(self) -> str | None:
        if os.name == "nt":
            return "not on Windows"
        return None if (self._run.path / "run.json").exists() else "there is no run directory"

    def look(self) -> None:
        """Tell why the companions' trackers wait, and start crashed companions again."""
        for companion in self._all:
            companion.look()

    def end(self, outcome: Outcome) -> None:
        """Ask the companions to deliver the remaining records, and to end."""
        for companion in self._all:
            companion.end(outcome)

    def raise_failure(self, kept: str) -> None:
        """Raise the first failure of a tracker of theirs that was not raised yet.

        Args:
            kept: Where the records are.

        Raises:
            DeliveryError: There is one.
        """
        for remote in self.remotes:
            if remote.failed and remote.name not in self._told:
                self._told.add(remote.name)
                message = f"{remote.name}: {remote.last_error}; what was logged is in {kept}."
                raise DeliveryError(message)

    def going_on(self) -> list[str]:
        """Return a sentence for each that is still at work."""
        return [sentence for companion in self._all if (sentence := companion.going_on) is not None]
