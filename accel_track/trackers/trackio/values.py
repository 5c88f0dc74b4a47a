"""The names and values that Trackio takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accel_track.texts import storable_text

# orjson, which Trackio writes rows with, takes integers of 64 bits.
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1
_RESERVED = frozenset(("project", "run", "timestamp", "step", "time", "metrics"))
_PACKAGES = frozenset(("trackio", "matplotlib", "plotly"))


def too_long(value: Any) -> bool:
    """Whether a value is an integer that Trackio cannot write."""
    return isinstance(value, int) and not _SMALLEST <= value <= _GREATEST


def is_medium(value: Any) -> bool:
    """Whether a value is one of Trackio's own objects or a figure."""
    return not _PACKAGES.isdisjoint(cls.__module__.partition(".")[0] for cls in type(value).__mro__)


def unicode_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with names that JSON can hold; Trackio would leave a value out silently, or the row."""
    return values if "".join(values).isascii() else {storable_text(name): value for name, value in values.items()}


def stored_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row by the names under which `Run.log` stores it, which keeps some for Trackio itself."""
    if _RESERVED.isdisjoint(values) and not any(name.startswith("__") for name in values):
        return values
    return {f"__{name}" if name in _RESERVED or name.startswith("__") else name: values[name] for name in values}
