"""The list of runs on the command line: its columns on a terminal, between tabs, and in JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from accel_track.cli._common import shown
from accel_track.cli._lines import Shape
from accel_track.cli._times import age, iso, short_date, span
from accel_track.views.listing.columns import Column
from accel_track.views.listing.runs import Listed
from accel_track.views.listing.values import Scalar

_COLOURS = {"running": "36", "finished": "32", "failed": "31", "damaged": "31", "interrupted": "33", "preempted": "33"}
"""By status: cyan, green, red, yellow, as SGR has them."""

TITLES = ("id", "project", "name", "status", "created", "duration", "records", "pending", "tags")
"""The columns between tabs."""


def shapes(rows: Sequence[Listed], extra: Sequence[Column], now: float) -> list[Shape]:
    """Return the columns of the list on a terminal; numbers are not cut."""
    texts = [any(isinstance(column.get(one, now), str) for one in rows) for column in extra]
    return [
        Shape("id"),
        Shape("project", shrinks=True),
        Shape("name", shrinks=True),
        Shape("status", style=_style),
        Shape("created", spare=1),
        Shape("age", right=True),
        Shape("duration", right=True, spare=2),
        Shape("records", right=True, spare=2),
        Shape("pending", right=True, needed=False),
        *(Shape(one.title, right=not text, shrinks=text) for one, text in zip(extra, texts, strict=True)),
        Shape("tags", shrinks=True, spare=1, needed=False),
    ]


def in_short(one: Listed, extra: Sequence[Column], now: float, *, utc: bool) -> list[str]:
    """Return the cells of a run on a terminal."""
    summary = one.summary
    return [
        one.short,
        summary.project or "",
        summary.name or "",
        summary.status,
        "" if summary.created is None else short_date(summary.created, utc=utc),
        "" if summary.created is None else age(max(0.0, now - summary.created)),
        "" if (seconds := summary.duration(now)) is None else span(seconds),
        "" if summary.records is None else str(summary.records),
        str(summary.pending) if summary.pending else "",
        *(_short(column.get(one, now)) for column in extra),
        ", ".join(summary.tags),
    ]


def full(one: Listed, extra: Sequence[Column], now: float, *, utc: bool) -> list[Scalar]:
    """Return the cells of a run between tabs, in the order of `TITLES`; the duration in seconds."""
    summary, seconds = one.summary, one.summary.duration(now)
    cells = [
        summary.run_id,
        summary.project,
        summary.name,
        summary.status,
        None if summary.created is None else iso(summary.created, utc=utc),
        None if seconds is None else f"{seconds:.0f}",
        summary.records,
        None if summary.records is None else summary.pending,
        ",".join(summary.tags),
        *(column.get(one, now) for column in extra),
    ]
    return ["" if cell is None else cell for cell in cells]


def description(one: Listed, extra: Sequence[Column], now: float) -> dict[str, Any]:
    """Return a run for JSON."""
    summary = one.summary
    names = ("project", "run_id", "name", "status", "reason", "created", "records", "parent", "tags", "note", "error")
    trackers = {
        name: {**counts, "lag": None if name not in summary.waiting else max(0.0, time.time() - summary.waiting[name])}
        for name, counts in summary.trackers.items()
    }
    return {
        "path": one.run.shown,
        "short": one.short,
        **{name: getattr(summary, name) for name in names},
        "duration": summary.duration(now),
        "pending": summary.pending,
        "trackers": None if summary.records is None else trackers,
        "values": {column.title: column.get(one, now) for column in extra},
    }


def _short(value: Scalar) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else shown(value)


def _style(status: str) -> str:
    return f"\x1b[{_COLOURS[status]}m" if status in _COLOURS else ""
