"""The verdict on one rank: what ended it, and how sure that is."""

from __future__ import annotations

import os
import re
import signal
from typing import Literal, NamedTuple

from accel_track.monitors.memory import Memory
from accel_track.outcome import Outcome
from accel_track.views.autopsy.dumps import Dump, place
from accel_track.views.autopsy.traces import Trace
from accel_track.views.autopsy.words import amount, duration, exit_text, signal_name

Confidence = Literal["known", "likely", "unknown"]

_FATAL = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Floating-point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
_REASONS = {
    "gpu-memory": (r"^[\w.]*OutOfMemoryError|(?:CUDA|HIP|XPU|MPS)\b.{0,40}out of memory", "a GPU's memory is full"),
    "disk-full": (r"No space left on device|Errno 28|Disk quota exceeded", "the disk is full"),
    "worker": (r"DataLoader worker .{0,80}(?:killed by signal|exited unexpectedly)", "a data loader's worker died"),
    "memory": (r"^MemoryError|Cannot allocate memory|DefaultCPUAllocator: can't allocate", "no memory is left"),
}
"""By cause: how the text of an exception says so, and the words for it."""
_NEARLY_ALL = 0.9
_SOON = 600.0
"""Seconds from the last sign of life to the machine's next start that make a connection likely."""


class Machine(NamedTuple):
    """The process as this machine shows it, if the run is on this machine.

    Attributes:
        is_same: Whether it has the name of the run's machine.
        restarted: When it was started, in seconds since 1970-01-01 UTC, if that was after the process began; or None.
        memory: What its kernel says now of the process's control group; None if that cannot be compared.
    """

    is_same: bool = False
    restarted: float | None = None
    memory: Memory | None = None


class Verdict(NamedTuple):
    """The end of a rank.

    Attributes:
        cause: In a word: "finished", "exit-code", "exception", "gpu-memory", "memory", "disk-full", "worker",
            "interrupted", "preempted", "signal", "machine", "unknown"; of a run that goes on, "running", "hang",
            "stopped" or "idle".
        confidence: "known", "likely", or "unknown" where nothing tells.
        text: A sentence's part behind "The run" or "Rank 1".
        time: When that was, as far as is known, in seconds since 1970-01-01 UTC.
    """

    cause: str
    confidence: Confidence
    text: str
    time: float | None = None


def at(trace: Trace) -> str:
    """Return the place of a rank, as a sentence has it."""
    progress = trace.progress
    if progress.step is not None:
        return f"at step {progress.step:,}"
    if not progress.records:
        return "before its first record"
    return "after its first record" if progress.records == 1 else f"after {progress.records:,} records"


def judged(trace: Trace, outcome: Outcome | None, machine: Machine) -> Verdict:
    """Return the verdict on a rank.

    Args:
        trace: What is left of it.
        outcome: How the run ended for it; None if nobody could say.
        machine: What is known of its machine.
    """
    if outcome is None:
        return _crashed(trace, machine)
    if outcome.status == "finished":
        return _finished(trace)
    when = trace.errors[-1].time if trace.errors else None if trace.beat is None else trace.beat.time
    where = next((f", raised in {one.place}" for one in reversed(trace.errors) if one.thread is None and one.place), "")
    if outcome.status == "preempted":
        by = "by SIGTERM, which launchers and clusters send before they kill"
        return Verdict("preempted", "known", f"was ended {at(trace)} {by}{_before(trace)}", when)
    if outcome.status == "interrupted":
        return Verdict("interrupted", "known", f"was interrupted {at(trace)}, as by Ctrl-C{where}", when)
    return _failed(trace, outcome.reason or "", where, machine)._replace(time=when)


def _finished(trace: Trace) -> Verdict:
    when, status = trace.seen, None if trace.death is None else trace.death.status
    if status:
        then = f"came to its end {at(trace)}, and its program then ended with {exit_text(status)}"
        return Verdict("exit-code" if os.WIFEXITED(status) else "signal", "known", then, when)
    return Verdict("finished", "known", f"finished {at(trace)}", when)


def _failed(trace: Trace, reason: str, where: str, machine: Machine) -> Verdict:
    if (match := re.match(r"SystemExit: (.*)", reason)) is not None:
        return Verdict("exit-code", "known", f"was left {at(trace)} by sys.exit({match[1]}){where}")
    for cause, (pattern, words) in _REASONS.items():
        if re.search(pattern, reason):
            by = _for_memory(trace, machine) if cause == "worker" else None
            more = "" if by is None else f"; most likely it was killed by the kernel for memory: {by}"
            return Verdict(cause, "known", f"failed {at(trace)} since {words}: {reason}{where}{more}")
    return Verdict("exception", "known", f"failed {at(trace)}: {reason or 'an error without a text'}{where}")


def _crashed(trace: Trace, machine: Machine) -> Verdict:
    """Return the verdict on a process that could not tell its own end."""
    ways = (_by_fault, _by_exit, _for_lack_of_memory, _by_signal, _with_machine, _by_exception)
    found = next((verdict for way in ways if (verdict := way(trace, machine)) is not None), None)
    if found is not None:
        return found._replace(text=f"{found.text}{_before(trace)}")
    if before := _before(trace):
        return Verdict("hang", "likely", f"was killed {at(trace)} by something that left no trace{before}", trace.seen)
    none = "by something that left no trace, as SIGKILL, `os._exit` and a power cut do"
    memory = _not_for_memory(trace, machine) or _full(trace)
    return Verdict("unknown", "unknown", f"was killed {at(trace)} {none}{memory}", trace.seen)


def _by_fault(trace: Trace, _: Machine) -> Verdict | None:
    if (fatal := trace.fatal) is None:
        return None
    return Verdict("signal", "known", f"crashed {at(trace)} with a fatal error: {fault(fatal)}", trace.dumped)


def fault(dump: Dump) -> str:
    """Return which fatal error wrote stacks, and where it came."""
    name, thread = _FATAL.get(dump.error), dump.thread(0)
    where = f" in {place(thread.frames)}" if thread is not None and thread.frames else ""
    return f"{dump.error} ({name}){where}" if name else f"{dump.error}{where}"


def _by_exit(trace: Trace, _: Machine) -> Verdict | None:
    status = None if trace.death is None else trace.death.status
    if status is None or not os.WIFEXITED(status):
        return None
    how = f"{exit_text(status)}, without an end of the run, as `os._exit` does"
    return Verdict("exit-code", "known", f"was left {at(trace)} with {how}", trace.seen)


def _signal(trace: Trace) -> int | None:
    """Return the signal that is known to have ended a process."""
    status = None if trace.death is None else trace.death.status
    return os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None


def _for_lack_of_memory(trace: Trace, machine: Machine) -> Verdict | None:
    by = _for_memory(trace, machine)
    if by is None or _signal(trace) not in (None, signal.SIGKILL):
        return None
    return Verdict("memory", "likely", f"was most likely killed {at(trace)} by the kernel for memory: {by}", trace.seen)


def _by_signal(trace: Trace, machine: Machine) -> Verdict | None:
    if (number := _signal(trace)) is None:
        return None
    more = f"; who sent it is not known{_not_for_memory(trace, machine)}" if number == signal.SIGKILL else ""
    return Verdict("signal", "known", f"was killed {at(trace)} by {signal_name(number)}{more}", trace.seen)


def _with_machine(trace: Trace, machine: Machine) -> Verdict | None:
    if machine.restarted is None or trace.seen is None or not 0 <= machine.restarted - trace.seen < _SOON:
        return None
    then = f"which was started again {duration(machine.restarted - trace.seen)} after the last sign of life"
    return Verdict("machine", "likely", f"most likely ended {at(trace)} with its machine, {then}", trace.seen)


def _by_exception(trace: Trace, _: Machine) -> Verdict | None:
    error = next((one for one in reversed(trace.errors) if one.thread is None), None)
    if error is None:
        return None
    how = f"{error.line}, raised in {error.place}" if error.place else error.line
    then = f"failed {at(trace)}: {how}; its process was killed before it had ended the run"
    return Verdict("exception", "known", then, error.time)


def _before(trace: Trace) -> str:
    """Return the notes about a stall before the end."""
    stalled = trace.stalled
    if stalled is None or stalled.silent is None or trace.began is None:
        return ""
    thread = stalled.thread(trace.began.thread)
    where = f", with its main thread in {place(thread.frames)}" if thread is not None and thread.frames else ""
    return f"; it had logged nothing for {duration(stalled.silent)} before{where}"


def _killed(trace: Trace, machine: Machine) -> tuple[int | None, int | None]:
    """Return how many the kernel has killed for memory since the last sign of life: in the group, on the machine."""
    before = trace.beat.memory if trace.beat is not None else None if trace.began is None else trace.began.memory
    after = trace.death.memory if trace.death is not None else machine.memory
    if before is None or after is None:
        return None, None
    group = None if None in (before.killed, after.killed) else after.killed - before.killed  # type: ignore[operator]
    if None in (before.machine_killed, after.machine_killed):
        return group, None
    return group, after.machine_killed - before.machine_killed  # type: ignore[operator]


def _for_memory(trace: Trace, machine: Machine) -> str | None:
    """Return the signs that the kernel killed a process for memory, or None.

    A group's count has all of its processes that were killed for memory, whoever had too much.
    """
    group, whole = _killed(trace, machine)
    count, where = (whole, "on the machine") if group is None else (group, "in the control group")
    if not count or count < 0:
        return None
    had = "" if trace.beat is None else _had(trace.beat.memory)
    return f"it has killed {count} {where} since the last sign of life{had}"


def _not_for_memory(trace: Trace, machine: Machine) -> str:
    """Return a sentence that the kernel did not kill the process for memory, if that is known."""
    return "; not the kernel for memory, which has counted none" if _killed(trace, machine)[0] == 0 else ""


def _had(memory: Memory) -> str:
    """Return a sentence about a process's memory and its limit."""
    limit = memory.limit if memory.limit is not None else memory.total
    if memory.process is None or limit is None:
        return ""
    return f", when the process had {amount(memory.process)} of at most {amount(limit)}"


def _full(trace: Trace) -> str:
    """Return a sentence that memory was nearly full, if it was."""
    memory = None if trace.beat is None else trace.beat.memory
    if memory is None or not memory.process:
        return ""
    least = min((one for one in (memory.limit, memory.total) if one), default=0)
    full = memory.process > _NEARLY_ALL * least > 0
    return f"; memory may be why{_had(memory)}" if full else ""
