"""How SwanLab takes values and their names."""

from __future__ import annotations

import re
from typing import Any

from accel_track.trackers.names import hashed_name
from accel_track.values import is_number

_NAME_LENGTH = 512


def stored_name(name: str) -> str:
    """Return the name as SwanLab takes it: it cuts others itself, so that two become one, or leaves them out."""
    safe = re.sub(r"[\x00-\x1f\x7f]", "_", name).strip(" ./")
    safe = re.sub(r"^(__swanlab__\.)+", "", safe)  # the prefix of SwanLab's own metrics
    return name if safe == name and 0 < len(name) <= _NAME_LENGTH else hashed_name(safe, name, _NAME_LENGTH)


def kind_of(value: Any) -> str | None:
    """Return what SwanLab stores a value as, or None if it would refuse it."""
    if is_number(value):
        return "number"
    if isinstance(value, str):
        return "Text"
    if isinstance(value, list):
        kinds = {kind_of(item) if not isinstance(item, (int, float, str)) else None for item in value}
        return kinds.pop() if len(kinds) == 1 else None
    for cls in type(value).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in ("swanlab", "pyecharts"):
            return "ECharts" if package == "pyecharts" else type(value).__name__
    return None
