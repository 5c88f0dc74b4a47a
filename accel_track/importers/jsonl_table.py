"""The source of tables in JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from accel_track.errors import NotReadableError
from accel_track.importers.lines import Lines
from accel_track.importers.tables import TableSource

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_LOOKS = 100
"""How many lines say which columns there are."""


class JsonlSource(TableSource):
    """A file with a JSON object in each line."""

    name = "jsonl"
    what = "a table in JSON lines, with a field for the step (`step`)"

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether the first line of a file is a JSON object."""
        lost: Counter[str] = Counter()
        try:
            return Path(place).is_file() and next(cls(place).rows(0, lost), None) is not None and not lost
        except (OSError, ValueError):
            return False

    def columns(self) -> list[str]:
        """Return the names in the first objects."""
        found = [row for _, row in islice(self.rows(0, Counter()), _LOOKS)]
        if not found:
            message = f"{self.name}: there are no JSON objects in the lines of {self.place}."
            raise NotReadableError(message)
        return list(dict.fromkeys(name for row in found for name in row))

    def rows(self, place: int, lost: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the objects; the place is a number of bytes."""
        with Lines(self.place, lost, place) as lines:
            at = lines.at
            for line in lines.lines():
                row = _object(line)
                if row is not None:
                    yield at, row
                elif line.strip():
                    lost["lines that are no JSON objects"] += 1
                at = lines.at

    def values(self, row: dict[str, Any], lost: Counter[str]) -> dict[str, Any]:
        """Return what is not null; the texts "NaN", "Infinity" and "-Infinity" are numbers."""
        return {
            name: _NOT_FINITE.get(cell, cell) if type(cell) is str else cell
            for name, cell in row.items()
            if cell is not None
        }


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; None where there is none."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            found = json.loads(line)  # takes NaN, as Python's own writer has it
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None
