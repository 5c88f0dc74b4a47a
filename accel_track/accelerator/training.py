"""The training half of `Accelerator`: devices, processes, prepared objects and checkpoints, on Lightning Fabric."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader

from accel_track.accelerator import checkpoints
from accel_track.accelerator.prepared import Accumulation, PreparedDataLoader, PreparedOptimizer, PreparedScheduler
from accel_track.configuration import ProjectConfiguration
from accel_track.state import MainProcess, PartialState

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric

_PRECISIONS = {"no": "32-true", "fp16": "16-mixed", "bf16": "bf16-mixed"}


class Training:
    """The training half of `Accelerator`, in one process or in the group that `torchrun` started.

    Args:
        configuration: Folders and checkpoint names.
        mixed_precision: None or "no", "fp16" or "bf16".
        gradient_accumulation_steps: How many batches one optimizer step takes its gradients from.
        cpu: Whether to use the CPU even where there is a GPU.

    Raises:
        ValueError: An unknown precision, or fewer than 1 accumulation step.
    """

    def __init__(
        self,
        configuration: ProjectConfiguration,
        mixed_precision: str | None,
        gradient_accumulation_steps: int,
        cpu: bool,
    ) -> None:
        """Choose devices and, under `torchrun`, join the group."""
        if (precision := mixed_precision or "no") not in _PRECISIONS:
            message = f"`mixed_precision` must be one of {', '.join(_PRECISIONS)}; got {mixed_precision!r}."
            raise ValueError(message)
        if gradient_accumulation_steps < 1:
            message = f"`gradient_accumulation_steps` must be 1 or more; got {gradient_accumulation_steps}."
            raise ValueError(message)
        self.project_configuration = configuration
        self.mixed_precision = precision
        self.state = PartialState()
        self._cpu = cpu
        self._world_size = _launched_processes()
        if self._world_size > 1:
            self.fabric  # noqa: B018 - joins the group
        self._accumulation = Accumulation(gradient_accumulation_steps)
        self._models: list[Any] = []
        self._optimizers: list[PreparedOptimizer] = []
        self._schedulers: list[PreparedScheduler] = []
        self._registered: list[Any] = []

    # -- processes ----------------------------------------------------------------------------------------------------

    @cached_property
    def fabric(self) -> Fabric:
        """Lightning Fabric; in a single process it is made when it is first needed, since its import is slow."""
        return _launch("cpu" if self._cpu else "auto", _PRECISIONS[self.mixed_precision], self._world_size)

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def num_processes(self) -> int:
        """World size."""
        return self._world_size

    @property
    def process_index(self) -> int:
        """Global rank."""
        return self.fabric.global_rank if self._world_size > 1 else 0

    @property
    def local_process_index(self) -> int:
        """Rank on this machine."""
        return self.fabric.local_rank if self._world_size > 1 else 0

    @property
    def is_main_process(self) -> bool:
        """Whether the global rank is 0."""
        return self.state.is_main_process

    @property
    def is_local_main_process(self) -> bool:
        """Whether the rank on this machine is 0."""
        return self.local_process_index == 0

    @property
    def on_main_process(self) -> MainProcess:
        """Decorator, or `with` statement, for work that belongs to the main process."""
        return self.state.on_main_process

    def wait_for_everyone(self) -> None:
        """Block until all processes have called this."""
        if self._world_size > 1:
            self.fabric.barrier()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Call the built-in `print`, once per machine."""
        if self.is_local_main_process:
            print(*args, **kwargs)  # noqa: T201 - its job

    # -- training -----------------------------------------------------------------------------------------------------

    def prepare(self, *objects: Any) -> Any:
        """Set up modules, optimizers, data loaders and learning-rate schedulers for the device and all processes.

        Args:
            *objects: In any order; anything else, and what is prepared already, is returned as it is.

        Returns:
            The prepared object, or a tuple of them in the order given.
        """
        prepared = tuple(self._prepare(one) for one in objects)
        return prepared[0] if len(prepared) == 1 else prepared

    def _prepare(self, one: Any) -> Any:
        if isinstance(one, PreparedOptimizer) or (isinstance(one, nn.Module) and self.unwrap_model(one) is not one):
            return one
        if isinstance(one, nn.Module):
            model = self.fabric.setup_module(one)
            self._models.append(model)
            return model
        if isinstance(one, Optimizer):
            optimizer = PreparedOptimizer(self.fabric.setup_optimizers(one), self._accumulation)
            self._optimizers.append(optimizer)
            return optimizer
        if isinstance(one, DataLoader):
            return PreparedDataLoader(self.fabric.setup_dataloaders(one), self._accumulation)
        if isinstance(one, (LRScheduler, ReduceLROnPlateau)):
            scheduler = PreparedScheduler(one, self._accumulation, self.num_processes)
            self._schedulers.append(scheduler)
            return scheduler
        return one

    def unwrap_model(self, model: nn.Module) -> nn.Module:
        """Return the module that was given to `prepare`."""
        from lightning.fabric.wrappers import _FabricModule

        return model.module if isinstance(model, _FabricModule) else model

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Backpropagate `loss` divided by `gradient_accumulation_steps`."""
        self.fabric.backward(loss / self._accumulation.steps, **kwargs)

    @property
    def gradient_accumulation_steps(self) -> int:
        """How many batches one optimizer step takes its gradients from."""
        return self._accumulation.steps

    @property
    def sync_gradients(self) -> bool:
        """Whether the current batch ends an accumulation window, so that the optimizer really steps."""
        return self._accumulation.sync

    @contextlib.contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Surround one batch: inside, prepared optimizers and schedulers step only where a window ends.

        A window ends after `gradient_accumulation_steps` batches and with the last batch of a prepared data loader.

        Args:
            *models: Prepared models whose gradients need no synchronisation before then.
        """
        self._accumulation.advance()
        with contextlib.ExitStack() as stack:
            if self.num_processes > 1:
                for model in models:
                    enabled = not self._accumulation.sync
                    stack.enter_context(self.fabric.no_backward_sync(model, enabled=enabled))  # type: ignore[arg-type]
            yield

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which operations run in the mixed precision, for code outside a prepared model."""
        return self.fabric.autocast()

    def clip_grad_norm_(self, parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2) -> Tensor:
        """Clip gradients to a total norm, after undoing loss scaling; call it where `sync_gradients` is true.

        Returns:
            The norm before clipping, a 0-d tensor.
        """
        for optimizer in self._optimizers:
            self.fabric.strategy.precision.unscale_gradients(optimizer.optimizer.optimizer)
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)

    def gather(self, tensor: Any) -> Any:
        """Return tensors of all processes joined along the first dimension; a collective call.

        Args:
            tensor: A tensor of shape (n, …), equal on all processes, a 0-d tensor, or a collection of these.

        Returns:
            The same structure with shapes (world size · n, …), or (world size,) for 0-d tensors. With one process,
            the input.
        """
        if self.num_processes == 1:
            return tensor
        return apply_to_collection(self.fabric.all_gather(tensor), Tensor, lambda all_: _join(all_, interleave=False))

    def gather_for_metrics(self, tensor: Any) -> Any:
        """Like `gather`, in the data set's order, without the samples a distributed sampler repeated at the end.

        Call it inside the loop over a prepared data loader, with tensors whose first dimension is the batch.
        """
        if self.num_processes == 1:
            return tensor
        loaders = self._accumulation.loaders
        surplus = loaders[-1].padding if loaders and loaders[-1].at_last_batch else 0

        def unpadded(gathered: Tensor) -> Tensor:
            samples = _join(gathered, interleave=True)
            return samples[: len(samples) - surplus] if gathered.ndim > 1 else samples

        return apply_to_collection(self.fabric.all_gather(tensor), Tensor, unpadded)

    def reduce(self, tensor: Any, reduction: str = "sum") -> Any:
        """Return tensors reduced over all processes; a collective call, the input is not changed.

        Args:
            tensor: A tensor, equal in shape on all processes, or a collection of these.
            reduction: "sum", "mean", or "none" for the input.

        Raises:
            ValueError: `reduction` is none of these.
        """
        if reduction not in ("sum", "mean", "none"):
            message = f"`reduction` must be 'sum', 'mean' or 'none'; got {reduction!r}."
            raise ValueError(message)
        if self.num_processes == 1 or reduction == "none":
            return tensor
        copy = apply_to_collection(tensor, Tensor, Tensor.clone)
        return self.fabric.all_reduce(copy, reduce_op=reduction)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def register_for_checkpointing(self, *objects: Any) -> None:
        """Have `save_state` and `load_state` include more objects.

        Raises:
            TypeError: An object lacks `state_dict` or `load_state_dict`.
        """
        for one in objects:
            if not (hasattr(one, "state_dict") and hasattr(one, "load_state_dict")):
                message = f"cannot checkpoint a {type(one).__name__}: it needs `state_dict` and `load_state_dict`."
                raise TypeError(message)
        self._registered.extend(objects)

    def save_state(self, output_dir: str | os.PathLike[str] | None = None) -> str:
        """Save everything prepared or registered, and each rank's random states; call this on all processes.

        Args:
            output_dir: Folder; may be left out with `automatic_checkpoint_naming`.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileExistsError: The next automatic folder exists already.
        """
        configuration = self.project_configuration
        automatic = configuration.automatic_checkpoint_naming and output_dir is None
        folder = checkpoints.next_folder(configuration) if automatic else _folder(output_dir, "output_dir")
        self.wait_for_everyone()
        checkpoints.save(self.fabric, folder, self._state())
        if automatic:
            configuration.iteration += 1
            if self.is_main_process:
                checkpoints.prune(configuration)
        return str(folder)

    def load_state(self, input_dir: str | os.PathLike[str] | None = None) -> str:
        """Restore what `save_state` saved, into objects prepared in the same order; call this on all processes.

        Args:
            input_dir: Folder; left out with `automatic_checkpoint_naming`, the newest checkpoint is taken.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileNotFoundError: There is no checkpoint there.
        """
        if self.project_configuration.automatic_checkpoint_naming and input_dir is None:
            folders = checkpoints.automatic_folders(self.project_configuration)
            if not folders:
                message = f"no checkpoint below {str(self.project_configuration.project_dir)!r} yet."
                raise FileNotFoundError(message)
            folder = folders[-1]
        else:
            folder = _folder(input_dir, "input_dir")
        checkpoints.load(self.fabric, folder, self._state())
        return str(folder)

    def _state(self) -> dict[str, Any]:
        kinds = {
            "model": self._models,
            "optimizer": [one.optimizer for one in self._optimizers],
            "scheduler": [one.scheduler for one in self._schedulers],
            "registered": self._registered,
        }
        return {f"{kind}_{index}": one for kind, ones in kinds.items() for index, one in enumerate(ones)}


def _folder(path: str | os.PathLike[str] | None, argument: str) -> Path:
    if path is None:
        message = f"`{argument}` is missing; give a folder, or set automatic_checkpoint_naming in ProjectConfiguration."
        raise ValueError(message)
    return Path(path)


def _launched_processes() -> int:
    """Return how many processes `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def _launch(accelerator: str, precision: Any, world_size: int) -> Fabric:
    """Return a launched Fabric: one process, or the group that `torchrun` describes."""
    from lightning.fabric import Fabric

    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size > 1 else 1
    fabric = Fabric(accelerator=accelerator, devices=local, num_nodes=world_size // local, precision=precision)
    fabric.launch()
    return fabric


def _join(gathered: Tensor, *, interleave: bool) -> Tensor:
    """Join (world, n, …) to (world · n, …), rank by rank, or sample by sample as a distributed sampler dealt them."""
    if gathered.ndim < 2:  # noqa: PLR2004
        return gathered
    return (gathered.transpose(0, 1) if interleave else gathered).flatten(0, 1)
