"""What one call with 10 scalars costs the thread that makes it: hot, back to back, and cold, with 2 ms in between."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks._case import Case, Measured
from benchmarks._clients import open_client
from benchmarks._counts import count, expected
from benchmarks._measure import SCALARS, Latency, Log, latency

TITLE = "What a call costs"
ABOUT = """\
Latency of one call with 10 scalars, in µs; *hot*: back to back, *cold*: with a pause of 2 ms before each. *os.write*
appends as many bytes as a record has, and does nothing else; *journal alone* is a call without a front door."""
COLUMNS = {"hot": "hot", "hot_p99": "hot p99", "cold": "cold", "cold_p99": "cold p99"}
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
_COLD, _SECONDS, _PAUSE = 300, 1.2, 0.002


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Time cold calls, then hot ones, then have everything stored and count it."""
    client = open_client(case, folder)
    hot = min(_HOT.get(case.system, 3000), _FEW.get(case.backend, 5000))
    cold_calls = _calls(client.log, 0, _COLD, _PAUSE, short)
    hot_calls = _calls(client.log, cold_calls.calls, hot, 0.0, short)
    client.finish()
    if case.system == "floor":
        return _measured(hot_calls, cold_calls)
    logged = expected(case.backend, SCALARS * (hot_calls.calls + cold_calls.calls))
    return _measured(hot_calls, cold_calls, logged, *count(case.backend, folder))


def _calls(log: Log, first: int, calls: int, pause: float, short: bool) -> Latency:
    return latency(log, first, 25 if short else calls, _SECONDS, pause)


def _measured(hot: Latency, cold: Latency, logged: int = 0, counted: int = 0, doubled: int = 0) -> Measured:
    values = {"hot": hot.median, "hot_p99": hot.p99, "cold": cold.median, "cold_p99": cold.p99}
    return Measured(values, logged, counted, doubled)
