"""The fields of wandb's records: items with one name or several, and values in JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

_DEEPEST = 100
_UNREADABLE = "values whose form in the file is damaged"
_decoder = json.JSONDecoder()
decode: Callable[[str], Any] = _decoder.decode
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined] # not in typeshed


def tree_of(items: Any, lost: Counter[str]) -> dict[str, Any]:
    """Return items by name, those with several names nested."""
    tree: dict[str, Any] = {}
    for item in items:
        names = item.nested_key
        text = item.value_json
        try:
            if text:
                value, end = _scan(text, 0)
                if end != len(text):
                    lost[_UNREADABLE] += 1
                    continue
            else:
                value = _native(item)
            if len(names) > _DEEPEST:
                lost[_UNREADABLE] += 1
            elif not names:
                tree[item.key] = value
            elif len(names) == 1:
                tree[names[0]] = value
            else:
                place = tree
                for name in names[:-1]:
                    place = place.setdefault(name, {})
                place[names[-1]] = value
        except (StopIteration, ValueError, TypeError, AttributeError, RecursionError):
            lost[_UNREADABLE] += 1
    return tree


def _native(item: Any) -> Any:
    """Return a value of a row that is not stored as JSON, or as such in another field."""
    kind = item.WhichOneof("value") if "value" in item.DESCRIPTOR.oneofs_by_name else None
    if kind in (None, "none"):
        return None
    value = getattr(item, kind)
    return decode(value if isinstance(value, str) else value.decode()) if kind == "json" else value


def merge(whole: dict[str, Any], more: dict[str, Any]) -> None:
    """Add values to others, those of dictionaries to the dictionary of that name."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            merge(whole[name], value)
        else:
            whole[name] = value
