"""Rows: calls of `log`, with the values that a backend takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accel_track.records import Metrics
from accel_track.trackers.media import media_of
from accel_track.values.plain import is_number, leaves

if TYPE_CHECKING:
    from accel_track.media import Medium
    from accel_track.trackers.sdk import SDKTracker

_FLOAT = frozenset((float,))


class Row:
    """One call of `log`, with the values that the backend takes.

    Attributes:
        record: The call.
        values: Numbers, texts, and the SDK's own objects by name; names of nested values are joined with "/". Only to
            be read: it may be the record's own.
        plain: Whether all of them are numbers or texts.
        media: The media among the call's values by name, each one or a list of several of one kind.
        kwargs: More keyword arguments for the SDK's call.
    """

    __slots__ = ("_refused", "kwargs", "media", "plain", "record", "values")

    def __init__(self, tracker: SDKTracker, record: Metrics) -> None:
        """Sort the values of a call."""
        self.record = record
        self.kwargs: Mapping[str, Any] = record.kwargs.get(tracker.name, {}) if record.kwargs else {}
        self.values: Mapping[str, Any] = record.values
        self.plain = True
        self.media: Mapping[str, Medium | list[Medium]] = {}
        self._refused: list[tuple[str, Any, str]] = []
        any_float = tracker.takes_nan and tracker.takes_inf
        numbers = record.values.values()
        if not _FLOAT.issuperset(map(type, numbers)) or not (any_float or math.isfinite(sum(numbers))):
            self._sort(tracker, any_float=any_float)

    def _sort(self, tracker: SDKTracker, *, any_float: bool) -> None:
        values: dict[str, Any] = {}
        media: dict[str, Medium | list[Medium]] = {}
        for name, value in leaves(self.record.values):
            if any_float and type(value) is float:
                values[name] = value
            elif (found := media_of(value) or tracker.histogram_of(name, value)) is not None:
                self._keep(tracker, name, found, media)
            elif (why := tracker.refusal(value)) is not None:
                self._refused.append((name, value, why))
            else:
                values[name] = int(value) if type(value) is bool else value
                self.plain = self.plain and (isinstance(value, str) or is_number(value))
        self.values, self.media = values, media

    def _keep(self, tracker: SDKTracker, name: str, found: Any, media: dict[str, Medium | list[Medium]]) -> None:
        """Put media among a row's; one that the program gave to the tracker itself is stored only now."""
        try:
            media[name] = tracker.whole(found)
        except (TypeError, ValueError, OSError) as error:
            self._refused.append((name, found, str(error)))

    def refuse(self, name: str, value: Any, why: str) -> None:
        """Note that the backend does not take a value; it is counted once the call is not repeated any more."""
        self._refused.append((name, value, why))

    @property
    def step(self) -> int | None:
        """Training step, or None."""
        return self.record.step

    @property
    def media_kwargs(self) -> Mapping[str, Any]:
        """More keyword arguments for the SDK's calls for media: those of a call that has nothing else."""
        return {} if self.values else self.kwargs

    @property
    def time(self) -> float:
        """When the call was made, in seconds since 1970-01-01 UTC."""
        return self.record.time

    def settle(self, tracker: SDKTracker) -> None:
        """Count what was refused, now that the call will not be repeated."""
        for one in self._refused:
            tracker.drop(*one)
        self._refused = []
