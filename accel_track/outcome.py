"""The outcome of a run: its final status, and the reason."""

from __future__ import annotations

import builtins
import sys
from typing import Literal, NamedTuple, get_args

from accel_track.texts import clean

Status = Literal["finished", "failed", "interrupted", "preempted"]

_LONGEST = 500


class Outcome(NamedTuple):
    """The end of a run: its final status, and the reason.

    Attributes:
        status: "finished"; "failed", by an exception or a crash; "interrupted", by Ctrl-C; "preempted", by SIGTERM or
            the queue of a cluster, so that the run may go on later.
        reason: Type and message of the exception, in one line of 500 characters at most and without credentials; None
            if there is no exception.
    """

    status: Status = "finished"
    reason: str | None = None

    @property
    def text(self) -> str:
        """The status and the reason in one line, such as "failed: ValueError: no"."""
        return f"{self.status}: {self.reason}" if self.reason else self.status

    @property
    def exit_code(self) -> int:
        """The shell's exit code for such an end: 0, 1, or 128 plus the number of the signal."""
        return {"finished": 0, "failed": 1, "interrupted": 130, "preempted": 143}[self.status]


FINISHED = Outcome()
CRASHED = Outcome("failed", "the process ended without ending the run (killed or crashed)")


def outcome_with(status: Status | None) -> Outcome | None:
    """Return the outcome that a user gives by its status; None for none.

    Raises:
        ValueError: There is no such status.
    """
    if status is not None and status not in get_args(Status):
        message = f"the status of a run must be one of {', '.join(get_args(Status))}; got {status!r}."
        raise ValueError(message)
    return None if status is None else Outcome(status)


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of a run that an exception ends.

    A `KeyboardInterrupt` is "interrupted"; Lightning's `SIGTERMException`, and `SystemExit` with the code 143,
    "preempted"; `SystemExit` with the code 0 or None, "finished"; every other exception, "failed".

    Args:
        error: The exception; None for a run that ends without one.
    """
    names = [cls.__name__ for cls in type(error).__mro__]
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0) and "SIGTERMException" not in names):
        return FINISHED
    reason = _shown(error)
    if "SIGTERMException" in names or (isinstance(error, SystemExit) and error.code == Outcome("preempted").exit_code):
        return Outcome("preempted", reason)
    return Outcome("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", reason)


def current_outcome() -> Outcome:
    """Return the outcome of a run that ends now, by the exception that is being handled, if there is one."""
    return outcome_of(sys.exc_info()[1])


def outcome_at_exit() -> Outcome:
    """Return the outcome of a run that ends with the process, by the uncaught exception, if there was one.

    A process of multiprocessing ends its runs while the exception of its function is on its way.

    The argument of `sys.exit` and the last error of a notebook are unknown here: such runs count as finished.
    """
    interactive = hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    raised = sys.exc_info()[1] or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return FINISHED if interactive else outcome_of(raised)


def _shown(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception's own error
        text = ""
    name = type(error).__name__
    if name == "ProcessRaisedException":  # torch's, for a launched process: its traceback, whose last line is the error
        return clean(text.strip().rpartition("\n")[2])[:_LONGEST]
    return " ".join(clean(f"{name}: {text}" if text else name).split())[:_LONGEST]
