"""The texts of a report: values as JSON has them, or as people read them, within bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from accel_track.texts import storable_text
from accel_track.values.plain import flat_config
from accel_track.values.structures import digits

LONGEST = 10_000
"""Characters of a text that a page shows."""


def short(text: str) -> str:
    """Return a text that a page shows: its beginning, if it is long."""
    text = storable_text(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} characters more)"


def flat(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and texts of nested values, in their order."""
    found = flat_config(values)
    return [(short(name), short(one if isinstance(one, str) else json.dumps(one))) for name, one in found.items()]


def number_or_text(value: Any) -> float | int | str:
    """Return a finite number that every reader of JSON has as it is, or a text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return " ".join(text for _, text in flat({"": value}))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if abs(value) < 2**53 else short(digits(value))
