"""The processes of a training, as one of them sees them: ranks, work for some of them, turns, and shares of inputs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

    import torch

P = ParamSpec("P")
T = TypeVar("T")


class DistributedType(str, Enum):
    """The way in which the processes of a training share its work.

    An `Accelerator` has `NO` (a single process), `MULTI_CPU` or `MULTI_GPU`. The other members of accelerate's class
    exist for scripts that compare with them: `MULTI_NPU`, `MULTI_MLU`, `MULTI_SDAA`, `MULTI_MUSA`, `MULTI_XPU`,
    `MULTI_HPU`, `MULTI_NEURON`, `DEEPSPEED`, `FSDP`, `XLA` and `MEGATRON_LM`.
    """

    NO = "NO"
    MULTI_CPU = "MULTI_CPU"
    MULTI_GPU = "MULTI_GPU"
    MULTI_NPU = "MULTI_NPU"
    MULTI_MLU = "MULTI_MLU"
    MULTI_SDAA = "MULTI_SDAA"
    MULTI_MUSA = "MULTI_MUSA"
    MULTI_XPU = "MULTI_XPU"
    MULTI_HPU = "MULTI_HPU"
    MULTI_NEURON = "MULTI_NEURON"
    DEEPSPEED = "DEEPSPEED"
    FSDP = "FSDP"
    XLA = "XLA"
    MEGATRON_LM = "MEGATRON_LM"


class OnProcess:
    """A decorator and a `with` statement for work that belongs to certain processes, such as the main process.

    A decorated function runs on those processes, and returns None on the others. The body of a `with` statement runs on
    every process, since Python cannot skip it; the value bound by `as` tells whether the work belongs to this process.
    The object from `get_tracker` does nothing off the main process anyway.

    Args:
        belongs: A function that returns whether the work belongs to this process, asked at each call.
    """

    def __init__(self, belongs: Callable[[], bool]) -> None:
        """Keep the function."""
        self._belongs = belongs

    def __call__(self, function: Callable[P, T]) -> Callable[P, T | None]:
        """Wrap a function so that only those processes run it."""

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T | None:
            return function(*args, **kwargs) if self._belongs() else None

        return run

    def __enter__(self) -> bool:
        """Return whether the work belongs to this process."""
        return self._belongs()

    def __exit__(self, *exc_info: object) -> None:
        """Let every exception through."""


class Processes:
    """The calls that follow from a process's ranks, world size, device and barrier, which subclasses define."""

    if TYPE_CHECKING:

        @property
        def process_index(self) -> int: ...  # noqa: D102

        @property
        def local_process_index(self) -> int: ...  # noqa: D102

        @property
        def num_processes(self) -> int: ...  # noqa: D102

        @property
        def device(self) -> torch.device: ...  # noqa: D102

    def wait_for_everyone(self) -> None:
        """Block until all processes have made this call."""
        raise NotImplementedError

    @property
    def is_main_process(self) -> bool:
        """Whether the global rank is 0."""
        return self.process_index == 0

    @property
    def is_local_main_process(self) -> bool:
        """Whether the rank on this machine is 0."""
        return self.local_process_index == 0

    @property
    def is_last_process(self) -> bool:
        """Whether the global rank is the highest."""
        return self.process_index == self.num_processes - 1

    @property
    def use_distributed(self) -> bool:
        """Whether there is more than one process."""
        return self.num_processes > 1

    @property
    def distributed_type(self) -> DistributedType:
        """The distributed type: `NO` for a single process, else `MULTI_GPU` or `MULTI_CPU`, by the device."""
        if not self.use_distributed:
            return DistributedType.NO
        return DistributedType.MULTI_GPU if self.device.type == "cuda" else DistributedType.MULTI_CPU

    @property
    def on_main_process(self) -> OnProcess:
        """A decorator, or the object of a `with` statement, for work that belongs to the main process.

        A decorated function returns None on other processes. The body of a `with` statement runs on every process; the
        value bound by `as` tells whether this is the main process.
        """
        return OnProcess(lambda: self.is_main_process)

    @property
    def on_local_main_process(self) -> OnProcess:
        """A decorator, or the object of a `with` statement, for work of each machine's main process."""
        return OnProcess(lambda: self.is_local_main_process)

    @property
    def on_last_process(self) -> OnProcess:
        """A decorator, or the object of a `with` statement, for work of the process with the highest rank."""
        return OnProcess(lambda: self.is_last_process)

    def on_process(self, function: Callable[P, T] | None = None, process_index: int | None = None) -> Any:
        """Decorate a function so that only the process of one rank runs it: `@on_process(process_index=2)`.

        Args:
            function: The function; None to return a decorator.
            process_index: Global rank of the process.

        Raises:
            TypeError: `process_index` is missing.
        """
        index = _given(process_index, "process_index")
        decorator = OnProcess(lambda: self.process_index == index)
        return decorator if function is None else decorator(function)

    def on_local_process(self, function: Callable[P, T] | None = None, local_process_index: int | None = None) -> Any:
        """Decorate a function so that only the process of one rank of each machine runs it.

        Args:
            function: The function; None to return a decorator.
            local_process_index: Rank of the process on its machine.

        Raises:
            TypeError: `local_process_index` is missing.
        """
        index = _given(local_process_index, "local_process_index")
        decorator = OnProcess(lambda: self.local_process_index == index)
        return decorator if function is None else decorator(function)

    def main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Surround a block that the main process runs before the others do; a collective call."""
        return self._first(self.is_main_process)

    def local_main_process_first(self) -> contextlib.AbstractContextManager[None]:
        """Surround a block that each machine's main process runs before the others do; a collective call."""
        return self._first(self.is_local_main_process)

    @contextlib.contextmanager
    def _first(self, goes_first: bool) -> Iterator[None]:
        self._check_group()
        if not goes_first:
            self.wait_for_everyone()
        try:
            yield
        finally:  # an exception must not leave the others waiting
            if goes_first:
                self.wait_for_everyone()

    def _check_group(self) -> None:
        """Raise an error if the processes cannot wait for each other yet."""

    @contextlib.contextmanager
    def split_between_processes(self, inputs: Any, apply_padding: bool = False) -> Iterator[Any]:
        """Give this process its share of inputs: `with state.split_between_processes(prompts) as mine:`.

        Args:
            inputs: A list, tuple, tensor or `datasets.Dataset`, or a dictionary of these, all of one length. If the
                length is no multiple of the world size, the first processes get one input more.
            apply_padding: Whether shorter shares are filled up with the last input, so that all shares are equally
                long.

        Raises:
            TypeError: `inputs` has another type.
            ValueError: The values of a dictionary differ in length.
        """
        yield inputs if self.num_processes == 1 else self._share(inputs, apply_padding)

    def _share(self, inputs: Any, apply_padding: bool) -> Any:
        if isinstance(inputs, dict):
            if len({len(values) for values in inputs.values()}) > 1:
                message = "split_between_processes: the values of the dictionary differ in length."
                raise ValueError(message)
            return {key: self._share(values, apply_padding) for key, values in inputs.items()}
        if not hasattr(inputs, "__len__") or isinstance(inputs, (str, bytes)):
            message = f"split_between_processes takes a list, tuple, tensor or dictionary; got {type(inputs).__name__}."
            raise TypeError(message)
        count, more = divmod(len(inputs), self.num_processes)
        start = self.process_index * count + min(self.process_index, more)
        indices = list(range(start, start + count + (self.process_index < more)))
        if apply_padding and len(inputs):
            indices += [len(inputs) - 1] * (count + (more > 0) - len(indices))
        if isinstance(inputs, (list, tuple)):
            share = [inputs[index] for index in indices]
            return tuple(share) if isinstance(inputs, tuple) else share
        return inputs.select(indices) if hasattr(inputs, "select") and hasattr(inputs, "features") else inputs[indices]

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Call the built-in `print` on the main process of each machine, and do nothing on the others.

        Args:
            *args: Arguments of `print`.
            **kwargs: Keyword arguments of `print`.
        """
        if self.is_local_main_process:
            print(*args, **kwargs)  # noqa: T201 - its job


def process_group() -> ModuleType | None:
    """Return `torch.distributed` if the program has imported torch and initialised a process group, else None."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed
    return None


def _given(index: int | None, name: str) -> int:
    if index is None:
        message = f"`{name}` is missing: give the rank of the process that runs the function."
        raise TypeError(message)
    return index
