"""Copies of a GPU's tensors to the host, which are started and not waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from accel_track.values.arrays import array_of

if TYPE_CHECKING:
    import torch


class Copy(Protocol):
    """A copy to the host that has been started."""

    def done(self) -> bool:
        """Return whether the copy is complete."""

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
        """Return whether the copy is complete."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def values(self) -> list[Any]:
        """Wait for the copy's end, and return a number for each tensor of one element, an array for each other one."""
        self._event.synchronize()
        sizes = [shape.numel() for shape in self._shapes]
        if max(sizes) == 1 == min(sizes):
            return list(self._host.tolist())
        parts = zip(self._host.split(sizes), self._shapes, strict=True)  # type: ignore[no-untyped-call]
        return [part.item() if len(part) == 1 else array_of(part.reshape(shape)) for part, shape in parts]
