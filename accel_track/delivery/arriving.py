"""Numbers on their way from a GPU: the thread that trains starts the copy and never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch


class Copy(Protocol):
    """A copy to the host that has been started."""

    def done(self) -> bool:
        """Whether it is complete."""

    def numbers(self) -> list[Any]:
        """Wait for its end, and return the numbers."""


class CudaCopy:
    """One copy of several scalars of one GPU and one type, behind everything that is queued on the current stream.

    What is done to the tensors afterwards on that stream does not change the copy. The host's memory is pinned, so the
    copy is asynchronous ([torch's notes](https://docs.pytorch.org/docs/stable/notes/cuda.html#asynchronous-execution)).

    Args:
        tensors: Tensors of one element.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        """Queue the copy."""
        import torch

        with torch.no_grad(), torch.cuda.device(tensors[0].device):
            stacked = torch.stack([tensor.detach().reshape(()) for tensor in tensors])
            self._host = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
            self._host.copy_(stacked, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def done(self) -> bool:
        """Whether it is complete."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def numbers(self) -> list[Any]:
        """Wait for its end, and return the numbers."""
        self._event.synchronize()
        return list(self._host.tolist())


class _Call(NamedTuple):
    moment: float
    values: dict[str, Any]
    step: int | None
    kwargs: Mapping[str, Mapping[str, Any]]
    copies: list[tuple[list[str], Copy]]


class Arriving:
    """Calls of `log` with scalars of a GPU, which are in the journal as soon as these have been copied.

    Nested values are not among them: those are read at once, for which the GPU is waited for.

    Args:
        append: Appends values, their step, more arguments, and when they were logged.
        on_gpu: Whether a value is a scalar of a GPU.
        copy: Starts copying scalars of one device and type.
    """

    def __init__(
        self,
        append: Callable[[Mapping[str, Any], int | None, Mapping[str, Mapping[str, Any]], float], object],
        on_gpu: Callable[[Any], bool] = lambda value: bool(getattr(value, "is_cuda", False)) and value.numel() == 1,
        copy: Callable[[Sequence[Any]], Copy] = CudaCopy,
    ) -> None:
        """Begin without any."""
        self._append, self._on_gpu, self._copy = append, on_gpu, copy
        self._calls: deque[_Call] = deque()
        self._lock = threading.RLock()

    def take(self, values: Mapping[str, Any], step: int | None, kwargs: Mapping[str, Mapping[str, Any]]) -> bool:
        """Take a call over if it has scalars of a GPU; say whether it has."""
        alike: dict[Any, list[str]] = {}
        for name, value in values.items():
            if self._on_gpu(value):
                alike.setdefault((value.device, value.dtype), []).append(name)
        if not alike:
            return False
        copies = [(names, self._copy([values[name] for name in names])) for names in alike.values()]
        self._calls.append(_Call(time.time(), dict(values), step, kwargs, copies))
        self.arrive(wait=False)
        return True

    def arrive(self, *, wait: bool) -> None:
        """Append the calls whose numbers are here, in their order; with `wait`, all of them."""
        if not self._calls:
            return
        with self._lock:
            while self._calls and (wait or all(copy.done() for _, copy in self._calls[0].copies)):
                moment, values, step, kwargs, copies = self._calls.popleft()
                for names, copy in copies:
                    values.update(zip(names, copy.numbers(), strict=True))
                self._append(values, step, kwargs, moment)
