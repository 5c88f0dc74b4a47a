"""Values and names in the form in which SwanLab takes them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from accel_track.trackers.names import hashed_name
from accel_track.values.plain import is_number, leaves

_FLOAT = frozenset((float,))
_NAME_LENGTH = 512


class Series:
    """What SwanLab has of one name: values of one kind, and the first one of each step.

    Args:
        kind: Of the first value, as `kind_of` says.
    """

    def __init__(self, kind: str) -> None:
        """Know of no step."""
        from pyroaring import BitMap64  # a requirement of SwanLab's, which keeps the steps that it has seen in one too

        self._kind = kind
        self._steps = BitMap64()
        self._newest: tuple[int, Any] | None = None

    def refusal(self, kind: str, value: Any, step: int | None) -> str | None:
        """Return why SwanLab will not keep a value, "" if it has the very value, or None if it will."""
        if kind != self._kind:
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


class Accepted:
    """What SwanLab will keep of the values of one call.

    Attributes:
        values: By names that SwanLab takes.
        refused: Name, value and reason of the others.
    """

    def __init__(self, known: dict[str, Series], values: Mapping[str, Any], step: int | None) -> None:
        """Look at the values, and note nothing yet.

        Args:
            known: What SwanLab has, by name.
            values: Names to values.
            step: Training step.
        """
        self.values: dict[str, Any] = {}
        self.refused: list[tuple[str, Any, str]] = []
        self._known, self._step = known, step
        self._kinds: dict[str, str] = {}
        for key, value in values.items() if _FLOAT.issuperset(map(type, values.values())) else leaves(values):
            kind = kind_of(value)
            if kind is None:
                self.refused.append((key, value, ""))
                continue
            name = stored_name(key)
            # SwanLab refuses it later, without telling.
            why = known[name].refusal(kind, value, step) if name in known else None
            if why is None:
                self.values[name] = value
                self._kinds[name] = kind
            elif why:
                self.refused.append((key, value, why))

    def note(self) -> None:
        """Note that SwanLab has these values."""
        for name, value in self.values.items():
            if (series := self._known.get(name)) is None:
                series = self._known[name] = Series(self._kinds[name])
            if self._step is not None:
                series.take(value, self._step)


@functools.lru_cache(10_000)
def stored_name(name: str) -> str:
    """Return the name as SwanLab takes it: it cuts others itself, so that two become one, or leaves them out."""
    safe = re.sub(r"[\x00-\x1f\x7f]", "_", name).strip(" ./")
    safe = re.sub(r"^(__swanlab__\.)+", "", safe)  # the prefix of SwanLab's own metrics
    return name if safe == name and 0 < len(name) <= _NAME_LENGTH else hashed_name(safe, name, _NAME_LENGTH)


def kind_of(value: Any) -> str | None:
    """Return what SwanLab stores a value as, or None if it would refuse it."""
    if type(value) is float or is_number(value):
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
