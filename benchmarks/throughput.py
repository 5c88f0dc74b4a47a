"""How many calls with 10 scalars per second reach each backend, from the first call to the end of the run."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks._case import Case, Measured
from benchmarks._clients import open_client
from benchmarks._counts import count
from benchmarks._measure import POOL, SCALARS, VARIANTS

TITLE = "End to end"
ABOUT = """\
How many calls with 10 scalars a second each backend takes, from the first call until the run is ended and its data
stored; the start is not counted. Everyone makes the same calls."""
COLUMNS = {"rate": "calls/s"}
MAIN = "rate"

CALLS = {
    "tensorboard": 10000,
    "wandb": 4000,
    "comet_ml": 1500,
    "mlflow": 250,
    "mlflow-http": 200,
    "aim": 1000,
    "clearml": 2000,
    "dvclive": 100,
    "swanlab": 5000,
    "trackio": 5000,
}

# Rows that no goal is about.
_BESIDE = {("raw", "mlflow"), ("raw", "mlflow-http"), ("PL", "wandb"), ("PL", "comet_ml")}

_case = partial(Case, "throughput")
CASES = [
    _case(
        f"{system} {backend}",
        system,
        backend,
        against="" if system == "raw" else f"raw {backend}",
        quick=backend == "tensorboard",
        once=(system, backend) in _BESIDE,
    )
    for backend in CALLS
    for system in ("raw", "facade", "PL")
    if system != "PL" or backend in ("tensorboard", "wandb", "comet_ml", "mlflow", "mlflow-http")
]


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Log, end the run, and count what is there."""
    client = open_client(case, folder)
    calls = 20 if short else CALLS[case.backend]
    begin = time.perf_counter()
    for step in range(calls):
        client.log(POOL[step % VARIANTS], step)
    client.finish()
    seconds = time.perf_counter() - begin
    counted, doubled = count(case.backend, folder)
    return Measured({"rate": calls / seconds}, SCALARS * calls, counted, doubled)
