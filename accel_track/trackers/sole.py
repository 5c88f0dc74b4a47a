"""The place of an SDK that has one run a process, and the base of the trackers that share it."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from accel_track.errors import MadeWayError, warn
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker

QUIET = 1.0
"""Seconds without a call after which a run whose values are flushed counts as left; workers look twice as often."""

PATIENCE = 10.0
"""Seconds that the next run waits for that."""


class Sole:
    """The place of the one run that an SDK has in a process.

    A run that nobody has finished when the next one starts is closed for it, once its worker is through with it.

    Args:
        clock: Returns monotonic seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Begin with a free place."""
        self._clock, self._sleep = clock, sleep
        self._lock = threading.RLock()
        self._holder: weakref.ref[GeneralTracker] | None = None
        self._past: weakref.WeakSet[GeneralTracker] = weakref.WeakSet()
        self.ours: weakref.WeakSet[Any] = weakref.WeakSet()
        """The SDK's runs that trackers have made, and not the program itself."""
        self._used, self._stored = 0.0, True

    def take(self, tracker: GeneralTracker) -> None:
        """Give the place to a tracker whose run is about to begin; finish the run of ours that has it.

        That run's records that are still to come stay in its journal, for `accel-track sync`.
        """
        end = self._clock() + PATIENCE
        while self._clock() < end and not self._left(tracker):
            self._sleep(0.1)
        with self._lock:
            earlier = self.holder
            if earlier is not None and earlier is not tracker:
                try:
                    earlier.finish()
                except Exception as error:  # noqa: BLE001 - the earlier run's trouble is not this one's
                    warn(f"{tracker.name}: the run before could not be finished ({type(error).__name__}: {error}).")
                self._past.add(earlier)
            self._past.discard(tracker)
            self._holder = weakref.ref(tracker)
            self._used, self._stored = self._clock(), True

    @property
    def holder(self) -> GeneralTracker | None:
        """The tracker whose run has the place."""
        return None if self._holder is None else self._holder()

    def _left(self, tracker: GeneralTracker) -> bool:
        with self._lock:
            quiet = self._stored and self._clock() - self._used >= QUIET
            return self.holder in (None, tracker) or quiet

    @contextlib.contextmanager
    def using(self, tracker: GeneralTracker, *, stores: bool = False) -> Iterator[None]:
        """Use a tracker's run; nobody closes it meanwhile.

        Args:
            tracker: The tracker.
            stores: Whether all that was logged is stored afterwards.

        Raises:
            MadeWayError: The run was closed for the next one.
        """
        with self._lock:
            self.check(tracker)
            yield
            self._used, self._stored = self._clock(), stores

    def check(self, tracker: GeneralTracker) -> None:
        """Raise an error if a tracker's run was closed for the next one.

        Raises:
            MadeWayError: It was.
        """
        if tracker in self._past:
            message = (
                f"{tracker.name}: the SDK has one run a process, and this one was closed for the next; what is "
                "logged to it stays in its journal, for `accel-track sync`. Finish a run before the next begins."
            )
            raise MadeWayError(message)

    def leave(self, tracker: GeneralTracker) -> None:
        """Free the place of a tracker that is finished."""
        with self._lock:
            if self.holder is tracker:
                self._holder = None


class SoleTracker(SDKTracker):
    """A tracker around an SDK that has one run a process: its run makes way for the next, and says so from then on."""

    place: ClassVar[Sole]
    """The place that all trackers of the backend share."""

    def clear(self, current: Callable[[], Any], end: Callable[[Any], object]) -> Any:
        """Take the place, and return the program's own run, which stays there, or None.

        Args:
            current: Returns the SDK's run of the process, or None.
            end: Ends such a run, that of a tracker that is gone.
        """
        native = current()
        if native is not None and native not in self.place.ours:
            return native
        self.place.take(self)
        if (left := current()) is not None:
            end(left)
        return None

    def write(self, rows: Sequence[Row]) -> None:
        """Store calls one by one; the run makes way for no other one meanwhile."""
        with self.place.using(self):
            super().write(rows)

    def finish(self) -> None:
        """Close the run and free its place."""
        try:
            super().finish()
        finally:
            self.place.leave(self)

    @property
    def tracker(self) -> Any:
        """The SDK's own object, as that of any tracker.

        Raises:
            MadeWayError: The run was closed for the next one.
        """
        self.place.check(self)
        return super().tracker
