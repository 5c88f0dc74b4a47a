"""A real `mlflow server` that goes away: in the middle, from the start, and until after the end."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import accel_track
from tests.support.runs import acknowledged, journaled, metric_history, only_run, scalars
from tests.support.servers import Server
from tests.support.waiting import until

OUTAGE = float(os.environ.get("ACCEL_TRACK_TEST_OUTAGE", "8"))
SHORT = 0.5  # seconds: a call that waits for the server takes much longer, also where other programs take the CPU


def training(uri: str, steps: int, pause: float, finish_timeout: float) -> str:
    """Return a program that logs to MLflow and TensorBoard and says how long its slowest call took."""
    return f"""
import json, time
from accel_track import Accelerator

accelerator = Accelerator(
    log_with=["mlflow", "tensorboard"], project_dir="logs", cpu=True, finish_timeout={finish_timeout}
)
accelerator.init_trackers("p", config={{"lr": 0.1}}, init_kwargs={{"mlflow": {{"tracking_uri": {uri!r}}}}})
open("started", "w").close()
slowest = 0.0
for step in range({steps}):
    begun = time.perf_counter()
    accelerator.log({{"loss": step / 8}}, step=step)
    slowest = max(slowest, time.perf_counter() - begun)
    time.sleep({pause})
begun = time.perf_counter()
accelerator.end_training()
print(json.dumps([slowest, time.perf_counter() - begun, time.time()]))
"""


def ended(process: Any, timeout: float) -> tuple[float, float, float, str]:
    """Return a program's slowest call, the duration of `end_training`, the time at its return, and what it reported."""
    out, errors = process.communicate(timeout=timeout)
    exited = time.time()
    assert process.returncode == 0, errors
    slowest, ending, returned = json.loads(out.splitlines()[-1])
    assert exited - returned < 15, "the process outlived `end_training` for too long"
    return slowest, ending, returned, errors


@pytest.mark.timeout(300)
def test_an_outage_in_the_middle(server: Server, program: Callable[..., Any]) -> None:
    server.start()
    steps = 100 * int(OUTAGE + 6)
    process = program(training(server.uri, steps, 0.01, 120))
    until(lambda: Path("started").exists() or process.poll() is not None)
    assert process.poll() is None, process.stderr.read()
    until(lambda: acknowledged(only_run(Path("logs")), "mlflow") > 10)
    server.stop()
    time.sleep(OUTAGE)
    server.start()
    slowest, *_ = ended(process, 200)
    assert slowest < SHORT
    expected = [(step, step / 8) for step in range(steps)]
    assert metric_history(server.database) == expected
    assert scalars(Path("logs/p")) == expected
    accel_track("sync", only_run(Path("logs")).path)
    assert metric_history(server.database) == expected


@pytest.mark.long
@pytest.mark.timeout(300)
def test_down_from_before_the_start_until_after_the_end(server: Server, program: Callable[..., Any]) -> None:
    process = program(training(server.uri, 200, 0.005, 2))
    slowest, ending, _, report = ended(process, 120)
    assert slowest < SHORT
    assert ending < 4
    run = only_run(Path("logs"))
    assert journaled(run) == list(range(200))
    expected = [(step, step / 8) for step in range(200)]
    assert scalars(Path("logs/p")) == expected
    assert "mlflow: 0 delivered, 201 pending" in report
    assert "accel-track sync" in report
    server.start()
    accel_track("sync", run.path)
    assert metric_history(server.database) == expected
    shown = accel_track("sync", run.path)
    assert metric_history(server.database) == expected
    assert scalars(Path("logs/p")) == expected
    assert "mlflow" in shown.stdout + shown.stderr
    assert accel_track("ls", "logs").returncode == 0
