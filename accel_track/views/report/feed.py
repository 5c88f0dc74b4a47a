"""The feed: what a page holds of some runs, at first all of it, then what has changed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from accel_track.journal.directory import RunDirectory
from accel_track.views.content import Content
from accel_track.views.metric import Metric
from accel_track.views.report.curves import MOST_RANKS, curve, limit_of
from accel_track.views.report.facts import facts
from accel_track.views.report.media import Room, media
from accel_track.views.report.texts import number_or_text

_REMEMBERED = 50
"""The number of remembered states of pages; a page with an earlier state gets everything."""


class _Seen(NamedTuple):
    """The state of a metric in a page: changes of the first two make it news, the others say what is new."""

    numbers: int
    moment: float
    points: dict[int, int]


class _State(NamedTuple):
    """The state of a run in a page."""

    rewinds: int
    media: dict[str, int]
    metrics: dict[str, _Seen]


class Feed:
    """The runs of pages, read for several threads that may ask for them.

    Args:
        runs: The runs, in their order.
        room: Bytes of media that a page may hold.

    Attributes:
        contents: What was read, in the order of the runs.
        room: What of the media was shown when they were last read.
    """

    def __init__(self, runs: Sequence[RunDirectory], room: int) -> None:
        """Read nothing yet."""
        self.contents = [Content(run) for run in runs]
        self.room = Room(room)
        self._runs, self._size = runs, room
        self._lock = threading.Lock()
        self._states: dict[int, list[_State]] = {}
        self._versions = itertools.count(1)

    def document(self, since: int | None = None) -> dict[str, Any]:
        """Return the content of a page, in JSON's types and finite numbers.

        Args:
            since: The `version` of the document that the page has, and to which this one adds; None for all.

        Raises:
            JournalError: A run cannot be read.
            OSError: A run cannot be read.
        """
        with self._lock:
            for content in self.contents:
                content.update()
            had = None if since is None else self._states.get(since)
            curves = sum(min(len(one.ranks), MOST_RANKS) for each in self.contents for one in each.metrics.values())
            limit = limit_of(curves)
            states: list[_State] = []
            found = [
                self._run(place, limit, None if had is None else had[place], states) for place in range(len(self._runs))
            ]
            self._add_media(found, states, had)
            version = next(self._versions)
            self._states[version] = states
            self._states.pop(version - _REMEMBERED, None)
        return {"version": version, "time": time.time(), "limit": limit, "runs": found}

    def _run(self, place: int, limit: int, had: _State | None, states: list[_State]) -> dict[str, Any]:
        run, content = self._runs[place], self.contents[place]
        info = run.load()
        if had is not None and had.rewinds != len(content.rewinds):
            had = None  # the run went back: points that the page has count no longer
        seen, news = {}, []
        for name, metric in content.metrics.items():
            before = None if had is None else had.metrics.get(name)
            moment = 0.0 if metric.last is None else metric.last.time
            if before is not None and before[:2] == (metric.count, moment):
                seen[name] = before
                continue
            lengths: dict[int, int] = {}
            curves = []
            for rank in metric.ranks[:MOST_RANKS] if metric.count else []:
                if not len((points := metric.points(rank)).values):
                    continue
                lengths[rank] = len(points.values)
                since = 0 if before is None else before.points.get(rank, 0)
                curves.append(curve(rank, points, info.created, limit, since))
            seen[name] = _Seen(metric.count, moment, lengths)
            news.append([name, {**_summary(metric), "curves": curves}])
        states.append(_State(len(content.rewinds), {}, seen))
        return {"whole": had is None, **facts(run, info, content), "metrics": news}

    def _add_media(self, found: list[dict[str, Any]], states: list[_State], had: list[_State] | None) -> None:
        """Add the media of all runs, if those of one have changed: they share the room."""
        for state, content in zip(states, self.contents, strict=True):
            state.media.update({name: one["count"] for name, one in content.media.items()})
        if had is not None and [one.media for one in had] == [one.media for one in states]:
            return
        self.room = Room(self._size)
        shown = media(list(zip(self._runs, self.contents, strict=True)), self.room)
        for document, one in zip(found, shown, strict=True):
            document["media"] = one


def _summary(metric: Metric) -> dict[str, Any]:
    last = metric.last
    return {
        "last": None if last is None else [number_or_text(last.value), last.step],
        "min": metric.minimum,
        "max": metric.maximum,
        "count": metric.count,
        "bad": metric.not_finite,
        "first_bad": None if (bad := metric.first_not_finite) is None else [str(bad.value), bad.step],
    }
