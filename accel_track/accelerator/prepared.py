"""Prepared objects: what `Accelerator.prepare` returns, Fabric's objects made aware of gradient accumulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.utils.data import DistributedSampler

if TYPE_CHECKING:
    from accel_track.accelerator.handlers import GradientAccumulationPlugin


class Accumulation:
    """The position of a loop in its accumulation window and its data loaders.

    Args:
        plugin: How gradients are accumulated; its `num_steps` is set.

    Attributes:
        sync: Whether the current batch ends a window, so that gradients are synchronised and the optimizer steps.
    """

    def __init__(self, plugin: GradientAccumulationPlugin) -> None:
        """Start at the beginning of a window."""
        self.plugin = plugin
        self.steps = 1 if plugin.num_steps is None else plugin.num_steps
        self.sync = True
        self.loaders: list[PreparedDataLoader] = []
        self._batches = 0

    def restart(self) -> None:
        """Begin a new window."""
        self.sync, self._batches = True, 0

    def advance(self) -> None:
        """Begin the next batch; as a rule, the last batch of a data loader ends a window."""
        self._batches += 1
        last = self.end_of_dataloader and self.plugin.sync_with_dataloader
        self.sync = last or self._batches % self.steps == 0
        if last:
            self._batches = 0

    @property
    def num_steps(self) -> int:
        """The number of batches in a window."""
        return self.steps

    @property
    def sync_gradients(self) -> bool:
        """Whether the current batch ends a window."""
        return self.sync

    @property
    def end_of_dataloader(self) -> bool:
        """Whether the current batch is the last one of the prepared data loader that is being read."""
        return bool(self.loaders) and self.loaders[-1].at_last_batch


class PreparedDataLoader:
    """A Fabric data loader that knows when it yields its last batch.

    Args:
        loader: What `Fabric.setup_dataloaders` returned.
        accumulation: Where the loader notes that it is being read.
        epochs: The number of the next epoch, the only member of a list that loaders of the same data share.

    Attributes:
        at_last_batch: Whether the batch yielded last is the loader's last.
    """

    def __init__(self, loader: Any, accumulation: Accumulation, epochs: list[int] | None = None) -> None:
        """Wrap the loader."""
        self.loader = loader
        self.at_last_batch = False
        self._accumulation = accumulation
        self._epochs = [0] if epochs is None else epochs

    def like(self, make: Callable[[Any], Any]) -> PreparedDataLoader:
        """Return another loader, made from the one inside, that is read in place of this one for an epoch."""
        inner = type(self.loader)(make(self.loader._dataloader), self.loader.device)  # noqa: SLF001 - Fabric's wrapper
        return PreparedDataLoader(inner, self._accumulation, self._epochs)

    @property
    def _sampler(self) -> Any:
        loader = self.loader._dataloader  # noqa: SLF001 - as above
        batches = getattr(loader, "batch_sampler", None)
        return getattr(batches, "sampler", None) or getattr(loader, "sampler", None)

    @property
    def padding(self) -> int:
        """The number of samples that a distributed sampler repeats, so that all ranks get equally many."""
        sampler = self._sampler
        if not isinstance(sampler, DistributedSampler) or sampler.drop_last:
            return 0
        return sampler.total_size - len(sampler.dataset)  # type: ignore[arg-type]

    @property
    def end_of_dataloader(self) -> bool:
        """Whether the batch yielded last is the loader's last."""
        return self.at_last_batch

    @property
    def total_batch_size(self) -> int:
        """The number of samples in a batch of all processes together."""
        size = self.loader.batch_size or self.loader.batch_sampler.batch_size
        sampler = self._sampler
        return int(size) * (sampler.num_replicas if isinstance(sampler, DistributedSampler) else 1)

    @property
    def total_dataset_length(self) -> int:
        """The number of samples."""
        return len(self.loader.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Set the number by which the next epoch is shuffled; without this call, epochs are counted."""
        self._epochs[0] = epoch
        for one in (self._sampler, self.loader.dataset):
            if hasattr(one, "set_epoch"):
                one.set_epoch(epoch)

    def __len__(self) -> int:
        """Return the number of batches on this rank."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches on the device, reading one ahead."""
        self.at_last_batch = False
        self.loader._num_iter_calls = self._epochs[0]  # noqa: SLF001 - from which Fabric sets the sampler's epoch
        self._epochs[0] += 1
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
        scaler: Returns the loss scaler, or None.

    Attributes:
        step_was_skipped: Whether the last `step` at a window's end changed nothing, since gradients overflowed.
    """

    def __init__(self, optimizer: Any, accumulation: Accumulation, scaler: Callable[[], Any] = lambda: None) -> None:
        """Wrap the optimizer; `Optimizer.__init__` is left out, since everything is the wrapped one's."""
        self.optimizer = optimizer
        self.step_was_skipped = False
        self._accumulation = accumulation
        self._scaler = scaler

    def __getattr__(self, name: str) -> Any:
        """Return the wrapped optimizer's attribute, e.g. `param_groups`."""
        if name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step where a window ends, else do nothing."""
        if not self._accumulation.sync:
            return None
        scaler = self._scaler()
        if scaler is None or not scaler.is_enabled():
            return self.optimizer.step(closure)
        before = scaler.get_scale()
        result = self.optimizer.step(closure)
        self.step_was_skipped = scaler.get_scale() < before  # which an overflow is the only reason for
        return result

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
        times: How many steps of the schedule one step of the optimizer is.
        optimizers: Returns the prepared optimizers; after a step that one of them skipped, the schedule waits.
        with_optimizer: Whether it steps with the optimizer at all; else at each call.
    """

    def __init__(
        self,
        scheduler: Any,
        accumulation: Accumulation,
        times: int,
        optimizers: Callable[[], list[PreparedOptimizer]] = list,
        *,
        with_optimizer: bool = True,
    ) -> None:
        """Wrap the scheduler."""
        self.scheduler = scheduler
        self._accumulation = accumulation
        self._times = times
        self._optimizers = optimizers
        self._with_optimizer = with_optimizer

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Step where an accumulation window ends and the optimizer has stepped, else do nothing."""
        if not self._with_optimizer:
            self.scheduler.step(*args, **kwargs)
            return
        if not self._accumulation.sync:
            if self._accumulation.plugin.adjust_scheduler and hasattr(self.scheduler, "_step_count"):
                self.scheduler._step_count += 1  # noqa: SLF001 - torch warns of a schedule that steps first by it
            return
        if any(one.step_was_skipped for one in self._optimizers()):
            return
        for _ in range(self._times):
            total = getattr(self.scheduler, "total_steps", None)
            if total is None or self.scheduler.last_epoch < total:  # one-cycle schedules raise beyond their end
                self.scheduler.step(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return the scheduler's attribute, e.g. `get_last_lr`."""
        if name == "scheduler":
            raise AttributeError(name)
        return getattr(self.scheduler, name)
