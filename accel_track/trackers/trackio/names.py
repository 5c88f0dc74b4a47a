"""The names of values, as Trackio takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accel_track.texts import storable_text
from accel_track.trackers.names import safe_name

_RESERVED = frozenset(("project", "run", "timestamp", "step", "time", "metrics"))


def run_name(name: Any) -> Any:
    """Return the name of a run, of which Trackio makes a folder for its media: another one if that led elsewhere."""
    leads = isinstance(name, str) and (name.startswith("/") or "\0" in name or ".." in name.split("/"))
    return safe_name(name, "\0", 200) if leads else name


def unicode_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with names that JSON can hold; Trackio would leave a value out silently, or the row."""
    return values if "".join(values).isascii() else {storable_text(name): value for name, value in values.items()}


def stored_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row by the names under which `Run.log` stores it, which keeps some for Trackio itself."""
    if _RESERVED.isdisjoint(values) and not any(name.startswith("__") for name in values):
        return values
    return {f"__{name}" if name in _RESERVED or name.startswith("__") else name: values[name] for name in values}
