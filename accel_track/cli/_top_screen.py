"""The screen of `accel-track top`: a line for each run, and below it the chosen one; or the chosen one alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import set_cell_size
from rich.text import Text

from accel_track.cli._curves import sparkline
from accel_track.cli._top_run import run_lines
from accel_track.cli._top_texts import busy, colour, count, duration, name_of, pending, rate, short
from accel_track.texts import printable

if TYPE_CHECKING:
    from pathlib import Path

    from accel_track.views.running.activity import Activity, Watched

_PANE = 12
"""Lines of the chosen run below the list; half of the screen if that is less."""
_KEYS = "↑↓ choose  enter details  m metric  a ended  ? help  q quit"
_HELP = """\
up, down, k, j   choose a run
enter            the chosen run alone, larger; again: back to the list
m, M             the next metric, the one before; behind the last, each run's own
a                also runs that ended within the last hour
?                this help
q, Ctrl-C        quit

STEP/S           over the last 30 s, or between the last two points; 0 if overdue
CURVE, VALUE     of the metric in the title: by step, and its last value
AGO              since the newest value of any metric
DELIVERY         of the tracker furthest behind: records pending, and how long

accel-track show, tail and ls tell more of one run, and of runs that ended."""


@dataclass(frozen=True)
class View:
    """The content of the screen.

    Attributes:
        chosen: Path of the chosen run; None: the first one.
        alone: Whether it is shown alone.
        helps: Whether the help is shown.
    """

    chosen: Path | None = None
    alone: bool = False
    helps: bool = False

    def run(self, runs: Sequence[Watched]) -> Watched | None:
        """Return the chosen run; the first one where that is gone."""
        return next((one for one in runs if one.run.path == self.chosen), runs[0] if runs else None)

    def moved(self, runs: Sequence[Watched], by: int) -> View:
        """Return the view with a run chosen that is so many lines further down."""
        if (before := self.run(runs)) is None:
            return self
        index = min(max(0, runs.index(before) + by), len(runs) - 1)
        return replace(self, chosen=runs[index].run.path)


class _Column(NamedTuple):
    """A column of the list.

    Attributes:
        title: Its title.
        width: How many cells it has; that of the name, and half of the curve's, grow.
        right: Whether it is justified to the right.
        text: What it has of a run.
        least: From which width of the screen on it is there.
    """

    title: str
    width: int
    right: bool
    text: Callable[[Watched, Activity, int], Text]
    least: int = 0


def screen(activity: Activity, view: View, width: int, height: int) -> list[Text]:
    """Return the lines of the screen, at most `height`, of `width` cells at most."""
    runs = activity.runs
    chosen = view.run(runs)
    body = max(1, height - 2)
    if view.helps:
        lines = [Text(line) for line in _HELP.splitlines()]
    elif chosen is None:
        lines = _nothing(activity)
    elif view.alone:
        lines = run_lines(chosen, activity, width, body)
    else:
        pane = 0 if body < _PANE else max(min(_PANE, body // 2), body - len(runs) - 1)
        lines = _list(runs, chosen, activity, width, body - pane)
        lines += run_lines(chosen, activity, width, pane) if pane else []
    title = [_title(activity, runs, width)]
    footer = [Text(_KEYS, style="dim")]
    lines = [*title, *lines[:body], *(Text() for _ in range(body - len(lines))), *footer][:height]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _title(activity: Activity, runs: Sequence[Watched], width: int) -> Text:
    running = sum(one.running for one in runs)
    parts = [f"{running} running", f"{len(runs) - running} ended" if len(runs) > running else ""]
    parts.append(f"{len(activity.damaged)} unreadable" if activity.damaged else "")
    parts.append(f"metric {printable(activity.wanted)}" if activity.wanted is not None else "")
    text = f"accel-track top {printable(activity.directory)}: {', '.join(filter(None, parts))}"
    clock = time.strftime("%H:%M:%S", time.localtime(activity.now))
    return Text(set_cell_size(text, max(0, width - len(clock) - 1)) + f" {clock}", style="bold")


def _nothing(activity: Activity) -> list[Text]:
    lines = [Text(), Text(f"no run is running below {printable(activity.directory)}; those that begin appear here")]
    lines += [] if activity.ended else [Text("a: runs that ended within the last hour")]
    return [*lines, *(Text(f"{path}: {why}", style="red") for path, why in map(_cleaned, activity.damaged.items()))]


def _cleaned(item: tuple[object, object]) -> tuple[str, str]:
    return printable(item[0]), printable(item[1])


def snapshot(activity: Activity, width: int) -> list[Text]:
    """Return the list of all runs; nothing if there is none."""
    runs = activity.runs
    return _list(runs, None, activity, width, len(runs) + 1) if runs else []


def _list(runs: Sequence[Watched], chosen: Watched | None, activity: Activity, width: int, height: int) -> list[Text]:
    """Return a title and a line for each run, as many as there is room for, the chosen one among them."""
    columns = _fitting(width)
    room = max(1, height - 1)
    index = 0 if chosen is None else runs.index(chosen)
    first = min(max(0, index - room // 2), max(0, len(runs) - room))
    shown = {"NAME": f"NAME {first + 1}-{first + room} of {len(runs)}"} if len(runs) > room else {}
    texts = (_cell(Text(shown.get(one.title, one.title)), one).plain for one in columns)
    titles = Text("  " + " ".join(texts), style="bold")
    lines = [titles]
    for run in runs[first : first + room]:
        line = Text("> " if run is chosen else "  ", style="reverse" if run is chosen else "")
        line.append_text(Text(" ").join(_cell(one.text(run, activity, one.width), one) for one in columns))
        lines.append(line)
    return lines


def _fitting(width: int) -> list[_Column]:
    """Return the columns that a screen has room for; the rest of it is the name's, and the curve's."""
    columns = [one for one in _COLUMNS if width >= one.least]
    spare = max(0, width - 2 - sum(one.width + 1 for one in columns) + 1)
    curve = min(40, spare // 2) if any(one.title == "CURVE" for one in columns) else 0
    more = {"NAME": spare - curve, "CURVE": curve}
    return [one._replace(width=one.width + more.get(one.title, 0)) for one in columns]


def _cell(text: Text, column: _Column) -> Text:
    text.truncate(column.width, overflow="ellipsis")
    text.align("right" if column.right else "left", column.width)
    return text


def _name(run: Watched, _: Activity, __: int) -> Text:
    info = run.info
    return Text("" if info is None else printable(name_of(info)))


def _speed(run: Watched, _: Activity, __: int) -> Text:
    if run.outcome is not None:
        return Text(run.outcome.status, style="red" if run.outcome.status == "failed" else "")
    now = run.pace.now
    return Text("" if now is None else rate(now), style="yellow" if now == 0 else "")


def _curve(run: Watched, activity: Activity, width: int) -> Text:
    if run.error is not None:
        return Text(printable(run.error), style="red")
    name = run.metric(activity.wanted)
    return Text("" if name is None else sparkline(run.points(name), width), style="cyan")


def _value(run: Watched, activity: Activity, _: int) -> Text:
    name = run.metric(activity.wanted)
    last = None if name is None else run.content.metrics[name].last
    return Text("" if last is None else printable(short(last.value)))


def _ago(run: Watched, activity: Activity, _: int) -> Text:
    return Text(duration(run.quiet(activity.now)))


def _delivery(run: Watched, _: Activity, __: int) -> Text:
    if not run.trackers:
        return Text("")
    worst = max(run.trackers.values(), key=lambda one: (one.pending, one.quarantined))
    return Text(pending(worst), style=colour(worst))


_COLUMNS = [
    _Column("RUN", 6, False, lambda run, _, __: Text(printable(run.run.path.name)[-6:])),
    _Column("NAME", 10, False, _name),
    _Column("STEP", 9, True, lambda run, _, __: Text("" if run.step is None else count(run.step))),
    _Column("STEP/S", 8, True, _speed),
    _Column("MEAN", 8, True, lambda run, _, __: Text("" if run.pace.mean is None else rate(run.pace.mean)), 120),
    _Column("CURVE", 8, False, _curve, 70),
    _Column("VALUE", 8, True, _value),
    _Column("AGO", 5, True, _ago, 60),
    _Column("LOAD", 24, False, lambda run, _, __: Text("" if run.load is None else busy(run.load)), 120),
    _Column("DELIVERY", 9, False, _delivery, 80),
]
