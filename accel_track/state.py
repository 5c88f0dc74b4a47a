"""The state of this process among others: rank and world size, read whenever they are asked for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from accel_track.errors import NotStartedError
from accel_track.processes import DistributedType, Processes, process_group

if TYPE_CHECKING:
    import torch

__all__ = ["AcceleratorState", "DistributedType", "PartialState", "is_initialized", "process_index"]

# LOCAL_RANK before SLURM_PROCID: an interactive SLURM shell sets the latter for processes it did not start.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "SLURM_LOCALID", "JSM_NAMESPACE_LOCAL_RANK")
_WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_NTASKS", "JSM_NAMESPACE_SIZE")


def _from_environment(variables: tuple[str, ...], default: int) -> int:
    for variable in variables:
        value = os.environ.get(variable, "")
        if value.isdecimal():
            return int(value)
    return default


def process_index() -> int:
    """Return the global rank of this process.

    The first that is known counts: the rank in an initialised `torch.distributed` group; Lightning's
    `rank_zero_only.rank`, which a Trainer sets before the group exists; the launcher's environment variables; 0.
    """
    if (distributed := process_group()) is not None:
        return int(distributed.get_rank())
    lightning = sys.modules.get("lightning_utilities.core.rank_zero")
    rank = getattr(getattr(lightning, "rank_zero_only", None), "rank", None)
    # Lightning stores 0 at import when it knows nothing, so only a positive number tells more than the environment.
    return int(rank) if rank else _from_environment(RANK_VARIABLES, 0)


class PartialState(Processes):
    """The rank, world size and device of this process.

    The constructor starts nothing and joins nothing. Every attribute is read at each access, so that an instance made
    before the process group is right afterwards, too.

    Args:
        cpu: Whether the device is the CPU even if there is a GPU.
    """

    def __init__(self, cpu: bool = False) -> None:
        """Note the device's kind."""
        self._cpu = cpu

    @property
    def process_index(self) -> int:
        """The global rank of this process, 0 on the main process."""
        return process_index()

    @property
    def local_process_index(self) -> int:
        """The rank of this process on its machine."""
        return _from_environment(LOCAL_RANK_VARIABLES, 0)

    @property
    def num_processes(self) -> int:
        """The world size: the number of processes, 1 outside distributed training."""
        if (distributed := process_group()) is not None:
            return int(distributed.get_world_size())
        return _from_environment(_WORLD_SIZE_VARIABLES, 1)

    @property
    def device(self) -> torch.device:
        """The device of this process: its CUDA device, else MPS, else the CPU."""
        import torch

        if torch.cuda.is_available() and not self._cpu:
            return torch.device("cuda", self.local_process_index % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() and not self._cpu else "cpu")

    def wait_for_everyone(self) -> None:
        """Block until every process of an initialised group has made this call; return at once without a group."""
        if (distributed := process_group()) is not None:
            distributed.barrier()

    def _check_group(self) -> None:
        if self.num_processes > 1 and process_group() is None:
            message = (
                "main_process_first: the processes have no group yet, which `Accelerator()` joins; make it before."
            )
            raise NotStartedError(message)

    def __repr__(self) -> str:
        """Return a line with rank, world size and device."""
        return f"{type(self).__name__}({', '.join(self.told())})"

    def told(self) -> list[str]:
        """Return the parts of the line that `repr` gives."""
        return [
            f"distributed_type={self.distributed_type.value}",
            f"process {self.process_index} of {self.num_processes}",
            f"{self.local_process_index} on this machine",
            f"device {self.device}",
        ]


class AcceleratorState(PartialState):
    """The state of an `Accelerator`; a script that constructs it gets the state of the latest accelerator.

    Args:
        mixed_precision: "no", "fp16" or "bf16". Default: the latest accelerator's precision, else "no".
        cpu: Whether the device is the CPU even if there is a GPU. Default: the latest accelerator's choice, else False.

    Attributes:
        mixed_precision: The precision.
        deepspeed_plugin: None, as `fsdp_plugin` and `megatron_lm_plugin` are: sharded strategies are not supported.
    """

    deepspeed_plugin = fsdp_plugin = megatron_lm_plugin = None

    def __init__(self, mixed_precision: str | None = None, cpu: bool | None = None) -> None:
        """Keep the given values, and take the others from the latest accelerator."""
        last = _last or (None, False)
        super().__init__(last[1] if cpu is None else cpu)
        self.mixed_precision = mixed_precision or last[0] or "no"

    def note(self) -> None:
        """Keep this state as that of the latest accelerator."""
        _last[:] = [self.mixed_precision, self._cpu]

    def told(self) -> list[str]:
        """Return the parts of the line that `repr` gives."""
        return [*super().told(), f"mixed_precision={self.mixed_precision}"]


_last: list[Any] = []
"""Precision of the latest accelerator, and whether it was asked for the CPU."""


def is_initialized() -> bool:
    """Return whether this process has made an `Accelerator`."""
    return bool(_last)
