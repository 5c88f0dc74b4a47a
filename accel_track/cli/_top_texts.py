"""The words of `accel-track top`: numbers, durations, load and delivery, in few characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accel_track.cli._common import shown
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.views.load import Load

_LATE = 30.0
"""Seconds of delivery lag that are shown in a warning's colour."""


def count(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**8 else f"{float(min(number, 10**300)):.3g}"


def rate(a_second: float) -> str:
    if a_second and a_second < 0.1:  # noqa: PLR2004
        return f"{a_second * 60:.2g}/min" if a_second * 60 >= 0.1 else f"{a_second * 3600:.2g}/h"  # noqa: PLR2004
    return f"{a_second:,.0f}/s" if 100 <= a_second < 10**6 else f"{a_second:.3g}/s"  # noqa: PLR2004


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def at(point: Any) -> str:
    """Return a value and its step."""
    if point is None:
        return ""
    value = printable(short(point.value))
    return value if point.step is None else f"{value} at step {count(point.step)}"


def duration(seconds: float | None) -> str:
    """Return a duration in one unit, the largest of which there are two."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def busy(load: Load) -> str:
    parts = [
        ("cpu", load.cpu_percent, "%"),
        ("gpu", load.gpu_percent, "%"),
        ("memory", load.memory_percent, "%"),
        ("gpu memory", load.gpu_memory_percent, "%"),
    ]
    texts = [f"{name} {value:.0f} {unit}" for name, value, unit in parts if value is not None]
    if load.process_memory_gb is not None:
        texts.append(f"{load.process_memory_gb:.1f} GB")
    return ", ".join(texts)


def pending(one: TrackerStatus, word: str = "") -> str:
    if not one.pending:
        return f"{one.quarantined:,} quarantined" if one.quarantined and not word else "up to date" if word else "ok"
    lag = "" if one.lag is None or one.lag < 1 else f" {duration(one.lag)}" if not word else f" for {duration(one.lag)}"
    return f"{count(one.pending)}{word}{lag}"


def colour(one: TrackerStatus) -> str:
    return "red" if one.quarantined or (one.lag or 0.0) > _LATE else ""
