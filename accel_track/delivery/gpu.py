"""A GPU's tensors on their way: the thread that trains starts the copy and never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from accel_track.values.arrays import array_of
from accel_track.values.capture import Captured, OnGpu
from accel_track.values.structures import reason

if TYPE_CHECKING:
    import torch


class Copy(Protocol):
    """A copy to the host that has been started."""

    def done(self) -> bool:
        """Whether the copy is complete."""

    def values(self) -> list[Any]:
        """Wait for the copy's end, and return a number for each tensor of one element, an array for each other one."""


class CudaCopy:  # pragma: no cover - takes a GPU
    """One copy of several tensors of one GPU and one type, behind everything that is queued on the current stream.

    What is done to the tensors afterwards on that stream does not change the copy. The host's memory is pinned, so the
    copy is asynchronous ([torch's notes](https://docs.pytorch.org/docs/stable/notes/cuda.html#asynchronous-execution)).

    Args:
        tensors: The tensors.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        """Queue the copy."""
        import torch

        self._shapes = [tensor.shape for tensor in tensors]
        with torch.no_grad(), torch.cuda.device(tensors[0].device):
            parts = [tensor.detach().reshape(-1) for tensor in tensors]
            flat = parts[0] if len(parts) == 1 else torch.cat(parts)
            self._host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
            self._host.copy_(flat, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def done(self) -> bool:
        """Whether the copy is complete."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def values(self) -> list[Any]:
        """Wait for the copy's end, and return a number for each tensor of one element, an array for each other one."""
        self._event.synchronize()
        sizes = [shape.numel() for shape in self._shapes]
        if max(sizes) == 1 == min(sizes):
            return list(self._host.tolist())
        parts = zip(self._host.split(sizes), self._shapes, strict=True)  # type: ignore[no-untyped-call]
        return [part.item() if len(part) == 1 else array_of(part.reshape(shape)) for part, shape in parts]


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
    """Whether a copy is complete, or will never be."""
    try:
        return copy.done()
    except Exception:  # noqa: BLE001 - the GPU's, of what was queued before
        return True


def _leave_out(group: Sequence[OnGpu], error: Exception, unread: dict[str, str]) -> None:
    for one in group:
        unread[one.name] = reason(error)
        if type(one.place) is dict:  # in a list, None stays
            one.place.pop(one.key, None)
