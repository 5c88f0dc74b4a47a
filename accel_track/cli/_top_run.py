"""One run on the screen of `accel-track top`: its curve with axes, pace, load, delivery, last values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from accel_track.cli._curves import plot
from accel_track.cli._top_texts import at, busy, colour, count, duration, pending, rate, short
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.views.activity import Activity, Watched

_AXIS = 11
"""Columns left of a curve."""
_SMALL = 24
"""Lines, up to which there is no room for the last values."""


def run_lines(run: Watched, activity: Activity, width: int, height: int) -> list[Text]:
    """Return what there is to say of a run: its curve with as much room as the texts around it leave."""
    name, content = run.metric(activity.wanted), run.content
    above = [_heading(run, activity, width)]
    if run.error is not None:
        above.append(Text(printable(run.error), style="red"))
    below = [Text(one) for one in (_progress(run, activity), _load(run)) if one]
    trackers = [_tracker(one) for one in run.trackers.values()]
    if height <= _SMALL:
        below += [Text(", ").join(trackers)] if trackers else []
    else:
        below += [*trackers, *_values(run, name, height // 3)]
    if name is None:
        return [*above, Text("no metric yet" if activity.wanted is None else "it has no such metric"), Text(), *below]
    metric = content.metrics[name]
    about = f"{printable(name)}  {at(metric.last)}"
    about += f"  min {at(metric.minimum)}" if metric.minimum else ""
    about += f"  max {at(metric.maximum)}" if metric.maximum else ""
    above.append(Text(about, style="cyan"))
    if metric.first_not_finite is not None:
        first = metric.first_not_finite
        above.append(Text(f"{metric.not_finite:,} NaN or infinite, the first {at(first)}", style="red"))
    rows = height - len(above) - len(below) - 1
    return [*above, *(_axes(run, name, width, rows) if rows > 1 else []), *below]


def _heading(run: Watched, activity: Activity, width: int) -> Text:
    info = run.info
    if info is None:
        return Text()
    if run.outcome is not None:
        state = run.outcome.text
    else:
        state = f"running for {duration(max(0.0, activity.now - info.created))}"
    name = printable(f"{info.project}/{info.name}" if info.name not in (None, info.run_id) else info.project)
    text = f"── {printable(info.run_id)}  {name}  {printable(state)} "
    return Text(text + "─" * max(0, width - cell_len(text)), style="bold")


def _axes(run: Watched, name: str, width: int, height: int) -> list[Text]:
    """Return the curve of a metric between its axes, `height` lines and one."""
    points, metric = run.points(name), run.content.metrics[name]
    if not len(points.values) or metric.minimum is None or metric.maximum is None:
        return [Text("no number to draw")]
    lines = plot(points, width - _AXIS, height)
    labels = [""] * height
    labels[-1], labels[0] = short(metric.minimum.value), short(metric.maximum.value)
    drawn = [Text(f"{label:>{_AXIS - 2}} ┤") for label in labels]
    for line, dots in zip(drawn, lines, strict=True):
        line.append(dots, style="cyan")
    first, last = count(int(points.steps.min())), count(int(points.steps.max()))
    first = first if metric.last is not None and metric.last.step is not None else f"record {first}"
    return [*drawn, Text(" " * _AXIS + first + last.rjust(max(1, width - _AXIS - len(first))))]


def _progress(run: Watched, activity: Activity) -> str:
    pace, parts = run.pace, []
    if pace.now is not None:
        parts.append(f"{rate(pace.now)} {pace.unit} now")
    if pace.mean is not None:
        parts.append(f"{rate(pace.mean)} {pace.unit} on average")
    if run.share is not None and run.total is not None and run.step is not None:
        parts.append(f"step {count(run.step)} of {count(run.total)} ({run.share:.0%})")
    elif run.step is not None:
        parts.append(f"step {count(run.step)}")
    if run.seconds_left is not None:
        parts.append(f"{duration(run.seconds_left)} left")
    quiet = run.quiet(activity.now)
    return ", ".join([*parts, *([] if quiet is None else [f"last value {duration(quiet)} ago"])])


def _load(run: Watched) -> str:
    if run.load is None:
        return ""
    return ("machine: " if run.load.source == "run" else "its process: ") + busy(run.load)


def _values(run: Watched, first: str | None, height: int) -> list[Text]:
    """Return the last values of the metrics, that of the curve first, then those behind it by name."""
    names = metric_names([run])
    begin = names.index(first) if first in names else 0
    order = [*names[begin:], *names[:begin]]
    lines = [Text(f"{'last values':30} {'value':>10} {'step':>9} {'min':>10} {'max':>10}", style="bold")]
    for name in order[: max(0, height - 2)]:
        metric = run.content.metrics[name]
        last, low, high = metric.last, metric.minimum, metric.maximum
        value = "" if last is None else printable(short(last.value))
        step = "" if last is None or last.step is None else count(last.step)
        lowest, highest = ("" if one is None else short(one.value) for one in (low, high))
        lines.append(Text(f"{set_cell_size(printable(name), 30)} {value:>10} {step:>9} {lowest:>10} {highest:>10}"))
    if len(order) > height - 2:
        lines.append(Text(f"… {len(order) - max(0, height - 2)} more; m goes through them", style="dim"))
    return lines


def _tracker(one: TrackerStatus) -> Text:
    more = [f"{one.quarantined:,} quarantined"] if one.quarantined else []
    more += [f"{sum(one.dropped.values()):,} values dropped"] if one.dropped else []
    text = ", ".join([pending(one, " pending"), *more])
    return Text(f"{printable(one.name)}: {text}", style=colour(one))


def metric_names(runs: Sequence[Watched]) -> list[str]:
    """Return the names of the metrics of some runs: first what they learn, then what is measured of their machines."""
    found = set(itertools.chain.from_iterable(one.content.metrics for one in runs))
    return sorted(found, key=lambda name: (name.startswith("system/"), name))
