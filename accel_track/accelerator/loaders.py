"""Data loaders made anew from others: with another batch size, or without their first batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from accel_track.accelerator.prepared import PreparedDataLoader

_KEPT = (
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
    "pin_memory_device",
)
"""Arguments of a data loader that do not decide which samples are in which batch."""


class _Later:
    """A batch sampler, or an iterable of batches, without its first batches."""

    def __init__(self, batches: Any, skipped: int) -> None:
        self.batches, self.skipped = batches, skipped

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.skipped, None)

    def __len__(self) -> int:
        return max(0, len(self.batches) - self.skipped)

    def __getattr__(self, name: str) -> Any:
        """Return the other's attribute, such as the `sampler` whose epoch is set."""
        if name in ("batches", "skipped"):
            raise AttributeError(name)
        return getattr(self.batches, name)


def skip_first_batches(dataloader: Any, num_batches: int = 0) -> Any:
    """Return a data loader without the first batches of another one, for the rest of an epoch.

    The samples of those batches are not read, unless the data set can only be iterated over.

    Args:
        dataloader: The data loader, prepared or not, which stays as it is.
        num_batches: Number of this process's batches to leave out.

    Raises:
        TypeError: `dataloader` is not a data loader, or `num_batches` is not an integer.
        ValueError: `num_batches` is negative.
    """
    if not isinstance(num_batches, int) or isinstance(num_batches, bool):
        message = f"`num_batches` must be an integer; got {type(num_batches).__name__}."
        raise TypeError(message)
    if num_batches < 0:
        message = f"`num_batches` must be 0 or more; got {num_batches}."
        raise ValueError(message)
    if isinstance(dataloader, PreparedDataLoader):
        return dataloader.like(lambda loader: _later(loader, num_batches))
    if not isinstance(dataloader, (DataLoader, _Later)):
        message = f"skip_first_batches takes a data loader; got {type(dataloader).__name__}."
        raise TypeError(message)
    return _later(dataloader, num_batches)


def _later(loader: Any, num_batches: int) -> Any:
    if isinstance(loader, _Later):
        return _Later(loader, num_batches)
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return _Later(loader, num_batches)
    return anew(loader, batch_sampler=_Later(loader.batch_sampler, num_batches))


def divided(loader: DataLoader[Any], processes: int) -> DataLoader[Any]:
    """Return a data loader whose batches are one process's part of those of another one.

    Raises:
        ValueError: The batch size is no multiple of the number of processes, or not known.
    """
    size = loader.batch_size
    if size is None or size % processes:
        message = f"`split_batches` needs a batch size that is a multiple of the {processes} processes; got {size}."
        raise ValueError(message)
    sampler = None if isinstance(loader.dataset, IterableDataset) else loader.sampler
    return anew(loader, batch_size=size // processes, sampler=sampler, drop_last=loader.drop_last)


def anew(loader: DataLoader[Any], **batches: Any) -> DataLoader[Any]:
    """Return a data loader of the same data set and arguments, with others about batches."""
    kept = {name: getattr(loader, name) for name in _KEPT if hasattr(loader, name)}
    if not kept.get("num_workers"):
        kept.pop("prefetch_factor", None)
    if not kept.get("pin_memory_device"):
        kept.pop("pin_memory_device", None)
    return DataLoader(loader.dataset, **kept, **batches)
