"""Values and names in the form in which Trackio takes them."""

from __future__ import annotations

from typing import Any

from accel_track.texts import storable_text
from accel_track.values.plain import is_number, leaves

# orjson, which Trackio writes rows with, takes integers of 64 bits.
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1
_FLOAT = frozenset((float,))
_RESERVED = frozenset(("project", "run", "timestamp", "step", "time", "metrics"))


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row by the names under which `Run.log` stores it, which keeps some for Trackio itself."""
    if _RESERVED.isdisjoint(values) and not any(name.startswith("__") for name in values):
        return values
    return {f"__{key}" if key in _RESERVED or key.startswith("__") else key: value for key, value in values.items()}


def sorted_values(values: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """Return a row, and what Trackio would leave out of it, storing the row without that or an empty one."""
    if _FLOAT.issuperset(map(type, values.values())):
        return _texts(values), []
    row: dict[str, Any] = {}
    refused: list[tuple[str, Any]] = []
    for key, value in leaves(values):
        if _takes(value):
            row[key] = int(value) if isinstance(value, bool) else value
        else:
            refused.append((key, value))
    return _texts(row), refused


def _takes(value: Any) -> bool:
    """Whether Trackio stores a value as it is meant: it leaves out, with a warning at most, what it cannot write."""
    if isinstance(value, int):
        return _SMALLEST <= value <= _GREATEST
    if is_number(value) or isinstance(value, str):
        return True
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_takes(item) for item in value)
    packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    return not packages.isdisjoint(("trackio", "matplotlib", "plotly"))


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row with names and texts that JSON can hold; Trackio would leave a value out silently, or the row."""
    if "".join(values).isascii() and not any(type(value) is str and not value.isascii() for value in values.values()):
        return values
    return {
        storable_text(key): storable_text(value) if isinstance(value, str) else value for key, value in values.items()
    }
