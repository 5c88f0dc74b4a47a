"""`accel-track autopsy`: why a run ended or hangs."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunArgument,
    console,
    find_run,
    one_line_errors,
    print_json,
    say,
    when,
)
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.views.autopsy.examination import Autopsy
    from accel_track.views.autopsy.traces import Trace

_FINE = frozenset(("finished", "running", "interrupted", "preempted", "idle"))
_FRAMES, _LINES = 12, 30
"""How many calls of a stack, and lines of a traceback, are shown; `--json` has all."""


def autopsy(
    run: RunArgument,
    stacks: Annotated[
        bool | None,
        typer.Option(
            "--stacks/--no-stacks",
            help="Whether to ask a running process for its stacks; by default, if it has logged nothing for long.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say why a run ended, or whether it hangs and where, from what its processes have left.

    Example: accel-track autopsy 3f9a2c
    """
    with one_line_errors():
        from accel_track.views.autopsy.document import document
        from accel_track.views.autopsy.examination import examine

        found = examine(find_run(run), ask=stacks)
        if as_json:
            print_json(document(found))
        else:
            _print(found)
    if found.verdict.cause not in _FINE:
        raise typer.Exit(code=INCOMPLETE)


def _print(found: Autopsy) -> None:
    width = console().width
    for line in textwrap.wrap(printable(found.paragraph), width, break_on_hyphens=False):
        say(line)
    rows = [("certainty", f"{found.verdict.confidence}: {_SURE[found.verdict.confidence]}"), *_rows(found)]
    say("")
    for name, text in rows:
        for number, line in enumerate(textwrap.wrap(printable(text), max(20, width - 18), break_on_hyphens=False)):
            say(f"{'' if number else printable(name):<16}  {line}")
    for trace in found.traces:
        _print_stack(found, trace)
    if found.unknown:
        say("")
        say("Not known:")
    for sentence in found.unknown:
        for line in textwrap.wrap(printable(sentence), width, initial_indent="  ", subsequent_indent="  "):
            say(line)


_SURE = {
    "known": "the evidence says so",
    "likely": "the evidence speaks for it",
    "unknown": "the evidence does not tell",
}


def _rows(found: Autopsy) -> Iterator[tuple[str, str]]:
    """Yield what the verdict rests on: names and texts."""
    from accel_track.views.autopsy.words import amount, duration, exit_text

    yield "run", f"{found.run.path.name}, {found.run.shown}"
    if not found.live:
        yield "status", "not noted" if found.outcome is None else found.outcome.text
    for trace in found.traces:
        mine = f"rank {trace.rank}: " if len(found.traces) > 1 else ""
        progress, beat, began = trace.progress, trace.beat, trace.began
        if progress.time is not None:
            often = "" if progress.interval is None else f", one every {duration(progress.interval)}"
            step = "" if progress.step is None else f"step {progress.step:,}, "
            ago = duration(max(0.0, time.time() - progress.time))
            yield "last record", f"{mine}{step}{when(progress.time)} UTC ({ago} ago){often}"
        if began is not None:
            yield "process", f"{mine}{began.pid} on {began.host}, since {when(began.time)} UTC"
        if beat is not None:
            yield "last seen", f"{mine}{when(beat.time)} UTC" + (f", {beat.status}" if beat.status else "")
            memory = beat.memory
            known = [
                ("process", memory.process),
                ("control group", memory.used),
                ("its limit", memory.limit),
                ("free on the machine", memory.available),
            ]
            sizes = [f"{name} {amount(count)}" for name, count in known if count is not None]
            if sizes:
                yield "memory then", mine + ", ".join(sizes)
        if trace.death is not None:
            told = "not told" if trace.death.status is None else exit_text(trace.death.status)
            yield "end seen", f"{mine}{when(trace.death.time)} UTC, {told}"
    for one in found.numbers.series:
        yield one.name.removeprefix("system/"), f"{one.last:.6g}, at most {one.highest:.6g}"


def _print_stack(found: Autopsy, trace: Trace) -> None:
    mine = f" of rank {trace.rank}" if len(found.traces) > 1 else ""
    if trace.dumps and trace.began is not None:
        dump = trace.fatal or trace.dumps[-1]
        thread = dump.thread(trace.began.thread)
        if thread is not None:
            what = f"at {dump.error}" if dump.error else "when asked, or when no record came"
            say("")
            say(f"Stack{mine}, {what}:")
            for frame in thread.frames[:_FRAMES]:
                say(f"  {frame.file}:{frame.line} in {frame.function}")
            others = len([one for one in dump.threads if one is not thread and not one.is_own])
            if others or len(thread.frames) > _FRAMES:
                say(f"  … {others} other threads and all calls are in --json")
    for error in trace.errors[-1:]:
        say("")
        say(f"Traceback{mine}:" if error.thread is None else f"Traceback{mine}, thread {error.thread}:")
        lines = error.text.splitlines()
        for line in lines if len(lines) <= _LINES else ["…", *lines[-_LINES:]]:
            say(f"  {line}")
