"""Waits for a condition, with a deadline: a test sleeps for nothing else."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 90.0, every: float = 0.01) -> T:
    """Call a condition again and again until it holds, and return what it returned then.

    Args:
        condition: What is called.
        seconds: How long it may take; a test fails after that.
        every: Seconds between two calls.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(every)
    return found
