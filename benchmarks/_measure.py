"""Time calls and steps."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

SCALARS = 10
VARIANTS = 64
NAMES = tuple(f"train/metric_{index}" for index in range(SCALARS))
POOL: tuple[dict[str, float], ...] = tuple(
    {name: (step + 1) / (index + 7) for index, name in enumerate(NAMES)} for step in range(VARIANTS)
)
"""What calls log, taken in turns: made before the clock runs."""

_IDLE = 0.1
_WINDOW = 0.3
"""Seconds between two looks at the background: the CPU time of other processes is counted in hundredths."""
_LONGEST_TAIL = 3.0
_QUIET = 0.6
"""Seconds without work in the background after which there is none left: longer than ours and SDKs' threads sleep."""
_PATIENCE = 300.0

Log = Callable[[dict[str, float], int], object]


class Latency(NamedTuple):
    """Times of calls, in µs."""

    median: float
    p99: float
    calls: int
    most: float


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of the values is."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def latency(
    log: Log,
    first_step: int,
    calls: int,
    seconds: float,
    pause: float = 0.0,
    warm_up: int = 20,
    wait: Callable[[float], object] = time.sleep,
) -> Latency:
    """Time single calls, for so many calls or seconds; the first ones are made, but not counted in.

    Args:
        log: Logs values with a step.
        first_step: The first call's step; the others count on.
        calls: How many at most.
        seconds: How long at most.
        pause: Seconds to wait between two calls.
        warm_up: How many calls are left out of the times.
        wait: Waits for so many seconds.
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
            wait(pause)
    timed = times[warm_up:] or times
    return Latency(statistics.median(timed) / 1000, percentile(timed, 0.99) / 1000, len(times), max(timed) / 1000)


def compute(seconds: float) -> None:
    """Keep the interpreter busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


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
        self.began, self._before = time.perf_counter(), self._used()

    def is_idle(self) -> bool:
        """Whether it has used less than a tenth of a CPU since the last call or `reset`."""
        began, before = self.began, self._before
        self.reset()
        return self._before - before < _IDLE * (self.began - began)


def waited() -> float | None:
    """Return the seconds that this thread was ready and had no core, or None where the system does not tell.

    Linux does, see "schedstat" in https://docs.kernel.org/scheduler/sched-stats.html.
    """
    try:
        return int(Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return None


class _Block(NamedTuple):
    """Seconds of steps without logging, with it, and after it; what `waited` was before, between and behind these."""

    off: list[float]
    on: list[float]
    tail: list[float]
    waits: list[float | None]

    @property
    def wait(self) -> float | None:
        """How much longer a step with logging waited for a core, in seconds."""
        before, between, behind = (*self.waits, None, None, None)[:3]
        if before is None or between is None or behind is None:
            return None
        return (behind - between) / len(self.on) - (between - before) / len(self.off)


class StepClock:
    """Times steps in pairs of blocks, one without logging and one with it.

    Behind each pair come steps without logging until nothing works in the background any more; where that takes longer,
    there is a pause. So a block without logging is none with what was logged before. The first pair is left out. What
    happens in `tick` itself is not timed.

    Args:
        pairs: How many pairs count.
        steps: Steps of a block.
        drained: Whether everything has been delivered, where the CPU does not tell. Asked only behind steps that were
            to be logged.
    """

    def __init__(self, pairs: int, steps: int, drained: Callable[[], bool] = lambda: True) -> None:
        """Begin with a block without logging."""
        self.over = False
        self.logged = 0
        """How many steps were to be logged."""
        self._pairs, self._steps, self._drained = pairs, steps, drained
        self._background = Background()
        self._blocks = [_Block([], [], [], [])]
        self._times = self._blocks[0].off
        self._busy = 0
        self._began: float | None = None

    def tick(self) -> bool:
        """End a step and begin the next one; return whether that is to be logged.

        Raises:
            TimeoutError: Something still works in the background after minutes.
        """
        if self._began is not None:
            self._times.append(time.perf_counter() - self._began)
            self._turn()
        logging = self._times is self._blocks[-1].on and not self.over
        self.logged += logging
        self._began = time.perf_counter()
        return logging

    def _turn(self) -> None:
        """Go to the next block where this one is through."""
        block = self._blocks[-1]
        if self._times is block.tail:
            self._end_tail(block)
        elif len(self._times) >= self._steps:
            if self._times is block.off and len(self._blocks) == self._pairs + 2:
                self.over = True
                return
            self._times, self._busy = (block.on if self._times is block.off else block.tail), 0
            block.waits.append(waited())
            self._background.reset()

    def _end_tail(self, block: _Block) -> None:
        if time.perf_counter() - self._background.began < _WINDOW:
            return
        if not self._is_through():
            self._busy = len(block.tail)
            if sum(block.tail) < _LONGEST_TAIL:
                return
            self._pause()
        elif sum(block.tail[self._busy :]) < _QUIET:
            return
        del block.tail[self._busy :]
        self._blocks.append(_Block([], [], [], [waited()]))
        self._times = self._blocks[-1].off

    def _is_through(self) -> bool:
        drained = self._drained()  # first: it may end what runs
        return self._background.is_idle() and drained

    def _pause(self) -> None:
        quiet, patience = 0.0, time.perf_counter() + _PATIENCE
        while quiet < _QUIET:
            time.sleep(_WINDOW)
            quiet = quiet + _WINDOW if self._is_through() else 0.0
            if time.perf_counter() > patience:
                message = f"something still works in the background after {_PATIENCE:g} s"
                raise TimeoutError(message)

    def values(self) -> Mapping[str, float]:
        """Return the median over the pairs of a logged step's extra time, and more, in µs.

        A block with logging is compared with the two without it beside it, so that no drift of the machine counts.
        """
        fmean, pairs = statistics.fmean, self._blocks[1:-1]
        plain = [
            (fmean(block.off) + fmean(after.off)) / 2 for block, after in zip(pairs, self._blocks[2:], strict=True)
        ]
        extra = [fmean(block.on) - base for block, base in zip(pairs, plain, strict=True)]
        off = [one for block in self._blocks[1:] for one in block.off]
        on = [one for block in pairs for one in block.on]
        late = [fmean(block.tail) - base for block, base in zip(pairs, plain, strict=True) if block.tail]
        waits = [block.wait for block in pairs if block.wait is not None]
        return {
            "extra": statistics.median(extra) * 1e6,
            "step": statistics.median(off) * 1e6,
            "p99": percentile(on, 0.99) * 1e6,
            "p99_off": percentile(off, 0.99) * 1e6,
            **({"late": statistics.median(late) * 1e6} if late else {}),
            **({"waits": statistics.median(waits) * 1e6} if waits else {}),
        }
