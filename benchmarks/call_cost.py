"""What one call with 10 scalars costs the thread that makes it: hot, back to back, and cold, with 2 ms in between."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks._case import Case, Measured
from benchmarks._clients import open_client
from benchmarks._counts import count, expected
from benchmarks._measure import SCALARS, Latency, Log, compute, latency

TITLE = "What a call costs"
ABOUT = """\
How long one call with 10 scalars takes, in µs:

* *hot*: calls back to back; *cold*: with a pause of 2 ms before each; *busy*: with 0.5 ms of Python code before each,
  which delivery in the background wants to interrupt. *p99*: 99 of 100 calls are quicker.
* *background*: the CPU time of the process's other threads, for each of the *busy* calls.
* The row *os.write* only appends as many bytes as a record has; *journal alone* is a call without a front door."""
COLUMNS = {
    "hot": "hot",
    "hot_p99": "hot p99",
    "cold": "cold",
    "cold_p99": "cold p99",
    "busy": "busy",
    "busy_p99": "busy p99",
    "busy_most": "busy, slowest",
    "background": "background",
}
MAIN = "hot"

_case = partial(Case, "call_cost")
_TB, _PL = "logger tensorboard", "PL tensorboard"
CASES = [
    _case("os.write", "floor", quick=True),
    _case("journal alone", "journal", "journal", quick=True),
    _case(_TB, "logger", "tensorboard", against=_PL, quick=True),
    _case("facade tensorboard", "facade", "tensorboard", against="HF tensorboard", quick=True),
    _case("logger wandb", "logger", "wandb", against="PL wandb"),
    _case("logger comet", "logger", "comet_ml", against="PL comet"),
    _case("logger mlflow", "logger", "mlflow", against="PL mlflow"),
    _case("logger tensorboard (process)", "logger", "tensorboard", "process", against=_PL),
    _case("logger nine trackers", "logger", "nine", against=_TB),
    _case("logger nine trackers (process)", "logger", "nine", "process", against="logger tensorboard (process)"),
    _case(_PL, "PL", "tensorboard", quick=True),
    _case(f"{_PL} max_queue=1000", "PL", "tensorboard"),
    _case("PL csv", "PL", "csv", once=True),
    _case("PL wandb", "PL", "wandb"),
    _case("PL comet", "PL", "comet_ml"),
    _case("PL mlflow", "PL", "mlflow"),
    _case("HF tensorboard", "HF", "tensorboard", quick=True),
    _case("HF wandb", "HF", "wandb", once=True),
    _case("HF swanlab", "HF", "swanlab", once=True),
    _case("HF trackio", "HF", "trackio", once=True),
]

# Calls at most. The nine trackers' and MLflow's are few, because all of them are delivered and counted.
_HOT = {"logger": 5000, "facade": 5000, "floor": 5000, "journal": 5000}
_FEW = {"nine": 500, "mlflow": 1500, "comet_ml": 2000}
_COLD, _SECONDS, _PAUSE, _REST = 300, 1.2, 0.002, 1.5
_BUSY, _WORK = {"": 10_000, "journal": 10_000, "tensorboard": 10_000}, 0.0005


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Time cold calls, then hot ones, then have everything stored and count it."""
    client = open_client(case, folder)
    hot = min(_HOT.get(case.system, 3000), _FEW.get(case.backend, 5000))
    cold_calls = _calls(client.log, 0, _COLD, _PAUSE, short)
    hot_calls = _calls(client.log, cold_calls.calls, hot, 0.0, short)
    calls = cold_calls.calls + hot_calls.calls
    values = {"hot": hot_calls.median, "hot_p99": hot_calls.p99, "cold": cold_calls.median, "cold_p99": cold_calls.p99}
    if busy := _BUSY.get(case.backend):
        time.sleep(0 if short else _REST)  # for what is still to be delivered
        background = time.process_time() - time.thread_time()
        busy_calls = latency(client.log, calls, 25 if short else busy, 60.0, _WORK, wait=compute)
        background = time.process_time() - time.thread_time() - background
        calls += busy_calls.calls
        values |= {"busy": busy_calls.median, "busy_p99": busy_calls.p99, "busy_most": busy_calls.most}
        values["background"] = background / busy_calls.calls * 1e6
    client.finish()
    if case.system == "floor":
        return Measured(values)
    return Measured(values, expected(case.backend, SCALARS * calls), *count(case.backend, folder))


def _calls(log: Log, first: int, calls: int, pause: float, short: bool) -> Latency:
    return latency(log, first, 25 if short else calls, _SECONDS, pause)
