"""The watch of a module: histograms of its gradients and parameters, every so many backward passes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch.nn.parameter import is_lazy

from accel_track.errors import warn
from accel_track.media.histograms import histogram
from accel_track.media.kinds import Histogram
from accel_track.monitors.counting import BINS, Uncounted, counted, histogram_of
from accel_track.monitors.training import local_values
from accel_track.values.gpu import Copy, CudaCopy

Watched = Literal["gradients", "parameters", "all"]
"""What of a module is watched."""

_WRAPPERS = ("_orig_mod", "_forward_module", "_original_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of parameters' names that come from `torch.compile`, Lightning Fabric, FSDP and activation checkpointing."""


class _Taken(NamedTuple):
    """The histograms of one backward pass: those that are here and, of each GPU, the names and what it counts."""

    step: int | None
    here: dict[str, Histogram]
    copies: list[tuple[list[str], Copy]]


class Watch:
    """Takes histograms of a module's gradients and parameters at the end of backward passes; the first is one of them.

    A GPU counts them itself, and only the numbers of the bins are copied from there, without waiting.
    Gradients are as they are then: summed over the batches of an accumulation, averaged over processes by DDP, scaled
    with mixed precision in float16. Of what is spread over processes (FSDP), this process's part counts. A parameter
    without a gradient is looked at again in the next passes, so that modules that are trained in turn are all seen.

    The module is not kept alive. Where a pass is not due, it costs a few microseconds: only the first and the last
    parameter that gets a gradient is listened to.

    Args:
        model: The module.
        log: "gradients", "parameters" or "all".
        every: How many backward passes there are from one to the next that is looked at.
        prefix: Put before the names `gradients/…` and `parameters/…`.
        step: Returns the training step of a pass. Without it, the step is that of the next call that logs values, and
            no other pass is looked at until then.
        whole: Whether a pass ends an accumulation of gradients; other passes are not looked at.
        ready: A method that is called with this at the end of a pass that was looked at; its object is not kept alive.
        copy: Starts copying tensors of a GPU to the host.

    Raises:
        TypeError: `model` is no module.
        ValueError: `log` or `every` is something else.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        log: str,
        every: int,
        *,
        prefix: str = "",
        step: Callable[[], int | None] = lambda: None,
        whole: Callable[[], bool] = lambda: True,
        ready: Callable[[Watch], object] | None = None,
        copy: Callable[[Sequence[Any]], Copy] = CudaCopy,
    ) -> None:
        """Listen to the module's parameters."""
        check(model, log, every)
        self._model = weakref.ref(bare(model))
        self._log, self._every, self._copy, self._prefix = log, every, copy, prefix
        self._step, self._whole = step, whole
        self._ready = None if ready is None else weakref.WeakMethod(ready)
        self.passes = 0
        """How many backward passes there were."""
        self._since = every - 1
        self._missing: dict[str, weakref.ref[torch.Tensor]] = {}
        self._fresh: list[_Taken] = []
        self._taken: list[_Taken] = []
        self._pass, self._rung = -1, list[int]()
        self._bells: dict[int, Any] = {}
        trainable = (one for one in model.parameters() if one.requires_grad and not is_lazy(one))
        for number, parameter in enumerate(trainable):
            ring = _bell(weakref.ref(self), number)
            self._bells[number] = parameter.register_post_accumulate_grad_hook(ring)  # type: ignore[no-untyped-call]
        if not self._bells:
            warn("watch: the module has no parameter with a shape that is trained, so there is nothing to look at.")
        self._unheard = set(self._bells)
        self._end = weakref.finalize(self, _remove, self._bells)
        self._end.atexit = False

    @property
    def model(self) -> torch.nn.Module | None:
        """The module, without what wraps it; None where it is gone."""
        return self._model()

    # -- backward passes ----------------------------------------------------------------------------------------------

    def _ring(self, number: int) -> None:
        """Note that a parameter got its gradient; the first of a pass has the engine call when all have theirs."""
        current = torch._C._current_graph_task_id()  # noqa: SLF001 - a pass that failed has no end
        if current != self._pass:
            self._pass, self._rung = current, []
            _at_end_of_pass(self._passed)
        self._rung.append(number)

    def _passed(self) -> None:
        """Count a pass, and look at it if it is due."""
        self._pass, self._since, self.passes = -1, self._since + 1, self.passes + 1
        if self._unheard:
            self._thin_out()
        if (self._is_due() or self._missing) and self._whole():
            _at_end_of_pass(self._take)  # behind DDP's own call, which averages the gradients

    def _is_due(self) -> bool:
        return self._since >= self._every and not self._fresh

    def _thin_out(self) -> None:
        """Of parameters that got their first gradients in one pass, go on listening to the first and the last alone."""
        news = [number for number in self._rung if number in self._unheard]
        self._unheard.difference_update(news)
        for number in news[1:-1]:
            self._bells.pop(number).remove()

    def _take(self) -> None:
        model = self._model()
        if model is None:
            return
        found: dict[str, torch.Tensor] = {}
        if self._is_due():
            self._since, self._missing = 0, {}
            for name, parameter in _parameters(model):
                if self._log != "gradients":
                    found[f"{self._prefix}parameters/{name}"] = parameter
                if self._log != "parameters" and parameter.requires_grad:
                    self._missing[f"{self._prefix}gradients/{name}"] = weakref.ref(parameter)
        for name, reference in list(self._missing.items()):
            alive = reference()
            if alive is None or alive.grad is not None:
                del self._missing[name]
            if alive is not None and alive.grad is not None:
                found[name] = alive.grad
        if found:
            taken = self._counted(found)
            (self._fresh if taken.step is None else self._taken).append(taken)
            self._tell()

    def _tell(self) -> None:
        ready = None if self._ready is None else self._ready()
        if ready is not None:
            ready(self)

    def _counted(self, found: Mapping[str, torch.Tensor]) -> _Taken:
        alike: dict[torch.device, dict[str, torch.Tensor]] = {}
        here: dict[str, Histogram] = {}
        for name, tensor in found.items():
            try:
                values = local_values(tensor.detach())
                if not values.numel():
                    continue
                if _is_counted_there(values):
                    alike.setdefault(values.device, {})[name] = counted(values)
                else:
                    here[name] = Histogram.of_stored(histogram(values, BINS), None)
            except Exception as error:  # noqa: BLE001 - no memory, no finite number; a training goes on
                here[name] = Uncounted(str(error))
        copies: list[tuple[list[str], Copy]] = []
        for rows in alike.values():
            names = list(rows)
            try:
                copies.append((names, self._copy([torch.stack(list(rows.values()))])))
            except Exception as error:  # noqa: BLE001 - as above
                here |= {name: Uncounted(str(error)) for name in names}
        return _Taken(self._step(), here, copies)

    # -- what was taken -----------------------------------------------------------------------------------------------

    def stamp(self, step: int | None) -> None:
        """Say which step the passes belong to of which it is not known yet."""
        if self._fresh:
            self._taken += [one._replace(step=step) for one in self._fresh]
            self._fresh = []

    def histograms(self, *, wait: bool = False) -> Iterator[tuple[int | None, dict[str, Histogram]]]:
        """Yield what has been taken since and is on the host, by passes of which the step is known: it and histograms.

        Args:
            wait: Whether to wait for a GPU.
        """
        while self._taken and (wait or all(_is_done(copy) for _, copy in self._taken[0].copies)):
            one = self._taken.pop(0)
            values = one.here
            for names, copy in one.copies:
                try:
                    values |= zip(names, map(histogram_of, copy.values()[0]), strict=True)
                except Exception as error:  # noqa: BLE001, PERF203 - the GPU's, of what was queued before
                    values |= {name: Uncounted(str(error)) for name in names}
            yield one.step, values

    def end(self) -> None:
        """Listen no longer."""
        self._end()


def _is_counted_there(values: torch.Tensor) -> bool:
    """Whether numbers are counted where they are; on the CPU, NumPy is faster."""
    return values.is_cuda


def _is_done(copy: Copy) -> bool:
    """Whether a copy is complete, or will never be."""
    try:
        return copy.done()
    except Exception:  # noqa: BLE001 - the GPU's, of what was queued before
        return True


def _bell(watch: weakref.ref[Watch], number: int) -> Callable[[torch.Tensor], None]:
    def ring(_: torch.Tensor) -> None:
        if (one := watch()) is not None:
            one._ring(number)  # noqa: SLF001 - its own

    return ring


def _remove(bells: dict[int, Any]) -> None:
    for handle in bells.values():
        handle.remove()
    bells.clear()


def _at_end_of_pass(call: Callable[[], None]) -> None:
    """Have autograd's engine call a function behind the present pass, as FSDP does."""
    torch.autograd.Variable._execution_engine.queue_callback(call)  # noqa: SLF001


def _parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Yield the parameters that have numbers, under the names that they have in the module as it was written."""
    for name, parameter in model.named_parameters():
        if not is_lazy(parameter) and parameter.device.type != "meta":
            yield ".".join(part for part in name.split(".") if part not in _WRAPPERS), parameter


def bare(model: torch.nn.Module) -> torch.nn.Module:
    """Return a module without what wraps it: `torch.compile`, Lightning Fabric, DDP."""
    while (inner := _wrapped(model)) is not None:
        model = inner
    return model


def _wrapped(model: torch.nn.Module) -> torch.nn.Module | None:
    """Return the module that another one wraps, or None."""
    parallel = isinstance(model, (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel))
    found = (getattr(model, name, None) for name in (("module",) if parallel else ("_original_module", "_orig_mod")))
    return next((one for one in found if isinstance(one, torch.nn.Module)), None)


def check(model: Any, log: Any, every: Any) -> None:
    """Check the arguments of a watch.

    Raises:
        TypeError: `model` is no module.
        ValueError: `log` or `every` is something else.
    """
    if not isinstance(model, torch.nn.Module):
        message = f"`watch` takes a torch.nn.Module; got {type(model).__name__}."
        raise TypeError(message)
    if log not in get_args(Watched):
        message = f"`log` must be 'gradients', 'parameters', 'all' or None; got {log!r}."
        raise ValueError(message)
    if type(every) is not int or every < 1:
        message = f"`every` must be a number of backward passes, 1 or more; got {every!r}."
        raise ValueError(message)


def interval(every: int, log_freq: int | None) -> int:
    """Return how many passes there are from one to the next: `log_freq`, Lightning's word for it, if it is given."""
    return every if log_freq is None else log_freq
