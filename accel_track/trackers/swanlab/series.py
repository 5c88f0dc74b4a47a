"""SwanLab's series: which values a run keeps, and under which names."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from accel_track.trackers.names import hashed_name
from accel_track.values.plain import is_number

_NAME_LENGTH = 512

LARGEST = 10 * 1024**2
"""Bytes of the largest object that SwanLab keeps."""

MOST = 108
"""The number of objects of one name and step that SwanLab keeps."""

LATEST = 2**48
"""The largest step that SwanLab keeps a value of."""

_COLUMNS = {"Table": "ECharts", "Video": "Image"}
"""The kinds as which SwanLab stores objects of classes with other names."""


class Series:
    """A series of SwanLab's: values of one name and kind, the first one of each step.

    Args:
        kind: Of the first value, as `kind_of` says.
    """

    def __init__(self, kind: str | None) -> None:
        """Know of no step."""
        from pyroaring import BitMap64  # a requirement of SwanLab's, which keeps the steps that it has seen in one too

        self._kind = kind
        self._steps = BitMap64()
        self._newest: tuple[int, Any] | None = None

    def refusal(self, value: Any, step: int | None) -> str | None:
        """Return why SwanLab will not keep a value, "" if it has the very value, or None if it will."""
        if (kind := kind_of(value)) != self._kind:
            return f"SwanLab has this name as {self._kind} already and takes no {kind}"
        if step is None or step not in self._steps:
            return None
        # Lightning logs the same epoch with every group of metrics.
        same = (step, value) == self._newest
        return "" if same else f"SwanLab keeps the first value of a step and has one for step {step}"

    def take(self, value: Any, step: int) -> None:
        """Note that SwanLab has a value of a step."""
        self._steps.add(step)
        if self._kind == "number":
            self._newest = step, value


class AllSeries:
    """The series of one run in SwanLab."""

    def __init__(self) -> None:
        """Know of no series."""
        self._known: dict[str, Series] = {}

    def kept(self, values: Mapping[str, Any], step: int | None) -> tuple[dict[str, Any], list[tuple[str, Any, str]]]:
        """Return the values of a call that SwanLab will keep, by its names, and name, value and reason of the others.

        SwanLab refuses these later, without telling.
        """
        kept: dict[str, Any] = {}
        refused: list[tuple[str, Any, str]] = []
        for key, given in values.items():
            value, problems = (given, []) if type(given) is float else fitting(given)
            refused += [(key, given, why) for why in problems]
            if value is None:
                continue
            if step is not None and step > LATEST:
                refused.append((key, value, f"SwanLab takes no step beyond {LATEST:,}"))
                continue
            name = stored_name(key)
            why = series.refusal(value, step) if (series := self._known.get(name)) is not None else None
            if why is None:
                kept[name] = value
            elif why:
                refused.append((key, value, why))
        return kept, refused

    def note(self, kept: Mapping[str, Any], step: int | None) -> None:
        """Note that SwanLab has values."""
        for name, value in kept.items():
            if (series := self._known.get(name)) is None:
                series = self._known[name] = Series(kind_of(value))
            if step is not None:
                series.take(value, step)


@functools.lru_cache(10_000)
def stored_name(name: str) -> str:
    """Return the name as SwanLab takes it: it cuts others itself, so that two become one, or leaves them out."""
    safe = re.sub(r"[\x00-\x1f\x7f]", "_", name).strip(" ./")
    safe = re.sub(r"^(__swanlab__\.)+", "", safe)  # the prefix of SwanLab's own metrics
    return name if safe == name and 0 < len(name) <= _NAME_LENGTH else hashed_name(safe, name, _NAME_LENGTH)


def fitting(value: Any) -> tuple[Any, list[str]]:
    """Return the part of a value that SwanLab's thread will keep, None for nothing, and the reasons for the rest."""
    if isinstance(value, (float, int, str)):
        return value, []
    if kind_of(value) is None:
        return None, ["SwanLab takes no list of objects of several classes"]
    items = value if isinstance(value, list) else [value]
    good = [one for one in items if size_of(one) <= LARGEST]
    problems = ["it is larger than the 10 MiB that SwanLab keeps"] * (len(items) - len(good))
    problems += [f"SwanLab keeps {MOST} objects of one name and step"] * (len(good) - MOST)
    return (good[:MOST] or None) if isinstance(value, list) else (value if good else None), problems


def size_of(value: Any) -> int:
    """Return the size of the file of one of SwanLab's objects, in bytes; 0 if it is unknown."""
    if (buffer := getattr(value, "buffer", None)) is not None:
        return int(buffer.getbuffer().nbytes)
    text = getattr(value, "content", getattr(value, "json_content", ""))
    return len(text.encode(errors="replace")) if isinstance(text, str) else 0


def kind_of(value: Any) -> str | None:
    """Return the kind as which SwanLab stores a value, or None if it would refuse the value."""
    if type(value) is float or is_number(value):
        return "number"
    if isinstance(value, str):
        return "Text"
    if isinstance(value, list):
        kinds = {kind_of(item) if not isinstance(item, (int, float, str)) else None for item in value}
        alike = kinds == {"ECharts"} or len(set(map(type, value))) == 1
        return kinds.pop() if alike and len(kinds) == 1 else None
    for cls in type(value).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in ("swanlab", "pyecharts"):
            return _COLUMNS.get(cls.__name__, "ECharts" if package == "pyecharts" else type(value).__name__)
    return None
