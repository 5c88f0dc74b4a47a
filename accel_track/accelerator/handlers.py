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
    """Base class of the settings that `kwargs_handlers` takes."""

    def to_kwargs(self) -> dict[str, Any]:
        """Return the fields that are not as by default."""
        default = type(self)()
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type] # of subclasses
        return {name: value for name, value in values.items() if value != getattr(default, name)}


class DDPCommunicationHookType(str, Enum):
    """How gradients are compressed on their way between processes."""

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
        broadcast_buffers: Whether buffers are those of rank 0 at each forward pass.
        bucket_cap_mb: Size of the buckets of gradients, in MiB.
        find_unused_parameters: Whether parameters may be without a gradient in some steps.
        check_reduction: Not used by torch any more.
        gradient_as_bucket_view: Whether gradients are views of the buckets.
        static_graph: Whether all steps use the same parameters.
        comm_hook: How gradients are compressed.
        comm_wrapper: "fp16" or "bf16" around PowerSGD.
        comm_state_option: Arguments of `PowerSGDState`.
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
        """Return the arguments of the constructor that are not as by default."""
        return {name: value for name, value in super().to_kwargs().items() if not name.startswith("comm_")}

    def register_comm_hook(self, model: DistributedDataParallel) -> None:
        """Have the model's gradients compressed as `comm_hook` says."""
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
        backend: "nccl", "gloo", …. Default: what fits the device.
        init_method: "env://", which `torchrun` prepares, or None for the same.
        timeout: How long a collective call may take. Default: torch's 30 minutes.

    Raises:
        ValueError: Another `init_method`.
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
        growth_factor: By what the scale grows after `growth_interval` steps without an overflow.
        backoff_factor: By what it shrinks after an overflow.
        growth_interval: How many steps that are.
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
        cache_enabled: Whether weights that were cast are kept until the block's end. Default: torch's, True.
    """

    enabled: bool = True
    cache_enabled: bool | None = None


@dataclass
class GradientAccumulationPlugin(KwargsHandler):
    """How gradients are accumulated.

    Args:
        num_steps: How many batches one optimizer step takes its gradients from.
        adjust_scheduler: Whether a scheduler's inner count goes on within a window, against torch's warning about the
            order of steps.
        sync_with_dataloader: Whether the last batch of a data loader always ends a window.
        sync_each_batch: Whether processes exchange gradients at each batch, which takes less memory and more time.
    """

    num_steps: int | None = None
    adjust_scheduler: bool = True
    sync_with_dataloader: bool = True
    sync_each_batch: bool = False


@dataclass
class DataLoaderConfiguration:
    """How data loaders are prepared.

    Args:
        split_batches: Whether a batch is divided among the processes; else each process gets batches of that size.
        dispatch_batches: None or False: each process reads its own share.
        even_batches: True: all processes get equally many batches, for which a few samples are repeated.
        use_seedable_sampler: False.
        data_seed: None.
        non_blocking: Fabric's transfers to a GPU are, whatever is said here.
        use_stateful_dataloader: False.

    Raises:
        ValueError: Another value, with what to do instead.
    """

    split_batches: bool = False
    dispatch_batches: bool | None = None
    even_batches: bool = True
    use_seedable_sampler: bool = False
    data_seed: int | None = None
    non_blocking: bool = False
    use_stateful_dataloader: bool = False

    def __post_init__(self) -> None:
        """Refuse what Fabric does not have."""
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
    """The handlers of one `Accelerator`, None where a kind was not given."""

    ddp: DistributedDataParallelKwargs | None = None
    group: InitProcessGroupKwargs | None = None
    scaler: GradScalerKwargs | None = None
    autocast: AutocastKwargs | None = None

    @classmethod
    def of(cls, handlers: Iterable[KwargsHandler] | None) -> Handlers:
        """Sort a list of handlers by kind.

        Raises:
            TypeError: Something else than a list of known handlers.
            ValueError: Two of one kind.
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
