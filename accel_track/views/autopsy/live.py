"""The verdict on a run that goes on: whether it does, hangs, is stopped, or waits for somebody."""

from __future__ import annotations

from accel_track.views.autopsy.dumps import Thread, place
from accel_track.views.autopsy.living import is_here, oddity
from accel_track.views.autopsy.traces import Trace
from accel_track.views.autopsy.verdict import Verdict, at
from accel_track.views.autopsy.words import duration
from accel_track.watchdog.watch import TIMES

LEAST = 60.0
"""Seconds without a record, at least, that are taken for a hang where the process has not noted one itself."""
_PROMPTS = ("/ipykernel/", "/IPython/", "/traitlets/")


def is_silent(trace: Trace, now: float) -> bool:
    """Return whether a rank has logged nothing for so long that it hangs, most likely."""
    since = last_sign(trace)
    usual = trace.progress.interval or (None if trace.beat is None else trace.beat.interval) or 0.0
    return trace.stalled is not None or (since is not None and now - since > max(LEAST, TIMES * usual))


def last_sign(trace: Trace) -> float | None:
    """Return when a rank has logged last, or begun; in seconds since 1970-01-01 UTC, or None."""
    began = None if trace.began is None else trace.began.time
    return max((one for one in (trace.progress.time, began) if one is not None), default=None)


def judged_alive(trace: Trace, now: float) -> Verdict:
    """Return the verdict on a rank of a run that goes on."""
    since, usual = last_sign(trace), trace.progress.interval
    silent = None if since is None else max(0.0, now - since)
    often = "" if usual is None else f"; usually one comes every {duration(usual)}"
    ago = f"the last record came {duration(silent)} ago{often}" if silent is not None else "it has logged nothing yet"
    if trace.progress.time is None and silent is not None:
        ago = f"it began {duration(silent)} ago and has logged nothing"
    if trace.began is not None and is_here(trace.began) and (odd := oddity(trace.began)) is not None:
        if odd.startswith("it waits in the kernel") and not is_silent(trace, now):
            return Verdict("running", "known", f"goes on {at(trace)}: {ago}", since)
        return Verdict("stopped", "known", f"is stopped {at(trace)}: {odd}; {ago}", since)
    if not is_silent(trace, now):
        return Verdict("running", "known", f"goes on {at(trace)}: {ago}", since)
    thread = main_thread(trace)
    where = f"; its main thread is in {place(thread.frames)}" if thread is not None and thread.frames else ""
    if thread is not None and _is_prompt(thread):
        return Verdict("idle", "likely", f"waits {at(trace)} in a notebook or at a prompt, most likely: {ago}", since)
    return Verdict("hang", "likely", f"most likely hangs {at(trace)}: {ago}{where}", since)


def main_thread(trace: Trace) -> Thread | None:
    """Return the main thread as it was when stacks were written last, if no record came since."""
    written = trace.dumped is not None and trace.dumped >= (trace.progress.time or 0.0)
    dump = trace.dumps[-1] if trace.dumps and written else None
    return None if dump is None or trace.began is None else dump.thread(trace.began.thread)


def _is_prompt(thread: Thread) -> bool:
    files = [one.file.replace("\\", "/") for one in thread.frames]
    waits = any(part in file for file in files for part in _PROMPTS)
    return waits and not any(one.function == "run_cell" for one in thread.frames)
