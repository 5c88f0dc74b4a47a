"""What one call with 10 scalars costs the thread that makes it: hot, back to back, and cold, with 2 ms in between."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from benchmarks._case import Case, Measured
from benchmarks._clients import open_client
from benchmarks._counts import count, expected
from benchmarks._measure import POOL, SCALARS, Latency, Log, latency

TITLE = "What a call costs"
ABOUT = "Latency of one call with 10 scalars, in µs; *hot*: back to back, *cold*: with a pause of 2 ms before each."
COLUMNS = {"hot": "hot", "hot_p99": "hot p99", "cold": "cold", "cold_p99": "cold p99"}
MAIN = "hot"

_case = partial(Case, "call_cost")
_TB, _PL = "logger tensorboard", "PL tensorboard"
CASES = [
    _case("os.write", quick=True),
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
_HOT = {"logger": 5000, "facade": 5000, "": 20_000}
_FEW = {"nine": 500, "mlflow": 1500, "comet_ml": 2000}
_COLD, _SECONDS, _PAUSE = 300, 1.2, 0.002


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Time cold calls, then hot ones, then have everything stored and count it."""
    if case.name == "os.write":
        return _floor(folder, short)
    client = open_client(case, folder)
    hot = min(_HOT.get(case.system, 3000), _FEW.get(case.backend, 5000))
    cold_calls = _calls(client.log, 0, _COLD, _PAUSE, short)
    hot_calls = _calls(client.log, cold_calls.calls, hot, 0.0, short)
    client.finish()
    logged = expected(case.backend, SCALARS * (hot_calls.calls + cold_calls.calls))
    return _measured(hot_calls, cold_calls, logged, *count(case.backend, folder))


def _calls(log: Log, first: int, calls: int, pause: float, short: bool) -> Latency:
    return latency(log, first, 25 if short else calls, _SECONDS, pause)


def _measured(hot: Latency, cold: Latency, logged: int, counted: int, doubled: int = 0) -> Measured:
    values = {"hot": hot.median, "hot_p99": hot.p99, "cold": cold.median, "cold_p99": cold.p99}
    return Measured(values, logged, counted, doubled)


def _floor(folder: Path, short: bool) -> Measured:
    """Append as many bytes as a record has, and do nothing else."""
    from accel_track.journal.reader import JournalReader
    from accel_track.journal.writer import JournalWriter

    journal = JournalWriter(folder / "journal")
    for step in range(3):
        journal.metrics(POOL[step], step, {})
    journal.close()
    before, last = (entry.end.offset for entry in JournalReader(folder / "journal").read(3)[-2:])
    data = b"x" * (last - before)
    place = folder / "floor"
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(_: dict[str, float], __: int) -> None:
        os.write(file, data)

    cold = _calls(write, 0, _COLD, _PAUSE, short)
    hot = _calls(write, cold.calls, _HOT[""], 0.0, short)
    return _measured(hot, cold, SCALARS * (hot.calls + cold.calls), SCALARS * place.stat().st_size // len(data))
