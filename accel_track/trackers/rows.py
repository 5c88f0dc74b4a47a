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
        record: The record of the call.
        values: Numbers, texts, and the SDK's own objects by name, with the names of nested values joined with "/". Do
            not change this dictionary, which may be the record's own.
        plain: Whether all `values` are numbers or texts.
        media: The call's media by name, each a single medium or a list of media of one kind.
        kwargs: Further keyword arguments of the SDK's call.
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
        """Keep media in the row; a medium that the program gave to the tracker itself is stored only now."""
        try:
            media[name] = tracker.whole(found)
        except (TypeError, ValueError, OSError) as error:
            self._refused.append((name, found, str(error)))

    def refuse(self, name: str, value: Any, why: str) -> None:
        """Note a value that the backend does not take; it is counted as dropped once the call needs no repetition.

        Args:
            name: Name of the value.
            value: The value.
            why: The reason for the warning; "" stands for the value's type.
        """
        self._refused.append((name, value, why))

    @property
    def step(self) -> int | None:
        """The training step, or None."""
        return self.record.step

    @property
    def media_kwargs(self) -> Mapping[str, Any]:
        """Further keyword arguments of the SDK's calls for media, in a call that has media only."""
        return {} if self.values else self.kwargs

    @property
    def time(self) -> float:
        """The time of the call, in seconds since 1970-01-01 UTC."""
        return self.record.time

    def settle(self, tracker: SDKTracker) -> None:
        """Count the values that the backend does not take as dropped, now that the call needs no repetition.

        Args:
            tracker: The tracker that counts them.
        """
        for one in self._refused:
            tracker.drop(*one)
        self._refused = []
