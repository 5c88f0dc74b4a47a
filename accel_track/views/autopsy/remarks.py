"""Remarks beside a verdict: what may have to do with the end, and what could not be known."""

from __future__ import annotations

import socket

from accel_track.views.autopsy.living import is_here
from accel_track.views.autopsy.numbers import Numbers
from accel_track.views.autopsy.traces import Error, Trace
from accel_track.views.autopsy.verdict import Verdict, fault
from accel_track.views.autopsy.words import amount, listed

_NO_EVIDENCE = (
    "Nothing but the journal is there: the run had autopsy=False, is of an earlier version, or its disk took nothing."
)
_THREADS = 3
"""Threads that exceptions have ended, of which is told."""
_FULL = 10_000_000
"""Free bytes below which a disk is called full."""


def remarks_on(traces: list[Trace], verdict: Verdict, numbers: Numbers, *, live: bool) -> list[str]:
    """Return sentences about what may have to do with a run's end, or its state."""
    remarks = [*_of_ranks(traces, verdict, live=live), *_of_numbers(numbers)]
    for trace in traces:
        who = "The run" if len(traces) == 1 else f"Rank {trace.rank}"
        remarks += [_of_thread(who, one) for one in trace.errors if one.thread is not None][:_THREADS]
        remarks += [f"A child process of it had a fatal error: {fault(one)}." for one in trace.children[-1:]]
        beat = trace.beat
        if beat is None:
            continue
        if beat.lost or beat.waiting:
            parts = [f"{beat.lost:,} records were lost" if beat.lost else "", f"{beat.waiting:,} waited in memory"]
            remarks.append(f"{who}'s disk took no more: {', '.join(filter(None, parts[: 1 + bool(beat.waiting)]))}.")
        elif beat.disk_free is not None and beat.disk_free < _FULL and verdict.cause != "disk-full":
            remarks.append(f"{who}'s disk was nearly full: {amount(beat.disk_free)} were free.")
    if numbers.checkpoint is not None and verdict.cause not in ("finished", "running"):
        step = "" if numbers.checkpoint_step is None else f" of step {numbers.checkpoint_step:,}"
        remarks.append(f"The last checkpoint that was logged is {numbers.checkpoint!r}{step}.")
    if numbers.damaged:
        remarks.append(f"{numbers.damaged:,} bytes of the journal are damaged.")
    return remarks


def _of_thread(who: str, error: Error) -> str:
    where = f", raised in {error.place}" if error.place else ""
    return f"{who}'s thread {error.thread!r} was ended by an exception: {error.line.rstrip('.')}{where}."


def _of_numbers(numbers: Numbers) -> list[str]:
    found = numbers.not_finite
    if not found:
        return []
    first, others = found[0], [one.name for one in found[1:]]
    before = "" if first.last_finite is None else f" (before: {first.last_finite:.6g})"
    more = f", then also {listed(others)}" if others else ""
    return [f"{first.name} is {first.value} since step {first.step:,}{before}{more}."]


def _of_ranks(traces: list[Trace], verdict: Verdict, *, live: bool) -> list[str]:
    """Return sentences about the ranks that were ahead, behind, or are gone."""
    if len(traces) == 1:
        return []
    remarks = []
    if live:
        gone = [one for one in traces if one.began is not None and _is_gone(one)]
        remarks += [f"The process of rank {one.rank} is gone." for one in gone]
    steps = {one.rank: one.progress.step for one in traces if one.progress.step is not None}
    if len(steps) > 1 and verdict.cause != "finished" and (ahead := max(steps.values())) > min(steps.values()):
        behind = sorted((step, rank) for rank, step in steps.items() if step < ahead)
        shown = [f"rank {rank} at step {step:,}" for step, rank in behind]
        remarks.append(f"Not all ranks were as far as step {ahead:,}: {listed(shown)}.")
    return remarks


def _is_gone(trace: Trace) -> bool:
    began = trace.began
    return began is not None and began.host == socket.gethostname() and not is_here(began)


def unknown_of(traces: list[Trace], verdict: Verdict, *, live: bool) -> list[str]:
    """Return sentences about what could not be known."""
    trace = next((one for one in traces if one.processes), None)
    if trace is None:
        return [_NO_EVIDENCE]
    began, cause = trace.began, verdict.cause
    unknown = []
    if began is not None and began.host != socket.gethostname():
        unknown.append(f"The run was on {began.host}, and what the kernel there has counted cannot be read from here.")
    if live:
        return unknown
    if trace.death is None:
        if cause == "finished":
            unknown.append("The exit code of the program is not known: it comes after the end of the run.")
        elif trace.fatal is None and cause in ("unknown", "memory", "hang", "machine"):
            unknown.append("The exit status is not known: only a run with delivery='process' has a witness of its end.")
    elif trace.death.status is None:
        unknown.append("The exit status is not known: Linux tells it to a witness since 6.15, if that came in time.")
    if trace.beat is not None and trace.beat.memory.killed is None and cause in ("unknown", "memory", "hang"):
        unknown.append("No control group tells whether the kernel has killed for memory.")
    if began is not None and began.faults == "elsewhere" and cause in ("unknown", "signal") and trace.fatal is None:
        unknown.append("The program had enabled faulthandler itself: stacks of a crash went to where it wanted them.")
    return unknown
