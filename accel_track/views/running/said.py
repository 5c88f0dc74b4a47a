"""The latest words of a run: its alerts, and the last texts that it logged under each name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from accel_track.records import media_in
from accel_track.views.content import Content

_LONGEST = 1000


class Said(NamedTuple):
    """One alert or text.

    Attributes:
        time: When it was logged, in seconds since 1970-01-01 UTC.
        level: "info", "warning" or "error" of an alert; empty for a text.
        name: The alert's title, or the text's name.
        text: The text, or its beginning.
    """

    time: float
    level: str
    name: str
    text: str


def newest_said(content: Content, most: int) -> list[Said]:
    """Return so many alerts and texts at most, the newest first."""
    alerts = [Said(one["time"], one["level"], one["title"], one["text"][:_LONGEST]) for one in content.alerts[-most:]]
    return sorted([*alerts, *_texts(content)], key=lambda one: one.time, reverse=True)[:most]


def _texts(content: Content) -> Iterator[Said]:
    for name, metric in content.metrics.items():
        if metric.last is not None and isinstance(metric.last.value, str):
            yield Said(metric.last.time, "", name, metric.last.value[:_LONGEST])
    for name, about in content.media.items():
        for stored in media_in(about["last"]):
            if stored.kind == "text" and isinstance(text := stored.info.get("text"), str):
                yield Said(about["time"], "", name, text[:_LONGEST])
