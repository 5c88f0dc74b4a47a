"""The examination of a run: what ended it or keeps it from going on, in one paragraph, with what that rests on."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo, outcome_noted
from accel_track.monitors.memory import KERNEL
from accel_track.outcome import CRASHED, Outcome
from accel_track.views.autopsy.live import is_silent, judged_alive
from accel_track.views.autopsy.living import asked_for_stacks
from accel_track.views.autopsy.numbers import Numbers, numbers_of
from accel_track.views.autopsy.remarks import remarks_on, unknown_of
from accel_track.views.autopsy.traces import Trace, trace_of
from accel_track.views.autopsy.verdict import Machine, Verdict, judged
from accel_track.views.autopsy.words import duration
from accel_track.watchdog.evidence import Evidence
from accel_track.watchdog.processes import boot_id

_CONSEQUENCES = frozenset(("finished", "preempted", "interrupted", "unknown", "running"))
"""The ends that are not the reason why other ranks ended."""


@dataclass(frozen=True)
class Autopsy:
    """The findings about a run's end.

    Attributes:
        run: The run directory.
        info: Its `run.json`; None if that cannot be read.
        outcome: How it ended, as was noted; None while it goes on, and where nobody could note it.
        live: Whether it goes on.
        verdict: What ended it, or how it is.
        rank: The rank of which the verdict is: the one that ended first for a reason of its own.
        traces: What is left of each rank.
        numbers: Metrics that tell of it.
        remarks: Further sentences: what may have to do with it.
        unknown: Sentences about what could not be known.
    """

    run: RunDirectory
    info: RunInfo | None
    outcome: Outcome | None
    live: bool
    verdict: Verdict
    rank: int
    traces: list[Trace]
    numbers: Numbers
    remarks: list[str]
    unknown: list[str]

    @property
    def paragraph(self) -> str:
        """All of it in short; what comes from the run is in it as it was logged."""
        subject = "The run" if self.rank == self.traces[0].rank else f"Rank {self.rank} ended first: it"
        return " ".join([f"{subject} {self.verdict.text.rstrip('.')}.", *self.remarks])


def examine(run: RunDirectory, *, ask: bool | None = None) -> Autopsy:
    """Return why a run ended or hangs.

    Args:
        run: The run directory.
        ask: Whether a process that goes on on this machine is asked for its stacks; None: where nothing was logged for
            long.

    Raises:
        JournalError: A segment is of a later version of the format.
        OSError: A segment cannot be read.
    """
    try:
        info: RunInfo | None = run.load()
    except JournalError:
        info = None
    live, now = run.is_live(), time.time()
    noted = None if info is None or live else outcome_noted(info)
    outcome = None if noted == CRASHED else noted
    traces = [trace_of(run, rank) for rank in run.ranks()] or [trace_of(run, 0)]
    if live:
        traces = [_asked(run, one) if ask or (ask is None and is_silent(one, now)) else one for one in traces]
        rank, verdict = _worst([(one.rank, judged_alive(one, now)) for one in traces])
    else:
        rank, verdict = _first([(one.rank, judged(one, _own(one, outcome), _machine(one))) for one in traces])
    if info is not None and info.imported is not None:
        says = f"was imported from {info.imported.source}, which says: {noted.text if noted else 'no end'}"
        rank, verdict = 0, Verdict(outcome.status if outcome else "unknown", "known", says)
    numbers = numbers_of(run)
    remarks = remarks_on(traces, verdict, numbers, live=live)
    unknown = [] if info is not None and info.imported is not None else unknown_of(traces, verdict, live=live)
    return Autopsy(run, info, outcome, live, verdict, rank, traces, numbers, remarks, unknown)


def _own(trace: Trace, outcome: Outcome | None) -> Outcome | None:
    """Return the run's outcome for one rank: `run.json` has that of rank 0 only."""
    if trace.rank == 0:
        return outcome
    if trace.beat is None:  # of an earlier version
        return outcome
    if trace.beat.status is None:
        return None
    return Outcome(trace.beat.status, trace.beat.reason)  # type: ignore[arg-type]  # a text of a file


def _asked(run: RunDirectory, trace: Trace) -> Trace:
    """Return the traces of a rank, with its present stacks if its process gives them."""
    found = Evidence.all(run.rank(trace.rank))
    if not found or trace.began is None or not asked_for_stacks(trace.began, found[-1]):
        return trace
    return trace_of(run, trace.rank)


def _machine(trace: Trace) -> Machine:
    """Return this machine's knowledge of a rank that has ended."""
    began = trace.began
    if began is None or began.host != socket.gethostname():
        return Machine()
    if began.boot is not None and began.boot != boot_id():
        import psutil

        return Machine(is_same=True, restarted=psutil.boot_time())
    return Machine(is_same=True, memory=KERNEL.memory(began.group, None))


def _worst(found: list[tuple[int, Verdict]]) -> tuple[int, Verdict]:
    """Return the verdict on the rank that has logged nothing for longest, if one hangs, else on the first."""
    hanging = [one for one in found if one[1].cause != "running"]
    return min(hanging, key=lambda one: one[1].time or 0.0) if hanging else found[0]


def _first(found: list[tuple[int, Verdict]]) -> tuple[int, Verdict]:
    """Return the verdict on the rank that ended first for a reason of its own; what else ended is its consequence."""
    main = found[0]
    if main[1].cause == "finished" or len(found) == 1:
        return main
    causes = [one for one in found if one[1].cause not in _CONSEQUENCES and one[1].time is not None]
    rank, verdict = min(causes, key=lambda one: one[1].time or 0.0, default=main)
    if rank == main[0] or (main[1].time or 0.0) < (verdict.time or 0.0):
        return main if main[1].cause not in _CONSEQUENCES or not causes else (rank, verdict)
    after = "" if main[1].time is None else f" {duration(main[1].time - (verdict.time or 0.0))} later"
    return rank, verdict._replace(text=f"{verdict.text}. Rank {main[0]} {main[1].text}{after}")
