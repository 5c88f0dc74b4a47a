"""The numbers that tell of an end: metrics that are not finite any more, and the machine's series."""

from __future__ import annotations

import math
from typing import NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.views.content import Content

_SYSTEM = "system/"
_MOST = 50
"""Metrics of which it is looked up since when they are not finite."""


class NotFinite(NamedTuple):
    """A metric whose last value is NaN or infinite.

    Attributes:
        name: Name of the metric.
        value: "NaN", "inf" or "-inf".
        step: The step since which no value was finite; the record's number where there is none.
        last_finite: The value before, or None.
    """

    name: str
    value: str
    step: int
    last_finite: float | None


class Series(NamedTuple):
    """The values that the machine's monitor has logged of one quantity.

    Attributes:
        name: Name of the metric.
        last: The last value.
        highest: The highest one.
    """

    name: str
    last: float
    highest: float


class Numbers(NamedTuple):
    """The numbers of a run.

    Attributes:
        not_finite: The metrics that are not finite any more, the first one first.
        series: The machine's.
        checkpoint: Name of the last checkpoint that is known, or None.
        checkpoint_step: Its step, or None.
        damaged: Bytes of the journals that could not be read.
    """

    not_finite: list[NotFinite]
    series: list[Series]
    checkpoint: str | None
    checkpoint_step: int | None
    damaged: int


def numbers_of(run: RunDirectory) -> Numbers:
    """Return the numbers of a run.

    Raises:
        JournalError: A segment is of a later version of the format.
        OSError: A segment cannot be read.
    """
    content = Content(run, wanted=lambda _: False)
    content.update()
    wrong, series = [], []
    for name, metric in content.metrics.items():
        last = None if metric.last is None else metric.last.value
        if not isinstance(last, float):
            continue
        if not math.isfinite(last):
            wrong.append(name)
        elif name.startswith(_SYSTEM) and metric.maximum is not None:
            series.append(Series(name, last, metric.maximum.value))
    checkpoint = next(reversed(content.checkpoints), None)
    step = None if checkpoint is None else content.checkpoints[checkpoint]["step"]
    return Numbers(_since(run, wrong[:_MOST]), series, checkpoint, step, content.damaged)


def _since(run: RunDirectory, names: list[str]) -> list[NotFinite]:
    if not names:
        return []
    content, wanted = Content(run, wanted=set(names).__contains__), []
    content.update()
    for name in names:
        metric = content.metrics[name]
        if metric.last is None:
            continue
        steps, _, values = metric.points(metric.last.rank)
        begin = len(values)
        while begin and not math.isfinite(values[begin - 1]):
            begin -= 1
        if begin < len(values):
            shown = {math.inf: "inf", -math.inf: "-inf"}.get(float(values[-1]), "NaN")
            before = float(values[begin - 1]) if begin else None
            wanted.append(NotFinite(name, shown, int(steps[begin]), before))
    return sorted(wanted, key=lambda one: one.step)
