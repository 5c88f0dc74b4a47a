"""The training half of `Accelerator`: prepared objects, accumulation and gradients, on Lightning Fabric."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader, IterableDataset

from accel_track.accelerator import loaders, saving
from accel_track.accelerator.group import Group
from accel_track.accelerator.handlers import DataLoaderConfiguration, GradientAccumulationPlugin, Handlers
from accel_track.accelerator.launch import PRECISIONS
from accel_track.accelerator.memory import release_memory
from accel_track.accelerator.prepared import Accumulation, PreparedDataLoader, PreparedOptimizer, PreparedScheduler
from accel_track.errors import warn

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    ObjectsT = TypeVarTuple("ObjectsT")

ObjectT = TypeVar("ObjectT")


class Training(Group):
    """The training half of `Accelerator`, in one process or in the group that `torchrun` started.

    Args:
        mixed_precision: "no", "fp16" or "bf16".
        accumulation: Settings of gradient accumulation.
        loaders: Settings of prepared data loaders.
        handlers: Arguments of Fabric's strategy, process group and loss scaler.
        cpu: Whether to use the CPU even if there is a GPU.
        device_placement: Whether models and batches are moved to the device.
        step_scheduler_with_optimizer: Whether prepared schedulers step when the optimizer does.

    Raises:
        ValueError: The precision is unknown, or there is less than 1 accumulation step.
    """

    def __init__(
        self,
        mixed_precision: str,
        accumulation: GradientAccumulationPlugin,
        loaders: DataLoaderConfiguration,
        handlers: Handlers,
        *,
        cpu: bool,
        device_placement: bool,
        step_scheduler_with_optimizer: bool,
    ) -> None:
        """Choose devices and, under `torchrun`, join the group."""
        if mixed_precision not in PRECISIONS:
            message = f"`mixed_precision` must be one of {', '.join(PRECISIONS)}; got {mixed_precision!r}."
            raise ValueError(message)
        self._accumulation = Accumulation(accumulation)
        self.gradient_accumulation_steps = self._accumulation.steps  # checks the number
        super().__init__(mixed_precision, handlers, cpu=cpu)
        self.dataloader_config = loaders
        self.device_placement = device_placement
        self.step_scheduler_with_optimizer = step_scheduler_with_optimizer
        self._models: list[Any] = []
        self._optimizers: list[PreparedOptimizer] = []
        self._schedulers: list[PreparedScheduler] = []

    # -- prepared objects ---------------------------------------------------------------------------------------------

    @overload
    def prepare(self, one: ObjectT, /, *, device_placement: Sequence[bool] | None = None) -> ObjectT: ...
    @overload
    def prepare(
        self, *objects: Unpack[ObjectsT], device_placement: Sequence[bool] | None = None
    ) -> tuple[Unpack[ObjectsT]]: ...
    def prepare(  # type: ignore[misc]  # mypy does not compare `*objects` with an unpacked tuple
        self, *objects: Any, device_placement: Sequence[bool] | None = None
    ) -> Any:
        """Set up modules, optimizers, data loaders and learning-rate schedulers for the device and all processes.

        Args:
            *objects: The objects, in any order. Objects of other kinds, and prepared ones, come back unchanged.
            device_placement: Whether each object is moved to the device, a value per object. Default: the argument
                `device_placement` of `Accelerator`, for all of them.

        Returns:
            The prepared object, or a tuple of the prepared objects in the same order. Each has the attributes of its
            original and, for type checkers, the original's type.

        Raises:
            ValueError: `device_placement` has another length than `objects`.
        """
        places = [self.device_placement] * len(objects) if device_placement is None else list(device_placement)
        if len(places) != len(objects):
            message = f"`device_placement` has {len(places)} entries for {len(objects)} objects."
            raise ValueError(message)
        prepared = tuple(self._prepare(one, move) for one, move in zip(objects, places, strict=True))
        return prepared[0] if len(prepared) == 1 else prepared

    def _prepare(self, one: Any, move: bool) -> Any:
        if isinstance(one, nn.Module):
            return self.prepare_model(one, move)
        if isinstance(one, Optimizer):
            return self.prepare_optimizer(one)
        if isinstance(one, DataLoader):
            return self.prepare_data_loader(one, move)
        return self.prepare_scheduler(one) if isinstance(one, (LRScheduler, ReduceLROnPlateau)) else one

    def prepare_model(
        self, model: nn.Module, device_placement: bool | None = None, evaluation_mode: bool = False
    ) -> Any:
        """Set up a module.

        Args:
            model: The module; a prepared one comes back unchanged.
            device_placement: Whether to move the module to the device. Default: the argument of `Accelerator`.
            evaluation_mode: Whether the module is for evaluation only, without an exchange of gradients.

        Returns:
            The prepared module.
        """
        from lightning.fabric.wrappers import _FabricModule

        if isinstance(model, _FabricModule):
            return model
        move = self.device_placement if device_placement is None else device_placement
        trained = not evaluation_mode and any(one.requires_grad for one in model.parameters())
        if trained or self.num_processes == 1:
            prepared = self.fabric.setup_module(model, move_to_device=move)
            wrapped = prepared._forward_module  # noqa: SLF001 - as Fabric's strategy has wrapped it
            if self._handlers.ddp is not None and isinstance(wrapped, nn.parallel.DistributedDataParallel):
                self._handlers.ddp.register_comm_hook(wrapped)
        else:  # DistributedDataParallel refuses modules without gradients
            prepared = _FabricModule(model.to(self.device) if move else model, self.fabric.strategy)
        self._models.append(prepared)
        return prepared

    def prepare_optimizer(self, optimizer: Optimizer, device_placement: bool | None = None) -> PreparedOptimizer:
        """Set up an optimizer.

        Args:
            optimizer: The optimizer; a prepared one comes back unchanged.
            device_placement: Without effect: the optimizer's state moves with the parameters.

        Returns:
            The prepared optimizer.
        """
        if isinstance(optimizer, PreparedOptimizer):
            return optimizer
        prepared = PreparedOptimizer(self.fabric.setup_optimizers(optimizer), self._accumulation, lambda: self.scaler)
        self._optimizers.append(prepared)
        return prepared

    def prepare_scheduler(self, scheduler: Any) -> PreparedScheduler:
        """Set up a learning-rate scheduler.

        Args:
            scheduler: The scheduler; a prepared one comes back unchanged.

        Returns:
            The prepared scheduler.
        """
        if isinstance(scheduler, PreparedScheduler):
            return scheduler
        times = 1 if self.split_batches else self.num_processes
        prepared = PreparedScheduler(
            scheduler,
            self._accumulation,
            times,
            lambda: self._optimizers,
            with_optimizer=self.step_scheduler_with_optimizer,
        )
        self._schedulers.append(prepared)
        return prepared

    def prepare_data_loader(self, data_loader: Any, device_placement: bool | None = None) -> PreparedDataLoader:
        """Set up a data loader, of which each process then reads its share.

        Args:
            data_loader: The data loader; a prepared one comes back unchanged.
            device_placement: Whether to move batches to the device. Default: the argument of `Accelerator`.

        Returns:
            The prepared data loader.

        Raises:
            ValueError: With `split_batches`, the batch size is no multiple of the number of processes.
        """
        if isinstance(data_loader, PreparedDataLoader):
            return data_loader
        move = self.device_placement if device_placement is None else device_placement
        if self.num_processes > 1 and isinstance(data_loader.dataset, IterableDataset):
            warn(
                "prepare: each process reads this whole data set, which can only be iterated over; have it yield this "
                "process's share, by `accelerator.process_index`."
            )
        if self.split_batches and self.num_processes > 1:
            data_loader = loaders.divided(data_loader, self.num_processes)
        return PreparedDataLoader(self.fabric.setup_dataloaders(data_loader, move_to_device=move), self._accumulation)

    @property
    def split_batches(self) -> bool:
        """Whether a batch is divided among the processes; if not, each process gets batches of the full size."""
        return self.dataloader_config.split_batches

    @property
    def dispatch_batches(self) -> bool | None:
        """The setting `dispatch_batches` of `DataLoaderConfiguration`."""
        return self.dataloader_config.dispatch_batches

    @property
    def even_batches(self) -> bool:
        """The setting `even_batches` of `DataLoaderConfiguration`."""
        return self.dataloader_config.even_batches

    @property
    def use_seedable_sampler(self) -> bool:
        """The setting `use_seedable_sampler` of `DataLoaderConfiguration`."""
        return self.dataloader_config.use_seedable_sampler

    @property
    def use_stateful_dataloader(self) -> bool:
        """The setting `use_stateful_dataloader` of `DataLoaderConfiguration`."""
        return self.dataloader_config.use_stateful_dataloader

    @property
    def non_blocking(self) -> bool:
        """The setting `non_blocking` of `DataLoaderConfiguration`."""
        return self.dataloader_config.non_blocking

    def skip_first_batches(self, dataloader: Any, num_batches: int = 0) -> Any:
        """Return a data loader without the first batches of another one, for the rest of an epoch.

        Args:
            dataloader: The data loader, prepared or not, which stays as it is.
            num_batches: Number of this process's batches to leave out.

        Raises:
            TypeError: `dataloader` is not a data loader, or `num_batches` is not an integer.
            ValueError: `num_batches` is negative.
        """
        return loaders.skip_first_batches(dataloader, num_batches)

    def unwrap_model(
        self, model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True
    ) -> nn.Module:
        """Return the module that was given to `prepare`.

        Args:
            model: The module. A module that is not prepared comes back unchanged.
            keep_fp32_wrapper: Without effect: Fabric's wrapper sets the precision, and is always taken off.
            keep_torch_compile: Whether `torch.compile`'s wrapper stays around the module.
        """
        return saving.extract_model_from_parallel(model, keep_fp32_wrapper, keep_torch_compile)

    def free_memory(self, *objects: Any) -> list[None]:
        """Forget all prepared objects and give their memory back.

        The returned values clear the caller's variables: `model, loader = accelerator.free_memory(model, loader)`.

        Args:
            *objects: The objects of the caller's variables.

        Returns:
            None for each object.
        """
        self._models.clear()
        self._optimizers.clear()
        self._schedulers.clear()
        self._accumulation.restart()
        return release_memory(*objects)

    def clear(self, *objects: Any) -> list[None]:
        """Forget all prepared objects and give their memory back: another name of `free_memory`.

        Args:
            *objects: The objects of the caller's variables.

        Returns:
            None for each object.
        """
        return self.free_memory(*objects)

    # -- steps --------------------------------------------------------------------------------------------------------

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Backpropagate a loss, divided by `gradient_accumulation_steps`.

        Args:
            loss: The loss, a 0-d tensor.
            **kwargs: Arguments of `Tensor.backward`, such as `retain_graph`.
        """
        self.fabric.backward(loss / self._accumulation.steps, **kwargs)

    @property
    def gradient_accumulation_steps(self) -> int:
        """The number of batches that one optimizer step takes its gradients from; it may be set."""
        return self._accumulation.steps

    @gradient_accumulation_steps.setter
    def gradient_accumulation_steps(self, steps: int) -> None:
        if not isinstance(steps, int) or isinstance(steps, bool):
            message = f"`gradient_accumulation_steps` must be an integer; got {type(steps).__name__}."
            raise TypeError(message)
        if steps < 1:
            message = f"`gradient_accumulation_steps` must be 1 or more; got {steps}."
            raise ValueError(message)
        self._accumulation.steps = steps

    @property
    def gradient_state(self) -> Accumulation:
        """The position in the accumulation window: `sync_gradients`, `end_of_dataloader`, `num_steps`."""
        return self._accumulation

    @property
    def sync_gradients(self) -> bool:
        """Whether the current batch ends an accumulation window, so that the optimizer steps; it may be set."""
        return self._accumulation.sync

    @sync_gradients.setter
    def sync_gradients(self, sync: bool) -> None:
        self._accumulation.sync = bool(sync)

    @contextlib.contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Surround one batch of an accumulation window, at whose end prepared optimizers and schedulers step.

        A window ends after `gradient_accumulation_steps` batches, and with the last batch of a prepared data loader.

        Args:
            *models: Prepared models, whose gradients the processes exchange at the end of a window only.
        """
        self._accumulation.advance()
        with contextlib.ExitStack() as stack:
            if not (self._accumulation.sync or self._accumulation.plugin.sync_each_batch):
                for model in models:
                    stack.enter_context(self.no_sync(model))
            yield

    @contextlib.contextmanager
    def no_sync(self, model: Any) -> Iterator[None]:
        """Surround forward and backward passes of a prepared model after which the processes exchange no gradients.

        Args:
            model: The model. For a model that never exchanges gradients, the context does nothing.
        """
        wrapped = getattr(model, "_forward_module", model)
        exchanges = isinstance(wrapped, nn.parallel.DistributedDataParallel)
        with self.fabric.no_backward_sync(model) if exchanges else contextlib.nullcontext():
            yield

    @property
    def optimizer_step_was_skipped(self) -> bool:
        """Whether the last step of a prepared optimizer was skipped, because gradients overflowed with "fp16"."""
        return any(one.step_was_skipped for one in self._optimizers)

    def unscale_gradients(self, optimizer: Any = None) -> None:
        """Undo the scaling of gradients with "fp16", once before a step. Clipping undoes it by itself.

        Args:
            optimizer: A prepared optimizer, or a list of them. Default: all.
        """
        if (scaler := self.scaler) is None:
            return
        several = self._optimizers if optimizer is None else optimizer
        for one in several if isinstance(several, (list, tuple)) else [several]:
            while hasattr(one, "optimizer"):
                one = one.optimizer  # noqa: PLW2901 - inside of ours is Fabric's
            scaler.unscale_(one)

    def clip_grad_norm_(self, parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2) -> Tensor:
        """Clip gradients to a total norm, with loss scaling undone; call this only if `sync_gradients` is true.

        Args:
            parameters: The parameters whose gradients are clipped.
            max_norm: The largest norm of all gradients together.
            norm_type: Order of the norm, such as 2 or infinity.

        Returns:
            The norm before clipping, a 0-d tensor.
        """
        self.unscale_gradients()
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)

    def clip_grad_value_(self, parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
        """Clip each element of the gradients, with loss scaling undone; call this only if `sync_gradients` is true.

        Args:
            parameters: The parameters whose gradients are clipped.
            clip_value: The largest absolute value of an element.
        """
        self.unscale_gradients()
        nn.utils.clip_grad_value_(parameters, clip_value)
