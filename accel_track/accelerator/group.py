"""The processes of an `Accelerator` and what they tell each other, on Lightning Fabric."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from accel_track.accelerator import operations
from accel_track.accelerator.handlers import Handlers
from accel_track.accelerator.launch import launch, launched_processes
from accel_track.processes import Processes
from accel_track.state import AcceleratorState, process_index

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric

    from accel_track.accelerator.prepared import Accumulation


class Group(Processes):
    """One process of a training: the only one, or one of the group that `torchrun` started.

    Args:
        precision: "no", "fp16" or "bf16".
        handlers: Arguments of Fabric's strategy, process group and loss scaler.
        cpu: Whether to use the CPU even if there is a GPU.
    """

    _accumulation: Accumulation
    deepspeed_plugin = parallelism_config = None
    is_fsdp2 = False

    def __init__(self, precision: str, handlers: Handlers, *, cpu: bool) -> None:
        """Choose devices and, under `torchrun`, join the group."""
        self.state = AcceleratorState(precision, cpu)
        self.state.note()
        self._handlers = handlers
        self._cpu = cpu
        self._world_size = launched_processes()
        self._native_amp = precision != "no"
        self._triggered = False
        if self._world_size > 1:
            self.fabric  # noqa: B018 - joins the group

    @cached_property
    def fabric(self) -> Fabric:
        """The Lightning Fabric. A single process makes it when it is first needed, since its import is slow."""
        return launch(self.mixed_precision, self._world_size, self._handlers, cpu=self._cpu)

    @property
    def mixed_precision(self) -> str:
        """The precision: "no", "fp16" or "bf16"."""
        return self.state.mixed_precision

    @property
    def native_amp(self) -> bool:
        """Whether operations run in the mixed precision; set this to False for a device without it."""
        return self._native_amp

    @native_amp.setter
    def native_amp(self, on: bool) -> None:
        if on and not self._native_amp:
            message = "`native_amp` cannot be turned on: give `mixed_precision` to Accelerator."
            raise ValueError(message)
        if not on and self._native_amp:
            from lightning.fabric.plugins.precision import Precision

            self.fabric.strategy.precision = Precision()
        self._native_amp = bool(on)

    @property
    def scaler(self) -> Any:
        """The `GradScaler` that scales the loss with "fp16"; None with another precision."""
        fp16 = self.mixed_precision == "fp16"
        return getattr(self.fabric.strategy.precision, "scaler", None) if fp16 else None

    # -- ranks --------------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def num_processes(self) -> int:
        """The world size: the number of processes."""
        return self._world_size

    @property
    def process_index(self) -> int:
        """The global rank of this process."""
        return self.fabric.global_rank if self._world_size > 1 else 0

    @property
    def local_process_index(self) -> int:
        """The rank of this process on its machine."""
        return self.fabric.local_rank if self._world_size > 1 else 0

    @property
    def is_main_process(self) -> bool:
        """Whether the global rank is 0."""
        return process_index() == 0

    @property
    def multi_device(self) -> bool:
        """Whether there is more than one process, each with a GPU."""
        return self.use_distributed and self.device.type != "cpu"

    def wait_for_everyone(self) -> None:
        """Block until all processes have made this call."""
        if self._world_size > 1:
            self.fabric.barrier()

    # -- collective calls ---------------------------------------------------------------------------------------------

    def gather(self, tensor: Any) -> Any:
        """Return the tensors of all processes, joined along the first dimension; a collective call.

        Args:
            tensor: A tensor of shape (n, …), the same on all processes, a 0-d tensor, or a collection of these.

        Returns:
            The same structure with shapes (world size · n, …), or (world size,) for 0-d tensors. With one process,
            the input.
        """
        if self.num_processes == 1:
            return tensor
        return apply_to_collection(self.fabric.all_gather(tensor), Tensor, lambda all_: _join(all_, interleave=False))

    def gather_for_metrics(self, tensor: Any, use_gather_object: bool = False) -> Any:
        """Return the samples of all processes in the data set's order, without repeated ones; a collective call.

        A distributed sampler repeats samples at the end of a data set, so that all processes have equally many; these
        are left out here. Make the call inside the loop over a prepared data loader.

        Args:
            tensor: A tensor whose first dimension is the batch, or a collection of such tensors; or a list with an
                object for each sample.
            use_gather_object: Whether a list of tensors, which may then differ in size, is a list of objects.

        Raises:
            TypeError: With `use_gather_object`, `tensor` is not a list.
        """
        objects = isinstance(tensor, list) and (use_gather_object or not any(isinstance(one, Tensor) for one in tensor))
        if use_gather_object and not objects:
            message = f"`use_gather_object=True` takes a list, one object for each sample; got {type(tensor).__name__}."
            raise TypeError(message)
        if self.num_processes == 1:
            return tensor
        loaders = self._accumulation.loaders
        surplus = loaders[-1].padding if loaders and loaders[-1].at_last_batch else 0
        if objects:
            shares = operations.gather_object([tensor])
            dealt = [one for samples in zip(*shares, strict=True) for one in samples]
            return dealt[: len(dealt) - surplus]

        def unpadded(gathered: Tensor) -> Tensor:
            samples = _join(gathered, interleave=True)
            return samples[: len(samples) - surplus] if gathered.ndim > 1 else samples

        return apply_to_collection(self.fabric.all_gather(tensor), Tensor, unpadded)

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        """Return new tensors, reduced over all processes; a collective call.

        Args:
            tensor: A tensor of the same shape on all processes, or a collection of these.
            reduction: "sum", "mean", or "none" for the unchanged input.
            scale: The factor 1; other factors are for TPUs only.

        Raises:
            ValueError: `reduction` is unknown, or `scale` is not 1.
        """
        operations.check_reduction(reduction, ("sum", "mean", "none"), scale)
        if self.num_processes == 1 or reduction == "none":
            return tensor
        copy = apply_to_collection(tensor, Tensor, Tensor.clone)
        return self.fabric.all_reduce(copy, reduce_op=reduction)

    def pad_across_processes(self, tensor: Any, dim: int = 0, pad_index: float = 0, pad_first: bool = False) -> Any:
        """Return tensors padded to the largest size on any of the processes; a collective call.

        Args:
            tensor: A tensor of any size along `dim`, or a collection of these.
            dim: The dimension; a negative number counts from the end.
            pad_index: The value of the padding.
            pad_first: Whether the padding is at the beginning instead of the end.
        """
        return operations.pad_across_processes(tensor, dim, pad_index, pad_first)

    def set_trigger(self) -> None:
        """Set a signal, for which the next `check_trigger` returns True on all processes."""
        self._triggered = True

    def check_trigger(self) -> bool:
        """Return whether any process has called `set_trigger` since the last check; a collective call."""
        own, self._triggered = self._triggered, False
        if self.num_processes == 1:
            return own
        import torch

        return bool(operations.reduce(torch.tensor(int(own), device=self.device), "max"))

    def autocast(self, autocast_handler: Any = None) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which operations run in the mixed precision, for code outside a prepared model.

        Args:
            autocast_handler: The `AutocastKwargs` of this block. Default: those of `kwargs_handlers`.
        """
        handler = autocast_handler or self._handlers.autocast
        if not self._native_amp:
            return contextlib.nullcontext()
        if handler is None:
            return self.fabric.autocast()
        import torch

        dtype = torch.float16 if self.mixed_precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, handler.enabled, handler.cache_enabled)


def _join(gathered: Tensor, *, interleave: bool) -> Tensor:
    """Join (world, n, …) to (world · n, …), rank by rank, or sample by sample as a distributed sampler dealt them."""
    if gathered.ndim < 2:  # noqa: PLR2004
        return gathered
    return (gathered.transpose(0, 1) if interleave else gathered).flatten(0, 1)
