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
"""The part of a module that is watched."""

_WRAPPERS = ("_orig_mod", "_forward_module", "_original_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of parameters' names that come from `torch.compile`, Lightning Fabric, FSDP and activation checkpointing."""


class _Taken(NamedTuple):
    """The histograms of one backward pass: those that are here and, of each GPU, the names and what it counts."""

    step: int | None
    here: dict[str, Histogram]
    copies: list[tuple[list[str], Copy]]


class Watch:
    """A watch of a module, which takes histograms of gradients and parameters at the end of backward passes.

    `Run.watch` and the front doors make one. The first backward pass is taken, and then every `every`-th. A GPU counts
    its own histograms, and only the counts are copied to the host, without waiting. Gradients are taken as they are at
    the end of the pass: summed over the batches of an accumulation, averaged over processes by DDP, and scaled in
    mixed precision with float16. Of tensors that are spread over processes (FSDP), this process's part counts. A
    parameter without a gradient is taken in a later pass, so that modules that are trained in turn are all seen.

    The watch does not keep the module alive. A pass that is not taken costs a few microseconds, since the watch
    listens to the first and the last parameter with a gradient only.

    Args:
        model: The module.
        log: "gradients", "parameters" or "all".
        every: Backward passes from one set of histograms to the next, 1 or more.
        prefix: Prefix of the names `gradients/…` and `parameters/…`.
        step: A function that returns the training step of a pass. Default: the step of the next call that logs values,
            until which no other pass is taken.
        whole: A function that returns whether a pass ends an accumulation of gradients; other passes are not taken.
        ready: A method that is called with the watch at the end of a taken pass. Its object is not kept alive.
        copy: A function that starts the copy of a GPU's tensors to the host.

    Raises:
        TypeError: `model` is not a module.
        ValueError: `log` or `every` has an unknown value.
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
        """The number of backward passes so far."""
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
        """The module without its wrappers; None if it is gone."""
        return self._model()

    # -- backward passes ----------------------------------------------------------------------------------------------

    def _ring(self, number: int) -> None:
        """Note that a parameter got its gradient; the first one of a pass asks the engine to tell of the pass's end."""
        current = torch._C._current_graph_task_id()  # noqa: SLF001 - a pass that failed has no end
        if current != self._pass:
            self._pass, self._rung = current, []
            _at_end_of_pass(self._passed)
        self._rung.append(number)

    def _passed(self) -> None:
        """Count a pass, and take it if it is due."""
        self._pass, self._since, self.passes = -1, self._since + 1, self.passes + 1
        if self._unheard:
            self._thin_out()
        if (self._is_due() or self._missing) and self._whole():
            _at_end_of_pass(self._take)  # behind DDP's own call, which averages the gradients

    def _is_due(self) -> bool:
        return self._since >= self._every and not self._fresh

    def _thin_out(self) -> None:
        """Listen only to the first and the last of the parameters that got their first gradients in one pass."""
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
        """Give a step to the passes that have none yet.

        Args:
            step: Training step, or None.
        """
        if self._fresh:
            self._taken += [one._replace(step=step) for one in self._fresh]
            self._fresh = []

    def histograms(self, *, wait: bool = False) -> Iterator[tuple[int | None, dict[str, Histogram]]]:
        """Yield the step and the histograms by name of each taken pass, once; passes without a step yet are left out.

        Args:
            wait: Whether to wait for a GPU; if not, passes whose counts are not on the host yet are left for later.
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
        """End the watch."""
        self._end()


def _is_counted_there(values: torch.Tensor) -> bool:
    """Return whether torch counts numbers where they are; on the CPU, NumPy is faster."""
    return values.is_cuda


def _is_done(copy: Copy) -> bool:
    """Return whether a copy is complete, or never will be."""
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
    """Ask autograd's engine to call a function at the end of the current pass, as FSDP does."""
    torch.autograd.Variable._execution_engine.queue_callback(call)  # noqa: SLF001


def _parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Yield the parameters that have numbers, by their names in the module without wrappers."""
    for name, parameter in model.named_parameters():
        if not is_lazy(parameter) and parameter.device.type != "meta":
            yield ".".join(part for part in name.split(".") if part not in _WRAPPERS), parameter


def bare(model: torch.nn.Module) -> torch.nn.Module:
    """Return a module without the wrappers of `torch.compile`, Lightning Fabric and DDP."""
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
        TypeError: `model` is not a module.
        ValueError: `log` or `every` has an unknown value.
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
    """Return the interval between taken passes: `log_freq`, Lightning's name of it, if it is given, else `every`."""
    return every if log_freq is None else log_freq
