"""A GPU's tensors on their way: the thread that trains starts the copy and never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from accel_track.values.capture import Captured, OnGpu
from accel_track.values.gpu import Copy, CudaCopy
from accel_track.values.structures import reason


class _Call(NamedTuple):
    moment: float
    captured: Captured
    step: int | None
    copies: list[tuple[list[OnGpu], Copy]]


class Arriving:
    """Calls of `log` with tensors of a GPU, which are in the journal as soon as these have been copied.

    Args:
        append: Appends values, their step, more arguments, when they were logged, what could not be read, and for which
            tracker they are.
        copy: Starts copying tensors of one device and type.
    """

    def __init__(
        self,
        append: Callable[
            [Mapping[str, Any], int | None, Mapping[str, Mapping[str, Any]], float, Mapping[str, str], str], object
        ],
        copy: Callable[[Sequence[Any]], Copy] = CudaCopy,
    ) -> None:
        """Begin without any."""
        self._append, self._copy = append, copy
        self._calls: deque[_Call] = deque()
        self._lock = threading.RLock()

    def take(self, captured: Captured, step: int | None) -> bool:
        """Take a call over if it has tensors of a GPU; say whether it has."""
        if not captured.on_gpu:
            return False
        alike: dict[Any, list[OnGpu]] = {}
        for one in captured.on_gpu:
            alike.setdefault((one.tensor.device, one.tensor.dtype), []).append(one)
        copies = []
        for group in alike.values():
            try:
                copies.append((group, self._copy([one.tensor for one in group])))
            except Exception as error:  # noqa: BLE001, PERF203 - a sparse tensor, no memory for it
                _leave_out(group, error, captured.unread)
        self._calls.append(_Call(time.time(), captured, step, copies))
        self.arrive(wait=False)
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether a call is not appended yet."""
        return bool(self._calls)

    def arrive(self, *, wait: bool) -> None:
        """Append the calls whose tensors are here, in their order; with `wait`, all of them."""
        if not self._calls:
            return
        with self._lock:
            while self._calls and (wait or all(_over(copy) for _, copy in self._calls[0].copies)):
                moment, call, step, copies = self._calls.popleft()
                for group, copy in copies:
                    try:
                        for one, value in zip(group, copy.values(), strict=True):
                            one.place[one.key] = value
                    except Exception as error:  # noqa: BLE001, PERF203 - the GPU's, of what was queued before
                        _leave_out(group, error, call.unread)
                self._append(call.values, step, call.kwargs, moment, call.unread, call.only)


def _over(copy: Copy) -> bool:
    """Return whether a copy is complete, or will never be."""
    try:
        return copy.done()
    except Exception:  # noqa: BLE001 - the GPU's, of what was queued before
        return True


def _leave_out(group: Sequence[OnGpu], error: Exception, unread: dict[str, str]) -> None:
    for one in group:
        unread[one.name] = reason(error)
        if type(one.place) is dict:  # in a list, None stays
            one.place.pop(one.key, None)
