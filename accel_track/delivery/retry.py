"""Repetition: errors that pass by themselves, and the pauses before the next try."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

LONGEST_WAIT = 30.0
"""The longest wait between two tries, in seconds."""


class DeadlineReachedError(Exception):
    """The time for a call and its repetitions is over; the call's own error is the cause."""


class Deadline:
    """A point of time that ends a wait; setting the point, which may happen later, ends the wait too.

    Args:
        clock: Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without one."""
        self._clock = clock
        self._at = float("inf")
        self._changed = Event()

    def set(self, seconds: float) -> None:
        """Set the deadline to so many seconds from now."""
        self._at = self._clock() + seconds
        self._changed.set()

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite while none is set, 0 or less once the deadline has passed."""
        return self._at - self._clock()

    def wake(self) -> None:
        """End the wait that is going on."""
        self._changed.set()

    def wait(self, seconds: float) -> None:
        """Wait for a time, or until the deadline, or until somebody sets or wakes it."""
        self._changed.wait(max(0.0, min(seconds, self.left)))
        self._changed.clear()


def retrying(
    *, transient: Callable[[BaseException], bool], deadline: Deadline, before_retry: Callable[[BaseException], None]
) -> Callable[..., Any]:
    """Return a caller that repeats a function, with growing, random pauses, after each error that is transient.

    It raises what the function raises, and `DeadlineReachedError` where the deadline passed before it succeeded.
    """

    def note(state: RetryCallState) -> None:
        if state.outcome is not None and (error := state.outcome.exception()) is not None:
            before_retry(error)

    def give_up(state: RetryCallState) -> Any:
        error = None if state.outcome is None else state.outcome.exception()
        raise DeadlineReachedError from error

    policy = Retrying(
        sleep=deadline.wait,
        stop=lambda _: deadline.left <= 0,
        wait=wait_random_exponential(multiplier=0.25, max=LONGEST_WAIT, min=0.05),
        retry=retry_if_exception(transient),
        before_sleep=note,
        retry_error_callback=give_up,
    )

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        failed: list[Exception] = []

        def once(*arguments: Any) -> Any:
            if failed:
                raise failed.pop()
            return function(*arguments)

        try:  # without what a repetition needs, which takes longer than most batches
            return function(*arguments)
        except Exception as error:
            if not transient(error):
                raise
            failed.append(error)
        return policy(once, *arguments)

    return call
