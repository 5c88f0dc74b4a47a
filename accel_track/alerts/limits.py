"""The limit on how many alerts there are in an hour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Limit:
    """A limit: it lets so many through in a span of time, and counts the others.

    Args:
        most: How many.
        span: In how many seconds.
        clock: Returns monotonic seconds.
    """

    def __init__(self, most: int, span: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._times: deque[float] = deque(maxlen=most)
        self._most, self._span, self._clock = most, span, clock
        self.held = 0
        """The number of alerts that were held back since the last one that was not."""

    def passes(self) -> bool:
        """Return whether one more may pass; if not, it is counted."""
        now = self._clock()
        if len(self._times) == self._most and now - self._times[0] < self._span:
            self.held += 1
            return False
        self._times.append(now)
        return True

    def release(self) -> int:
        """Return the number of held-back alerts, and forget them."""
        held, self.held = self.held, 0
        return held
