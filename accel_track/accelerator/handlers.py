"""The settings objects of an `Accelerator`: gradient accumulation, data loaders, and Fabric's strategy and precision.

Names, fields and defaults are Hugging Face Accelerate's (https://huggingface.co/docs/accelerate/package_reference/kwargs),
as far as Fabric has what they set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch.nn.parallel import DistributedDataParallel


class KwargsHandler:
    """The base class of the settings that `kwargs_handlers` takes."""

    def to_kwargs(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, by name."""
        default = type(self)()
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type] # of subclasses
        return {name: value for name, value in values.items() if value != getattr(default, name)}


class DDPCommunicationHookType(str, Enum):
    """The compression of gradients on their way between processes.

    The members are `NO`, `FP16`, `BF16`, `POWER_SGD` and `BATCHED_POWER_SGD`, for
    [torch's communication hooks](https://docs.pytorch.org/docs/stable/ddp_comm_hooks.html); each equals its name in
    lower case.
    """

    NO = "no"
    FP16 = "fp16"
    BF16 = "bf16"
    POWER_SGD = "power_sgd"
    BATCHED_POWER_SGD = "batched_power_sgd"


@dataclass
class DistributedDataParallelKwargs(KwargsHandler):
    """Arguments of `torch.nn.parallel.DistributedDataParallel`, for more than one process.

    Args:
        dim: The dimension of the batch.
        broadcast_buffers: Whether each forward pass begins with the buffers of rank 0.
        bucket_cap_mb: Size of the buckets of gradients, in MiB.
        find_unused_parameters: Whether some parameters may get no gradient in a step.
        check_reduction: Without effect: torch no longer uses this.
        gradient_as_bucket_view: Whether gradients are views of the buckets, which saves memory.
        static_graph: Whether all steps use the same parameters.
        comm_hook: Compression of the gradients.
        comm_wrapper: Further compression around PowerSGD, `FP16` or `BF16`. Default: none.
        comm_state_option: Arguments of torch's `PowerSGDState`.
    """

    dim: int = 0
    broadcast_buffers: bool = True
    bucket_cap_mb: int = 25
    find_unused_parameters: bool = False
    check_reduction: bool = False
    gradient_as_bucket_view: bool = False
    static_graph: bool = False
    comm_hook: DDPCommunicationHookType = DDPCommunicationHookType.NO
    comm_wrapper: DDPCommunicationHookType = DDPCommunicationHookType.NO
    comm_state_option: dict[str, Any] = field(default_factory=dict)

    def to_kwargs(self) -> dict[str, Any]:
        """Return the arguments of torch's constructor that differ from their defaults, by name."""
        return {name: value for name, value in super().to_kwargs().items() if not name.startswith("comm_")}

    def register_comm_hook(self, model: DistributedDataParallel) -> None:
        """Compress a model's gradients with `comm_hook`.

        Args:
            model: The wrapped model.
        """
        hook = DDPCommunicationHookType(self.comm_hook)
        if hook is DDPCommunicationHookType.NO:
            return
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook

        kind = DDPCommunicationHookType
        function: Any = {
            kind.FP16: default_hooks.fp16_compress_hook,
            kind.BF16: default_hooks.bf16_compress_hook,
            kind.POWER_SGD: powerSGD_hook.powerSGD_hook,
            kind.BATCHED_POWER_SGD: powerSGD_hook.batched_powerSGD_hook,
        }[hook]
        wrappers: dict[Any, Any] = {
            kind.FP16: default_hooks.fp16_compress_wrapper,
            kind.BF16: default_hooks.bf16_compress_wrapper,
        }
        wrapper = wrappers.get(kind(self.comm_wrapper))
        with_state = hook in (kind.POWER_SGD, kind.BATCHED_POWER_SGD)
        state = powerSGD_hook.PowerSGDState(None, **self.comm_state_option) if with_state else None
        model.register_comm_hook(state, wrapper(function) if wrapper else function)


@dataclass
class InitProcessGroupKwargs(KwargsHandler):
    """Arguments of `torch.distributed.init_process_group`, for more than one process.

    Args:
        backend: "nccl", "gloo" or another backend of torch. Default: the backend for the device.
        init_method: "env://", for which `torchrun` sets the variables, or None for the same.
        timeout: The longest time that a collective call may take. Default: Fabric's, 30 minutes.

    Raises:
        ValueError: `init_method` has another value.
        TypeError: `timeout` is no `datetime.timedelta`.
    """

    backend: str | None = None
    init_method: str | None = None
    timeout: timedelta | None = None

    def __post_init__(self) -> None:
        """Check the method."""
        if self.init_method not in (None, "env://"):
            message = (
                f"`init_method` must be 'env://' or None, since torchrun sets the variables; got {self.init_method!r}."
            )
            raise ValueError(message)
        if self.timeout is not None and not isinstance(self.timeout, timedelta):
            message = f"`timeout` must be a datetime.timedelta or None; got {type(self.timeout).__name__}."
            raise TypeError(message)


@dataclass
class GradScalerKwargs(KwargsHandler):
    """Arguments of `torch.amp.GradScaler`, which scales the loss with `mixed_precision="fp16"`.

    Args:
        init_scale: The first scale.
        growth_factor: Factor of the scale after `growth_interval` steps without an overflow.
        backoff_factor: Factor of the scale after an overflow.
        growth_interval: Number of steps without an overflow after which the scale grows.
        enabled: Whether losses are scaled at all.
    """

    init_scale: float = 65536.0
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000
    enabled: bool = True


@dataclass
class AutocastKwargs(KwargsHandler):
    """Arguments of `Accelerator.autocast`.

    Args:
        enabled: Whether the block runs in the mixed precision.
        cache_enabled: Whether cast weights are kept until the block's end. Default: torch's, True.
    """

    enabled: bool = True
    cache_enabled: bool | None = None


@dataclass
class GradientAccumulationPlugin(KwargsHandler):
    """The settings of gradient accumulation.

    Args:
        num_steps: Number of batches that one optimizer step takes its gradients from.
        adjust_scheduler: Whether a scheduler's own count of steps goes on within a window, which avoids torch's warning
            about the order of steps.
        sync_with_dataloader: Whether the last batch of a data loader always ends a window.
        sync_each_batch: Whether processes exchange gradients after each batch, which takes less memory and more time.
    """

    num_steps: int | None = None
    adjust_scheduler: bool = True
    sync_with_dataloader: bool = True
    sync_each_batch: bool = False


@dataclass
class DataLoaderConfiguration:
    """The settings of prepared data loaders.

    All fields of accelerate's class are here; a field that Fabric cannot fulfil takes one value only.

    Args:
        split_batches: Whether a batch is divided among the processes; if not, each process gets batches of the full
            size.
        dispatch_batches: None or False: each process reads its own share.
        even_batches: True: all processes get equally many batches, for which a few samples are repeated.
        use_seedable_sampler: False: `set_seed` decides the order of samples.
        data_seed: None: `set_seed` decides the order of samples.
        non_blocking: Without effect: Fabric does not wait for transfers to a GPU.
        use_stateful_dataloader: False: after `load_state`, use `skip_first_batches`.

    Raises:
        ValueError: A field has a value that is not supported; the message says what to use instead.
    """

    split_batches: bool = False
    dispatch_batches: bool | None = None
    even_batches: bool = True
    use_seedable_sampler: bool = False
    data_seed: int | None = None
    non_blocking: bool = False
    use_stateful_dataloader: bool = False

    def __post_init__(self) -> None:
        """Reject the values that Fabric cannot fulfil."""
        instead = {
            "dispatch_batches": (not self.dispatch_batches, "each process reads its own share; leave it out."),
            "even_batches": (
                self.even_batches,
                "shares are always even, and gather_for_metrics drops what is repeated.",
            ),
            "use_seedable_sampler": (not self.use_seedable_sampler, "set_seed decides the order; leave it out."),
            "data_seed": (self.data_seed is None, "set_seed decides the order; leave it out."),
            "use_stateful_dataloader": (not self.use_stateful_dataloader, "use skip_first_batches after load_state."),
        }
        for name, (is_fine, hint) in instead.items():
            if not is_fine:
                message = f"DataLoaderConfiguration: `{name}={getattr(self, name)!r}` is not supported: {hint}"
                raise ValueError(message)


class Handlers(NamedTuple):
    """The handlers of one `Accelerator`, by kind; None for a kind that was not given."""

    ddp: DistributedDataParallelKwargs | None = None
    group: InitProcessGroupKwargs | None = None
    scaler: GradScalerKwargs | None = None
    autocast: AutocastKwargs | None = None

    @classmethod
    def of(cls, handlers: Iterable[KwargsHandler] | None) -> Handlers:
        """Sort a list of handlers by kind.

        Raises:
            TypeError: `handlers` is not a list, or holds an object of another class.
            ValueError: There are two handlers of one kind.
        """
        kinds = {
            DistributedDataParallelKwargs: "ddp",
            InitProcessGroupKwargs: "group",
            GradScalerKwargs: "scaler",
            AutocastKwargs: "autocast",
        }
        if handlers is not None and not isinstance(handlers, (list, tuple)):
            message = f"`kwargs_handlers` must be a list; got {type(handlers).__name__}."
            raise TypeError(message)
        found: dict[str, Any] = {}
        for handler in handlers or ():
            kind = next((name for one, name in kinds.items() if isinstance(handler, one)), None)
            if kind is None:
                known = ", ".join(one.__name__ for one in kinds)
                where = f"{type(handler).__module__}.{type(handler).__name__}"
                message = f"`kwargs_handlers` takes {known}, imported from accel_track.utils; got a {where}."
                raise TypeError(message)
            if kind in found:
                message = f"`kwargs_handlers` holds two {type(handler).__name__}; give one."
                raise ValueError(message)
            found[kind] = handler
        return cls(**found)
