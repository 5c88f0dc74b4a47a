"""`accel-track tail`: the last values of a run as lines, and with -f those that come, until the run ends."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import RunArgument, find_run, jsonable, one_line_errors, say, shown
from accel_track.cli._lines import is_terminal
from accel_track.cli._times import clock
from accel_track.views.lines import Line, Lines

if TYPE_CHECKING:
    from accel_track.journal.directory import RunDirectory

_LOOK = 0.2
"""Seconds between two looks for new records."""

_FETCH = 5.0
"""Seconds between two looks into a mirror."""


def tail(
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends, or Ctrl-C.")] = False,
    number: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="Begin with the last N calls of log.")
    ] = 10,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="Print only this metric; a pattern such as 'val/*' chooses several. May be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line instead of text.")] = False,
) -> None:
    """Print the last values of a run; with -f, also those that follow.

    Piped, each value has its own line: time, rank, step, name and value, separated by tabs.

    Example: accel-track tail 3f9a2c -f --metric "train/*"
    """
    tell = _json if as_json else _text if is_terminal() else _tabs
    with one_line_errors(), suppress(KeyboardInterrupt):
        found = find_run(run)
        lines = Lines(found, metric or ())
        for line in lines.last(number):
            tell(line)
        if follow:
            _follow(found, lines, tell)


def _follow(run: RunDirectory, lines: Lines, tell: Callable[[Line], None]) -> None:
    fetch_at = time.monotonic() + _FETCH
    while True:
        ended = run.outcome(run.load())  # before the look, so that what came until then is seen
        for line in lines.new():
            tell(line)
        sys.stdout.flush()
        if ended is not None:
            say(f"the run has ended: {ended.text}", err=True)
            return
        time.sleep(_LOOK)
        if time.monotonic() >= fetch_at:
            run.refresh(media=False)
            fetch_at = time.monotonic() + _FETCH


def _text(line: Line) -> None:
    if line.rewind is not None:
        say(f"the run went back to step {line.rewind}")
        return
    rank = "" if line.rank is None else f"  rank {line.rank}"
    step = "" if line.step is None else f"  step {line.step}"
    values = "  ".join(f"{name}={shown(value)}" for name, value in line.values.items())
    say(f"{clock(line.time)}{rank}{step}  {values}")


def _tabs(line: Line) -> None:
    for row in _rows(line):
        say_tabs = "\t".join(str(jsonable(cell)) for cell in row)
        typer.echo(say_tabs)


def _rows(line: Line) -> Iterator[tuple[Any, ...]]:
    from accel_track.texts import printable

    step = "" if line.step is None else line.step
    if line.rewind is not None:
        yield f"{line.time:.3f}", line.rank or 0, line.rewind, "(rewind)", ""
    for name, value in line.values.items():
        yield f"{line.time:.3f}", line.rank or 0, step, printable(name), printable(jsonable(value))


def _json(line: Line) -> None:
    document = {"time": line.time, "rank": line.rank or 0, "step": line.step, "values": line.values}
    if line.rewind is not None:
        document |= {"step": None, "rewind": line.rewind}
    typer.echo(json.dumps(jsonable(document)))
