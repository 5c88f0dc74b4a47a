"""An outage: a time in which the disk takes no records."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_PAUSE = 30.0
"""Seconds between two tries to write again, at most."""


class Outage:
    """Says whether it lasts, and when to try again: after a pause that grows.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """There is none yet."""
        self.lasts = False
        self._clock = clock
        self._pause = self._again_at = 0.0

    def begin(self) -> None:
        """Note that a write has failed."""
        self.lasts = True
        self._pause, self._again_at = 1.0, 0.0

    def due(self, *, at_once: bool = False) -> bool:
        """Whether it lasts, and it is time to try again, or that is to be at once; the next time is later."""
        now = self._clock()
        if not self.lasts or (now < self._again_at and not at_once):
            return False
        self._again_at, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return True

    def end(self) -> None:
        """Note that the disk takes records."""
        self.lasts = False
