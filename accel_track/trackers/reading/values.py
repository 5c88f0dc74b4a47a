"""The values that backends store as something else: numbers as texts, times as texts, content as JSON in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from accel_track.files import read_file
from accel_track.trackers.reading.lost import LostError

LARGEST = 2**28
"""The most bytes that are read of a file whose content is taken into memory at once."""

NUMBERS: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The numbers that JSON does not have, by the words that JavaScript has for them."""

_LITERALS = {"True": True, "False": False, "None": None}
_LONGEST_NUMBER = 400


def with_numbers(value: Any, words: Mapping[str, float] = NUMBERS) -> Any:
    """Return a JSON value with numbers in place of the words that stand for those that JSON does not have."""
    if type(value) is str:
        return words.get(value, value)
    if type(value) is dict:
        return {name: with_numbers(item, words) for name, item in value.items()}
    return [with_numbers(item, words) for item in value] if type(value) is list else value


def literal_of(text: Any) -> Any:
    """Return the number, boolean or None of which `str` makes exactly this text; other values as they are."""
    if not isinstance(text, str):
        return text
    if text in _LITERALS:
        return _LITERALS[text]
    for kind in (int, float) if len(text) < _LONGEST_NUMBER else ():
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


def step_of(value: Any) -> int | None:
    """Return a value as a step: an integer from 0 on; None for any other."""
    return value if type(value) is int and value >= 0 else None


def moment_of(text: Any, otherwise: float | None) -> float | None:
    """Return a text in ISO 8601 as a time in seconds since 1970-01-01 UTC; `otherwise` for what is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return otherwise


def json_file(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        LostError: It holds no JSON, has more than 256 MiB, or cannot be read.
    """
    try:
        return json.loads(read_file(path, LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        message = "a file that should hold JSON holds none"
        raise LostError(message) from error
