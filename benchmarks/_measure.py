"""Time calls and steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import psutil

SCALARS = 10
VARIANTS = 64
NAMES = tuple(f"train/metric_{index}" for index in range(SCALARS))
POOL: tuple[dict[str, float], ...] = tuple(
    {name: (step + 1) / (index + 7) for index, name in enumerate(NAMES)} for step in range(VARIANTS)
)
"""What calls log, taken in turns: made before the clock runs."""

_CHUNK = 50
_IDLE = 0.1
_LONGEST_TAIL = 20.0
_QUIET = 0.6
"""Seconds without work in the background after which there is none left: longer than ours and SDKs' threads sleep."""

Log = Callable[[dict[str, float], int], object]


class Latency(NamedTuple):
    """Times of calls, in µs."""

    median: float
    p99: float
    calls: int


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of the values is."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def latency(log: Log, first_step: int, calls: int, seconds: float, pause: float = 0.0, warm_up: int = 20) -> Latency:
    """Time single calls, for so many calls or seconds; the first ones are made, but not counted in.

    Args:
        log: Logs values with a step.
        first_step: The first call's step; the others count on.
        calls: How many at most.
        seconds: How long at most.
        pause: Seconds to sleep between two calls.
        warm_up: How many calls are left out of the times.
    """
    times: list[int] = []
    now, end = time.perf_counter_ns, time.perf_counter() + seconds
    step = first_step
    while step - first_step < calls and (time.perf_counter() < end or len(times) <= warm_up):
        values = POOL[step % VARIANTS]
        begin = now()
        log(values, step)
        times.append(now() - begin)
        step += 1
        if pause:
            time.sleep(pause)
    timed = times[warm_up:] or times
    return Latency(statistics.median(timed) / 1000, percentile(timed, 0.99) / 1000, len(times))


class Background:
    """What this process's other threads and its child processes use of the CPU; asked from one thread."""

    def __init__(self) -> None:
        """Start to count."""
        self._process = psutil.Process()
        self.reset()

    def _used(self) -> float:
        total = time.process_time() - time.thread_time()
        for child in self._process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.Error:  # it has ended since
                continue
            total += times.user + times.system
        return total

    def reset(self) -> None:
        """Forget what was used so far."""
        self._at, self._before = time.perf_counter(), self._used()

    def is_idle(self) -> bool:
        """Whether it has used less than a tenth of a CPU since the last call or `reset`."""
        at, before = self._at, self._before
        self.reset()
        return self._before - before < _IDLE * (self._at - at)


class StepClock:
    """Times steps in pairs of blocks: without logging, with it, and then without until nothing works in the background.

    So what is done late is on the bill of the steps that have logged. The steps after the last work in the background
    are left out, as is the first pair. What happens in `tick` itself is not timed.

    Args:
        pairs: How many pairs count.
        steps: Steps of a block.
        drained: Whether everything has been delivered, where the CPU does not tell.
    """

    def __init__(self, pairs: int, steps: int, drained: Callable[[], bool] = lambda: True) -> None:
        """Begin with a block without logging."""
        self.over = False
        self.logged = 0
        """How many steps were to be logged."""
        self._pairs, self._steps, self._drained = pairs + 1, steps, drained
        self._background = Background()
        self._blocks: list[dict[str, list[float]]] = [{"off": [], "on": [], "tail": []}]
        self._phase = "off"
        self._busy = 0
        self._began: float | None = None

    def tick(self) -> bool:
        """End a step and begin the next one; return whether that is to be logged."""
        now = time.perf_counter()
        times = self._blocks[-1][self._phase]
        if self._began is not None:
            times.append(now - self._began)
            if self._phase == "tail":
                if len(times) % _CHUNK == 0:
                    self._end_tail(times)
            elif len(times) >= self._steps:
                self._phase = "on" if self._phase == "off" else "tail"
                self._busy = 0
                self._background.reset()
        logging = self._phase == "on" and not self.over
        self.logged += logging
        self._began = time.perf_counter()
        return logging

    def _end_tail(self, times: list[float]) -> None:
        if not (self._background.is_idle() and self._drained()):
            self._busy = len(times)
        if sum(times[self._busy :]) > _QUIET or sum(times) > _LONGEST_TAIL:
            del times[self._busy :]
            self._phase = "off"
            self.over = len(self._blocks) == self._pairs
            if not self.over:
                self._blocks.append({"off": [], "on": [], "tail": []})

    def values(self) -> Mapping[str, float]:
        """Return the median over the pairs of a logged step's extra time, and more, in µs."""
        extra = []
        for block in self._blocks[1:]:
            plain = statistics.fmean(block["off"])
            rest = [*block["on"], *block["tail"]]
            extra.append((sum(rest) - plain * len(rest)) / len(block["on"]))
        off = [one for block in self._blocks[1:] for one in block["off"]]
        on = [one for block in self._blocks[1:] for one in block["on"]]
        return {
            "extra": statistics.median(extra) * 1e6,
            "step": statistics.median(off) * 1e6,
            "p99": percentile(on, 0.99) * 1e6,
            "p99_off": percentile(off, 0.99) * 1e6,
        }
