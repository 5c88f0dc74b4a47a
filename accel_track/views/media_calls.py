"""The calls that logged the media of one name: all of a few, evenly spaced ones of many."""

from __future__ import annotations

from typing import Any, NamedTuple

_FEW = 64
"""As many as are kept at least, where there are that many."""


class MediaCall(NamedTuple):
    """One call.

    Attributes:
        value: What was logged: a stored medium, or several.
        step: Its step, or None.
        time: Its time, in seconds since 1970-01-01 UTC.
        rank: The rank that logged it.
    """

    value: Any
    step: int | None
    time: float
    rank: int


class MediaCalls:
    """The chosen calls in their order, the first and the last among them, and the number of all.

    Of more than 128, every second is kept, of more than 256 every fourth, and so on: memory does not grow with them.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self._apart = 1
        self._kept: list[MediaCall] = []
        self._last: MediaCall | None = None

    def add(self, call: MediaCall) -> None:
        """Take the next call."""
        if self.count % self._apart == 0:
            if len(self._kept) == 2 * _FEW:
                self._kept, self._apart = self._kept[::2], 2 * self._apart
            self._kept.append(call)
        self.count, self._last = self.count + 1, call

    def chosen(self, most: int) -> list[MediaCall]:
        """Return so many calls at most, evenly spaced, with the first and the last; of one, the last."""
        kept = self._kept if self._last is None or self._kept[-1] is self._last else [*self._kept, self._last]
        if len(kept) <= most:
            return list(kept)
        return [kept[round(place * (len(kept) - 1) / (most - 1))] for place in range(most)] if most > 1 else kept[-1:]
