"""How much longer a training step of about 1 ms takes with logging, and what goes on in the background meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks._case import Case, Measured
from benchmarks._clients import Client, open_client
from benchmarks._counts import count, expected
from benchmarks._measure import POOL, SCALARS, VARIANTS, StepClock

TITLE = "Step tax"
ABOUT = """\
How much longer a training step takes if it logs 10 scalars, in µs. Blocks of steps that log take turns with blocks of
plain steps, which begin when nothing works in the background any more. So the tax includes what delivery takes from
the steps.

* *late*: by how much plain steps are longer until the rest is delivered.
* *no core*: the part of the tax in which the training thread was ready to run and another one had its core.
* The first *control* never logs: its distance from 0 shows how exact the measurement is. In the second control, a
  process that only fills a dictionary keeps another core busy, as any delivery does that works all the time."""
COLUMNS = {
    "extra": "step tax",
    "waits": "no core",
    "late": "late",
    "p99": "step p99 with logging",
    "step": "plain step",
    "p99_off": "plain step p99",
}
MAIN = "extra"

_case = partial(Case, "step_tax")
_PEER = "PL tensorboard"
CASES = [
    _case("control: no logging", against=_PEER),
    _case("control: another process computes", "neighbour", against=_PEER, quick=True),
    _case("os.write", "floor", against=_PEER),
    _case("journal alone", "journal", "journal", against=_PEER),
    _case(_PEER, "PL", "tensorboard", quick=True),
    _case("raw tensorboard", "raw", "tensorboard", against=_PEER),
    _case("logger tensorboard", "logger", "tensorboard", against=_PEER, quick=True),
    _case("logger tensorboard (process)", "logger", "tensorboard", "process", against=_PEER),
    _case("logger nine trackers", "logger", "nine", against=_PEER, once=True),
    _case("logger nine trackers (process)", "logger", "nine", "process", against=_PEER),
]

_WIDTH, _BATCH = 256, 64
_COMPUTE = "found, i = {}, 0\nwhile True:\n    i += 1\n    found[i % 50_000] = [i] * 8"


def training_step() -> Callable[[], None]:
    """Return one step of a small network's training, about 1 ms on one core."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, 1)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    inputs = torch.randn(_BATCH, _WIDTH)

    def step() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    return step


def _neighbour() -> Client:
    """Return something that has another process compute, from each call until it is asked whether it is through."""
    process = subprocess.Popen([sys.executable, "-c", _COMPUTE])  # noqa: S603 - this Python
    stopped = False

    def stop() -> bool:
        nonlocal stopped
        if not stopped:
            process.send_signal(signal.SIGSTOP)
        stopped = True
        return True

    def go_on() -> None:
        nonlocal stopped
        if stopped:
            process.send_signal(signal.SIGCONT)
        stopped = False

    def finish() -> None:
        process.kill()
        process.wait()

    stop()
    return Client(lambda _, __: go_on(), finish, drained=lambda _: stop())


def _open(case: Case, folder: Path) -> Client:
    if case.system == "neighbour":
        return _neighbour()
    return open_client(case, folder) if case.system else Client(lambda _, __: None, lambda: None)


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Train with and without logging in turns, then have everything stored and count it."""
    step, calls = training_step(), 0
    client = _open(case, folder)
    pairs, steps = (1, 30) if short else (6, 1000)
    clock = StepClock(pairs, steps, lambda: client.drained(calls))
    while not clock.over:
        logging = clock.tick()
        step()
        if logging:
            client.log(POOL[calls % VARIANTS], calls)
            calls += 1
    client.finish()
    if not case.backend:
        return Measured(dict(clock.values()))
    return Measured(dict(clock.values()), expected(case.backend, SCALARS * calls), *count(case.backend, folder))
