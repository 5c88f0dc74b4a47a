"""One run on the screen of `accel-track top`: its curve with axes, pace, load, delivery, what it said, last values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from accel_track.cli._curves import plot
from accel_track.cli._times import clock
from accel_track.cli._top_texts import at, busy, colour, count, duration, name_of, pending, rate, short
from accel_track.texts import counted, printable
from accel_track.views.running.said import newest_said

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.views.running.activity import Activity, Watched

_AXIS = 11
"""Columns left of a curve."""
_SMALL = 24
"""Lines, up to which there is no room for the last values."""
_TEXTS = (1, 3, 5)
"""The number of alerts and texts: below a list, alone, and alone with room for the last values."""
_COLOURS = {"error": "red", "warning": "yellow"}


def run_lines(run: Watched, activity: Activity, width: int, height: int) -> list[Text]:
    """Return the lines about a run, with as much room for its curve as the other texts leave."""
    name, content = run.metric(activity.wanted), run.content
    above = [_heading(run, activity, width)]
    reason = None if run.outcome is None else run.outcome.reason
    above += [Text(printable(text), style="red") for text in (reason, run.error) if text is not None]
    below = [Text(one) for one in (_progress(run), _load(run)) if one]
    trackers = [_tracker(one) for one in run.trackers.values()]
    below += _said(run, _TEXTS[(height > _SMALL // 2) + (height > _SMALL)])
    if height <= _SMALL:
        below += [Text(", ").join(trackers)] if trackers else []
    else:
        below += [*trackers, *_companions(run), *_values(run, name, height // 3)]
    if name is None:
        return [*above, Text("no metric yet" if activity.wanted is None else "it has no such metric"), Text(), *below]
    metric = content.metrics[name]
    about = f"{printable(name)} {at(metric.last, 'at step')}"
    about += f", min {at(metric.minimum)}" if metric.minimum else ""
    about += f", max {at(metric.maximum)}" if metric.maximum else ""
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
    quiet = run.quiet(activity.now)
    ago = "" if quiet is None else f", last value {duration(quiet)} ago"
    lasts = f"running {duration(max(0.0, activity.now - info.created))}{ago}"
    state = lasts if run.outcome is None else run.outcome.status
    text = f"── {printable(info.run_id)} {printable(state)}: {printable(name_of(info))} "
    return Text(text + "─" * max(0, width - cell_len(text)), style="bold")


def _axes(run: Watched, name: str, width: int, height: int) -> list[Text]:
    """Return the curve of a metric between its axes, `height` lines and one."""
    points, metric = run.points(name), run.content.metrics[name]
    drawn = plot(points, width - _AXIS, height)
    if drawn is None:
        return [Text("no number to draw")]
    labels = [short(drawn.high), *[""] * (height - 2), short(drawn.low)]
    lines = [Text(f"{label:>{_AXIS - 2}} ┤") for label in labels]
    for line, dots in zip(lines, drawn.lines, strict=True):
        line.append(dots, style="cyan")
    first, last = count(int(points.steps.min())), count(int(points.steps.max()))
    first = first if metric.last is not None and metric.last.step is not None else f"record {first}"
    return [*lines, Text(" " * _AXIS + first + last.rjust(max(1, width - _AXIS - len(first))))]


def _progress(run: Watched) -> str:
    pace, parts = run.pace, []
    if pace.now is not None:
        parts.append(f"{rate(pace.now, pace.unit)} now")
    if pace.mean is not None:
        parts.append(f"{rate(pace.mean)} mean")
    if run.share is not None and run.total is not None and run.step is not None:
        parts.append(f"step {count(run.step)} of {count(run.total)} ({100 * run.share:.0f} %)")
    elif run.step is not None:
        parts.append(f"step {count(run.step)}")
    if run.seconds_left is not None:
        parts.append(f"{duration(run.seconds_left)} left")
    return " · ".join(parts)


def _load(run: Watched) -> str:
    if run.load is None:
        return ""
    return ("machine: " if run.load.source == "run" else "its process: ") + busy(run.load)


def _said(run: Watched, most: int) -> list[Text]:
    """Return the newest alerts and texts, the newest last."""
    lines = []
    for one in reversed(newest_said(run.content, most)):
        text = printable(f"{one.level or 'text'} {one.name}: {one.text}".rstrip(": "))
        lines.append(Text(f"{clock(one.time)} {text}", style=_COLOURS.get(one.level, "")))
    return lines


def _values(run: Watched, first: str | None, height: int) -> list[Text]:
    """Return the last values of the metrics, that of the curve first, then those behind it by name."""
    names = sorted_names(run.content.metrics)
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


def _companions(run: Watched) -> list[Text]:
    """Return the reason why a run's companion processes do not work."""
    gone = [f"companion {one.pid} is gone; accel-track sync delivers" for one in run.companions if one.state == "gone"]
    errors = [f"{name}: {its.error}" for one in run.companions for name, its in one.trackers.items() if its.error]
    return [Text(printable(text), style="red") for text in [*gone, *errors]]


def _tracker(one: TrackerStatus) -> Text:
    more = [f"{one.quarantined:,} quarantined"] if one.quarantined else []
    more += [f"{counted(sum(one.dropped.values()), 'value')} dropped"] if one.dropped else []
    text = ", ".join([pending(one, " pending"), *more])
    return Text(f"{printable(one.name)}: {text}", style=colour(one))


def metric_names(runs: Sequence[Watched]) -> list[str]:
    """Return the names of the metrics of some runs that have curves."""
    return sorted_names({name for run in runs for name, one in run.content.metrics.items() if one.count})


def sorted_names(names: Iterable[str]) -> list[str]:
    """Return names of metrics in order: first what a run learns, then what is measured of its machine."""
    return sorted(names, key=lambda name: (name.startswith("system/"), name))
