"""Measurements of a training: learning rates, gradients, throughput, the module's size.

No function here waits for a device, takes part in a collective operation, or needs a class of Lightning's: Trainers
and modules may come from `lightning.pytorch` or from `pytorch_lightning`.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence

_MEGABYTE = 1e6


def learning_rates(trainer: Any) -> dict[str, float | torch.Tensor]:
    """Return the learning rate of each parameter group, under the names of Lightning's LearningRateMonitor.

    They are `lr-<optimizer class>`, or the `name` in the configuration of the optimizer's scheduler; with `-1`, `-2`, …
    from the second optimizer of that name on; and with `/pg1`, `/pg2`, … (or `/` and a group's own `name`) where there
    are several groups. An optimizer has one name, also with several schedulers.

    Args:
        trainer: A Trainer that fits.

    Returns:
        Numbers; for a rate that is a tensor on another device than the CPU, a copy of it.
    """
    names: dict[Any, str | None] = {}
    for config in trainer.lr_scheduler_configs:
        if (scheduled := getattr(config.scheduler, "optimizer", None)) is not None:
            names.setdefault(scheduled, config.name)
    for optimizer in trainer.optimizers:
        names.setdefault(getattr(optimizer, "optimizer", optimizer), None)  # DeepSpeed's wraps the optimizer
    seen: Counter[str] = Counter()
    rates: dict[str, float | torch.Tensor] = {}
    for optimizer, given in names.items():
        name = given or f"lr-{type(optimizer).__name__}"
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}-{seen[name] - 1}"
        several = len(optimizer.param_groups) > 1
        for number, group in enumerate(optimizer.param_groups, start=1):
            rate, own = group.get("lr"), group.get("name", f"pg{number}" if several else None)
            if isinstance(rate, torch.Tensor) and rate.device.type != "cpu":
                rate = rate.detach().clone()  # schedulers change it in place
            elif rate is not None:  # Adafactor's own, for one
                rate = float(rate)
            if rate is not None:
                rates[f"{name}/{own}" if own else name] = rate
    return rates


@torch.no_grad()
def gradient_norm(
    module_or_parameters: torch.nn.Module | Iterable[torch.nn.Parameter], norm_type: float = 2.0
) -> torch.Tensor:
    """Return the norm of all gradients, taken as one vector, as a tensor of no dimensions on the first one's device.

    The norm is not waited for. NaN and infinity show in it; without any gradient, it is 0. Gradients that are spread
    over processes (FSDP, tensor parallelism) count with this process's part. With mixed precision in float16, gradients
    are scaled until Lightning's hook `on_before_optimizer_step`.

    Args:
        module_or_parameters: The module, or the parameters, with the gradients.
        norm_type: Which norm: 2, 1, `float("inf")`, ….
    """
    given = module_or_parameters
    parameters = given.parameters() if isinstance(given, torch.nn.Module) else given
    gradients = [local_values(parameter.grad) for parameter in parameters if parameter.grad is not None]
    gradients = [gradient for gradient in gradients if gradient.numel()]  # the largest of no values is an error
    total: torch.Tensor
    if hasattr(torch.nn.utils, "get_total_norm"):  # since torch 2.6; many tensors in one kernel
        total = torch.nn.utils.get_total_norm(gradients, norm_type)
    else:
        norms: list[torch.Tensor] = [torch.linalg.vector_norm(gradient, norm_type) for gradient in gradients]
        together = [norm.to(norms[0].device) for norm in norms] or [torch.tensor(0.0)]
        total = torch.linalg.vector_norm(torch.stack(together), norm_type)
    return total


def local_values(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient's values as a strided tensor of this process."""
    to_local = getattr(gradient, "to_local", None)  # a DTensor, whose norm would be a collective operation
    local: torch.Tensor = gradient if to_local is None else to_local()
    if local.layout is torch.sparse_coo:
        local = local.coalesce()  # the same place may be there twice
    return local if local.layout is torch.strided else local.values()


class Throughput:
    """A meter of the pace of batches, in wall-clock time.

    Waiting for data counts, since it can be what makes a training slow; what comes after `pause`, such as a validation,
    does not. A GPU's work goes on after the calls return, so the time of a single step cannot be told without waiting
    for the GPU; that of many steps together can.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin with nothing measured."""
        self._clock = clock
        self._since: float | None = None
        self._started = 0.0
        self._clear()

    def _clear(self) -> None:
        self._seconds = self._step_seconds = 0.0
        self._batches = 0
        self._samples: int | None = 0

    def batch_started(self) -> None:
        """Note that a step begins."""
        self._started = self._clock()
        if self._since is None:
            self._since = self._started

    def batch_ended(self, batch: Any = None) -> None:
        """Note that a step is over.

        Args:
            batch: The batch. Its size is the first dimension of the tensors and arrays in it, where all agree.
        """
        if self._since is None:
            return
        now = self._clock()
        self._seconds += now - self._since
        self._step_seconds += now - self._started
        self._since = now
        self._batches += 1
        samples = _samples(batch)
        self._samples = None if samples is None or self._samples is None else self._samples + samples

    def pause(self) -> None:
        """Do not count the time until the next step begins."""
        self._since = None

    def values(self) -> dict[str, float]:
        """Return the measurements since the last call; there may be none.

        Returns:
            `throughput/samples_per_second` (of this process; left out if a batch does not tell its size) and
            `throughput/batches_per_second`, with the time between steps; `throughput/step_seconds`, without that time.
        """
        values: dict[str, float] = {}
        if self._batches and self._seconds > 0:
            if self._samples is not None:
                values["throughput/samples_per_second"] = self._samples / self._seconds
            values["throughput/batches_per_second"] = self._batches / self._seconds
            values["throughput/step_seconds"] = self._step_seconds / self._batches
        self._clear()
        return values


def _samples(batch: Any) -> int | None:
    """Return the number of samples in a batch, or None if that is unclear; Lightning's own function warns or raises."""
    try:
        sizes = set(_sizes(batch))
    except Exception:  # noqa: BLE001 - anything can be a batch, also what cannot be looked into
        return None
    return sizes.pop() if len(sizes) == 1 else None


def _sizes(value: Any) -> Iterator[int]:
    """Yield the first dimension of every tensor and array in a batch."""
    if isinstance(value, PackedSequence):
        yield int(value.batch_sizes[0])  # kept on the CPU
    elif hasattr(value, "shape"):
        yield from value.shape[:1]
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_sizes, value.values()))
    elif isinstance(value, (list, tuple)):
        parts = (part for part in value if not isinstance(part, (str, int, float)))  # quickly past thousands of texts
        yield from chain.from_iterable(map(_sizes, parts))
    elif dataclasses.is_dataclass(value):
        yield from chain.from_iterable(_sizes(getattr(value, field.name)) for field in dataclasses.fields(value))


def summarize(pl_module: torch.nn.Module) -> dict[str, Any]:
    """Return a module's class, size and layers, for a run's configuration.

    Lightning's own ModelSummary runs a module that has an `example_input_array`, which takes random numbers and, with
    FSDP, waits for the other processes; this function only counts.

    Args:
        pl_module: The module.

    Returns:
        `class` (its qualified name), `parameters` and `trainable_parameters` (how many numbers), `size_mb` (of the
        parameters, in 10^6 bytes) and `layers` (a table as text). Parameters that get their shape with the first batch
        are not counted; in the table they are "?".
    """
    parameters = [parameter for parameter in pl_module.parameters() if not is_lazy(parameter)]
    kind = type(pl_module)
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "size_mb": sum(parameter.numel() * parameter.element_size() for parameter in parameters) / _MEGABYTE,
        "layers": _layers(pl_module),
    }


def _layers(module: torch.nn.Module) -> str:
    rows = [("name", "type", "parameters")]
    rows += [(name, type(child).__name__, _count(child.parameters())) for name, child in module.named_children()]
    if own := list(module.parameters(recurse=False)):
        rows.append(("(its own)", "", _count(own)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{name:<{widths[0]}} | {kind:<{widths[1]}} | {count:>{widths[2]}}" for name, kind, count in rows]
    return "\n".join((lines[0], "-" * len(lines[0]), *lines[1:]))


def _count(parameters: Iterable[torch.nn.Parameter]) -> str:
    found = list(parameters)
    return "?" if any(is_lazy(parameter) for parameter in found) else f"{sum(one.numel() for one in found):,}"
