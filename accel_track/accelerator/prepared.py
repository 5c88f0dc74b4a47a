"""Prepared objects: what `Accelerator.prepare` returns, Fabric's objects made aware of gradient accumulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.optim import Optimizer
from torch.utils.data import DistributedSampler


class Accumulation:
    """The position of a loop in its accumulation window and its data loaders.

    Args:
        steps: How many batches one optimizer step takes its gradients from.

    Attributes:
        sync: Whether the current batch ends a window, so that gradients are synchronised and the optimizer steps.
    """

    def __init__(self, steps: int) -> None:
        """Start at the beginning of a window."""
        self.steps = steps
        self.sync = True
        self.loaders: list[PreparedDataLoader] = []
        self._batches = 0

    def advance(self) -> None:
        """Begin the next batch; the last batch of a data loader always ends a window."""
        self._batches += 1
        last = bool(self.loaders) and self.loaders[-1].at_last_batch
        self.sync = last or self._batches % self.steps == 0
        if last:
            self._batches = 0


class PreparedDataLoader:
    """A Fabric data loader that knows when it yields its last batch.

    Args:
        loader: What `Fabric.setup_dataloaders` returned.
        accumulation: Where the loader notes that it is being read.

    Attributes:
        at_last_batch: Whether the batch yielded last is the loader's last.
    """

    def __init__(self, loader: Any, accumulation: Accumulation) -> None:
        """Wrap the loader."""
        self.loader = loader
        self.at_last_batch = False
        self._accumulation = accumulation

    @property
    def padding(self) -> int:
        """How many samples a distributed sampler repeats so that all ranks get equally many."""
        sampler = self.loader.sampler
        if not isinstance(sampler, DistributedSampler) or sampler.drop_last:
            return 0
        return sampler.total_size - len(sampler.dataset)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Return the number of batches on this rank."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches on the device, reading one ahead."""
        self.at_last_batch = False
        self._accumulation.loaders.append(self)
        try:
            batches = iter(self.loader)
            for batch in batches:
                current = batch
                break
            else:
                return
            for following in batches:
                yield current
                current = following
            self.at_last_batch = True
            yield current
        finally:
            self._accumulation.loaders.remove(self)

    def __getattr__(self, name: str) -> Any:
        """Return the data loader's attribute."""
        if name == "loader":  # not set yet, e.g. while being copied
            raise AttributeError(name)
        return getattr(self.loader, name)


class PreparedOptimizer(Optimizer):
    """A Fabric optimizer whose `step` and `zero_grad` wait for the end of an accumulation window.

    Args:
        optimizer: What `Fabric.setup_optimizers` returned.
        accumulation: Tells whether a window ends.
    """

    def __init__(self, optimizer: Any, accumulation: Accumulation) -> None:
        """Wrap the optimizer; `Optimizer.__init__` is left out, since everything is the wrapped one's."""
        self.optimizer = optimizer
        self._accumulation = accumulation

    def __getattr__(self, name: str) -> Any:
        """Return the wrapped optimizer's attribute, e.g. `param_groups`."""
        if name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step where a window ends, else do nothing."""
        return self.optimizer.step(closure) if self._accumulation.sync else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset gradients where a window ends, else do nothing."""
        if self._accumulation.sync:
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the wrapped optimizer's state."""
        return self.optimizer.state_dict()  # type: ignore[no-any-return]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the wrapped optimizer's state."""
        self.optimizer.load_state_dict(state_dict)

    def __repr__(self) -> str:
        """Return the wrapped optimizer's representation."""
        return f"{type(self).__name__}({self.optimizer!r})"


class PreparedScheduler:
    """A learning-rate scheduler that steps with the optimizer.

    A schedule is written for one process: the total number of steps is counted over the whole data set. With several
    processes each reads its share only, so one `step` here steps the schedule once per process.

    Args:
        scheduler: The user's scheduler.
        accumulation: Tells whether a window ends.
        num_processes: World size.
    """

    def __init__(self, scheduler: Any, accumulation: Accumulation, num_processes: int) -> None:
        """Wrap the scheduler."""
        self.scheduler = scheduler
        self._accumulation = accumulation
        self._num_processes = num_processes

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Step where an accumulation window ends, else do nothing."""
        if self._accumulation.sync:
            for _ in range(self._num_processes):
                self.scheduler.step(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return the scheduler's attribute, e.g. `get_last_lr`."""
        if name == "scheduler":
            raise AttributeError(name)
        return getattr(self.scheduler, name)
