"""The state of this process among others: rank and world size, read whenever they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

    import torch

P = ParamSpec("P")
T = TypeVar("T")

# LOCAL_RANK before SLURM_PROCID: an interactive SLURM shell sets the latter for processes it did not start.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "SLURM_LOCALID", "JSM_NAMESPACE_LOCAL_RANK")
_WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_NTASKS", "JSM_NAMESPACE_SIZE")


def _process_group() -> ModuleType | None:
    """Return `torch.distributed` if the program has imported torch and initialised a process group, else None."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed
    return None


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
    if (distributed := _process_group()) is not None:
        return int(distributed.get_rank())
    lightning = sys.modules.get("lightning_utilities.core.rank_zero")
    rank = getattr(getattr(lightning, "rank_zero_only", None), "rank", None)
    # Lightning stores 0 at import when it knows nothing, so only a positive number tells more than the environment.
    return int(rank) if rank else _from_environment(RANK_VARIABLES, 0)


class MainProcess:
    """`on_main_process` of an `Accelerator` or a `PartialState`: a decorator and a `with` statement.

    As a decorator it runs the function on the main process and returns None elsewhere. A `with` statement cannot skip
    its body in Python, so the body runs on every process and the value bound by `as` tells whether this is the main
    one; whatever `get_tracker` returned does nothing elsewhere.
    """

    def __call__(self, function: Callable[P, T]) -> Callable[P, T | None]:
        """Wrap `function` so that only the main process runs it; the rank is read at each call."""

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T | None:
            return function(*args, **kwargs) if process_index() == 0 else None

        return run

    def __enter__(self) -> bool:
        """Return whether this is the main process."""
        return process_index() == 0

    def __exit__(self, *exc_info: object) -> None:
        """Let every exception through."""


class PartialState:
    """Rank, world size and device of this process.

    Constructing it starts nothing and joins nothing; every attribute is read when it is asked for, so an instance made
    before the process group exists is right afterwards.
    """

    @property
    def process_index(self) -> int:
        """Global rank, 0 on the main process."""
        return process_index()

    @property
    def local_process_index(self) -> int:
        """Rank on this machine."""
        return _from_environment(LOCAL_RANK_VARIABLES, 0)

    @property
    def num_processes(self) -> int:
        """World size, 1 outside distributed training."""
        if (distributed := _process_group()) is not None:
            return int(distributed.get_world_size())
        return _from_environment(_WORLD_SIZE_VARIABLES, 1)

    @property
    def is_main_process(self) -> bool:
        """Whether the global rank is 0."""
        return process_index() == 0

    @property
    def is_local_main_process(self) -> bool:
        """Whether the rank on this machine is 0."""
        return self.local_process_index == 0

    @property
    def is_last_process(self) -> bool:
        """Whether the global rank is the highest."""
        return self.process_index == self.num_processes - 1

    @property
    def device(self) -> torch.device:
        """The device of this process: its CUDA device, else MPS, else the CPU."""
        import torch

        if torch.cuda.is_available():
            return torch.device("cuda", self.local_process_index % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    @property
    def on_main_process(self) -> MainProcess:
        """Decorator, or `with` statement, for work that belongs to the main process."""
        return MainProcess()

    def wait_for_everyone(self) -> None:
        """Block until every process of an initialised group has called this; return at once without a group."""
        if (distributed := _process_group()) is not None:
            distributed.barrier()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Call the built-in `print` on the main process of each machine."""
        if self.is_local_main_process:
            print(*args, **kwargs)  # noqa: T201 - its job
