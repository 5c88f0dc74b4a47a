"""The columns of a list of runs: what a run is, its metrics, its hyperparameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from accel_track.views.listing.runs import Listed
from accel_track.views.listing.values import WHICH, Scalar

FIELDS: dict[str, Callable[[Listed, float], Scalar]] = {
    "id": lambda one, _: one.summary.run_id,
    "project": lambda one, _: one.summary.project,
    "name": lambda one, _: one.summary.name,
    "status": lambda one, _: one.summary.status,
    "created": lambda one, _: one.summary.created,
    "age": lambda one, now: None if one.summary.created is None else max(0.0, now - one.summary.created),
    "duration": lambda one, now: one.summary.duration(now),
    "records": lambda one, _: one.summary.records,
    "pending": lambda one, _: None if one.summary.records is None else one.summary.pending,
    "tags": lambda one, _: ",".join(one.summary.tags) or None,
    "note": lambda one, _: one.summary.note or None,
}
"""The facts of a run by the name of the column; called with the run and the time, in seconds since 1970-01-01 UTC."""

_METRIC = re.compile(rf"(?P<name>.+?)(?::(?P<which>{'|'.join(WHICH)}))?", re.DOTALL)


class Column(NamedTuple):
    """A column.

    Attributes:
        title: Its name, as the user wrote it.
        get: Returns the value for a run at a time; None if it has none.
        needs_values: Whether runs must be listed with their values.
    """

    title: str
    get: Callable[[Listed, float], Scalar]
    needs_values: bool = True


def metric(text: str) -> Column:
    """Return the column of a metric: its name, and behind a colon `last` (the default), `min` or `max`."""
    name, which = _split(text)
    return Column(text, lambda one, _: _metric(one, name, which))


def hyperparameter(name: str) -> Column:
    """Return the column of a hyperparameter; nested names are joined with "/" or "."."""
    return Column(name, lambda one, _: _looked_up(one.values.config, name))


def named(text: str) -> Column:
    """Return the column that a name means: a field, else what each run has: a metric, or else a hyperparameter.

    `metric:` or `config:` in front says which.
    """
    if text in FIELDS:
        return Column(text, FIELDS[text], needs_values=False)
    start, _, rest = text.partition(":")
    if rest and start in ("metric", "config"):
        return (metric if start == "metric" else hyperparameter)(rest)._replace(title=text)
    name, which = _split(text)

    def get(one: Listed, _: float) -> Scalar:
        return _metric(one, name, which) if name in one.values.metrics else _looked_up(one.values.config, text)

    return Column(text, get)


def _split(text: str) -> tuple[str, int]:
    """Return a metric's name, and the place of what is wanted of it in `WHICH`."""
    match = _METRIC.fullmatch(text)
    return (text, 0) if match is None else (match["name"], WHICH.index(match["which"] or WHICH[0]))


def _metric(one: Listed, name: str, which: int) -> Scalar:
    found = one.values.metrics.get(name)
    return None if found is None else found[which]


def _looked_up(config: Mapping[str, Scalar], name: str) -> Scalar:
    if name in config:
        return config[name]
    plain = name.replace(".", "/")
    return next((value for key, value in config.items() if key.replace(".", "/") == plain), None)
