"""The ends of runs that the program does not end itself: by garbage collection, or at the interpreter's exit."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import Any

from accel_track.delivery.base import Delivery
from accel_track.delivery.keeper import keeper
from accel_track.errors import log_error
from accel_track.outcome import FINISHED, Outcome, current_outcome, outcome_at_exit, outcome_of
from accel_track.sigterm import exit_on_sigterm


class Ending:
    """The end of one run, which happens once. It holds the run's delivery, and neither the run nor a front door.

    Args:
        delivery: The delivery to finish.
    """

    def __init__(self, delivery: Delivery) -> None:
        """End nothing yet."""
        self.outcome: Outcome | None = None
        """The noted outcome, which the run has if nothing else follows; of a run that has ended, the outcome it has."""
        self.fallback: Outcome | None = None
        """The outcome that the run has if it is collected, or the interpreter exits, and no other is known."""
        self.cell: Outcome | None = None
        """The outcome of the last notebook cell that began the run or logged to it."""
        self.finished = False
        self.let_go = False
        """Whether the run was collected."""
        self.done = threading.Event()
        self._undo: Callable[[], None] = lambda: None
        self._delivery, self._pid = delivery, os.getpid()
        self._lock = threading.Lock()
        self._logged = -1
        self._collected: weakref.finalize[[], object] | None = None
        self._at_end: Finalize | None = None

    def watch(self, run: object) -> None:
        """End the run by itself at the latest when it is collected, or with the process."""
        _open[id(self)] = self
        after_each_cell(_cell_ended)
        self._collected = weakref.finalize(run, self._let_go)
        self._collected.atexit = False
        # Registered after the SDKs' own exit handlers, hence called before those.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
        # Forked processes end without `atexit`.
        if parent_process() is not None:
            self._at_end = Finalize(None, self.finish_quietly, exitpriority=0)

    @contextmanager
    def starting(self, *, exits_on_sigterm: bool) -> Iterator[None]:
        """End the run if the block, in which it starts, is left by an exception, also by that of SIGTERM.

        Args:
            exits_on_sigterm: Whether SIGTERM has the program exit in order afterwards, too, until the run ends.
        """
        undo = exit_on_sigterm(self._preempt)
        try:
            yield
        except BaseException as error:
            undo()
            self.outcome = outcome_of(error)
            self.finish_quietly()
            raise
        if exits_on_sigterm:
            self._undo = undo
        else:
            undo()

    def _preempt(self) -> None:
        self.fallback = Outcome("preempted", "SIGTERM")

    def finish(self, outcome: Outcome | None) -> None:
        """End the run once. Default: with the noted outcome, else with that of the exception that is being handled."""
        if self._begin():
            try:
                self.outcome = outcome or self.outcome or self._as_known(current_outcome(), self.cell)
                self._delivery.finish(self.outcome)
            finally:
                self._end()

    def finish_quietly(self) -> None:
        """End the run at the interpreter's exit, or wait for an end that has begun; nothing is raised."""
        try:
            at_exit = outcome_at_exit()
            with suppress(SystemExit):  # raised by a SIGTERM that comes meanwhile: the run is ending already
                self.finish(self.outcome or self._as_known(at_exit, self.fallback or self.cell))
                if self.let_go and not self.done.is_set():
                    self._delivery.complete()
        except Exception as error:  # noqa: BLE001 - nobody is left to raise to
            log_error("accel_track: a tracker could not be finished", error)

    def _begin(self) -> bool:
        with self._lock:
            begins, self.finished = not self.finished, True
        return begins

    def _end(self) -> None:
        _open.pop(id(self), None)
        self.done.set()
        if self._collected is not None:
            self._collected.detach()
        if self._at_end is not None:
            self._at_end.cancel()
        self._undo()

    def _let_go(self) -> None:
        # The garbage collector calls this in the middle of anything, on any thread; a run's end takes locks and time.
        if os.getpid() == self._pid:
            self.let_go = True
            keeper.soon(self._end_alone)

    def _end_alone(self) -> None:
        if self._begin():
            self.outcome = self.outcome or self.fallback or self.cell or FINISHED
            self._delivery.end_alone(self.outcome, self._end)

    def _as_known(self, now: Outcome, before: Outcome | None) -> Outcome:
        """Return the present outcome if an exception made it, else the one that was known before, if any."""
        return now if now.reason or before is None else before

    def cell_ended(self, error: BaseException | None) -> None:
        """Take a notebook cell's end for the run's so far, if the cell began the run or logged to it."""
        if (logged := self._delivery.logged) != self._logged:
            self._logged, self.cell = logged, outcome_of(error)


_open: dict[int, Ending] = {}


def wait_for_collected(timeout: float) -> None:
    """Wait until the runs that were garbage-collected have ended, `timeout` seconds at most."""
    end = time.monotonic() + timeout
    for one in list(_open.values()):
        if one.let_go:
            one.done.wait(max(0.0, end - time.monotonic()))


def _cell_ended(result: Any) -> None:
    for one in list(_open.values()):
        one.cell_ended(result.error_in_exec)


def _end_all() -> None:
    for one in reversed(list(_open.values())):
        one.finish_quietly()


def after_each_cell(call: Callable[[Any], None]) -> None:
    """Register a function that IPython calls after each cell. A second registration, or one elsewhere, does nothing.

    Args:
        call: Called with IPython's result, of which `error_in_exec` is the exception that ended the cell, or None.
    """
    # Another thread may be importing IPython at this moment, as ClearML's does.
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    if shell is not None and call not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", call)
