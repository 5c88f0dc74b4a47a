"""The words of `accel-track top`: numbers, durations, load and delivery, in few characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accel_track.cli._common import shown, size
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.journal.info import RunInfo
    from accel_track.views.running.load import Load

_LATE = 30.0
"""Seconds of delivery lag that are shown in a warning's colour."""


def name_of(info: RunInfo) -> str:
    """Return project and name of a run; the project alone where the name is its id."""
    return info.project if info.name in (None, info.run_id) else f"{info.project}/{info.name}"


def count(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**8 else f"{float(min(number, 10**300)):.3g}"


def rate(a_second: float, unit: str = "") -> str:
    """Return a rate a second, a minute or an hour, as in "12.3 steps/s"."""
    unit = f" {unit}" if unit else ""
    if a_second and a_second < 0.1:  # noqa: PLR2004
        return f"{a_second * 60:.2g}{unit}/min" if a_second * 60 >= 0.1 else f"{a_second * 3600:.2g}{unit}/h"  # noqa: PLR2004
    return f"{a_second:,.0f}{unit}/s" if 100 <= a_second < 10**6 else f"{a_second:.3g}{unit}/s"  # noqa: PLR2004


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def at(point: Any, where: str = "at") -> str:
    """Return a value and its step."""
    if point is None:
        return ""
    value = printable(short(point.value))
    return value if point.step is None else f"{value} {where} {count(point.step)}"


def duration(seconds: float | None) -> str:
    """Return a duration in one unit, the largest of which there are two."""
    if seconds is None:
        return ""
    for long, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * long:
            return f"{seconds / long:.0f} {unit}"
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
        texts.append(size(load.process_memory_gb * 1e9))
    return ", ".join(texts)


def pending(one: TrackerStatus, word: str = "") -> str:
    if not one.pending:
        return f"{one.quarantined:,} quarantined" if one.quarantined and not word else "up to date" if word else "ok"
    lag = "" if one.lag is None or one.lag < 1 else f" {duration(one.lag)}" if not word else f" for {duration(one.lag)}"
    return f"{count(one.pending)}{word}{lag}"


def colour(one: TrackerStatus) -> str:
    return "red" if one.quarantined or (one.lag or 0.0) > _LATE else ""
