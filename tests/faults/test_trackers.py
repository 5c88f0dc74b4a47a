"""Trackers that raise, block or fork: the others and the loop do not notice."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import journaled, only_run, scalars

KINDS = {
    "none": "pass",
    "raises": "raise RuntimeError('broken for good')",
    "blocks": "time.sleep(60)",
    "forks": "os.fork()",
    "forks and leaves": "os.fork() or os._exit(0)",
}


def result(program: Callable[..., Any], kind: str) -> tuple[dict[str, Any], str]:
    """Return what a training with such a tracker beside two good ones measured, and what it reported."""
    process = program(
        f"""
import json, os, statistics, sys, time, warnings
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing.doubles import RecordingTracker

class Bad(RecordingTracker):
    name = "bad"
    def log(self, values, step=None, **kwargs):
        {KINDS[kind]}

good = RecordingTracker()
settings = Settings.of(finish_timeout=3)
run = Run(select([Bad(), good, "tensorboard"], "logs"), project="p", directory="logs", settings=settings)
me, times = os.getpid(), []
for step in range(1000):
    begun = time.perf_counter()
    run.log({{"loss": step / 8}}, step)
    times.append(time.perf_counter() - begun)
    time.sleep(0.001)
begun = time.perf_counter()
run.finish()
assert os.getpid() == me
ending = time.perf_counter() - begun
steps = [call[2] for call in good.calls if call[0] == "log"]
print(json.dumps({{"median": statistics.median(times), "ending": ending, "steps": steps,
                  "last": good.calls[-1][0], "returned": time.time()}}))
""",
        forks=True,
    )
    out, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    found = json.loads(out.splitlines()[-1])
    assert time.time() - found["returned"] < 5
    assert len(out.splitlines()) == 1, "a forked child has gone on"
    return found, errors


@pytest.mark.first(2)
@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.long) if kind == "forks" else kind for kind in KINDS if kind != "none"],
)
def test_a_bad_tracker_is_alone_in_its_misfortune(kind: str, program: Callable[..., Any]) -> None:
    found, report = result(program, kind)
    assert found["steps"] == list(range(1000))
    assert found["last"] == "finish"
    assert scalars(Path("logs/p")) == [(step, step / 8) for step in range(1000)]
    run = only_run(Path("logs"))
    assert journaled(run) == list(range(1000))
    assert found["median"] < 0.001
    assert found["ending"] < 4
    if kind == "raises":
        assert "bad: 0 delivered, 1000 pending (RuntimeError: broken for good)" in report
        assert not run.quarantine("bad").exists()
        assert report.count("broken for good") == 2, "one warning, and the closing report"
    elif kind == "blocks":
        assert "bad: 0 delivered, 1000 pending" in report


@pytest.mark.long
@pytest.mark.timeout(150)
def test_the_loop_takes_as_long_as_without(program: Callable[..., Any], tmp_path: Path) -> None:
    import os

    times = {}
    for kind in ("none", "blocks", "raises"):
        (tmp_path / kind.replace(" ", "-")).mkdir()
        os.chdir(tmp_path / kind.replace(" ", "-"))
        times[kind] = result(program, kind)[0]["median"]
    assert max(times.values()) < 20 * times["none"] + 0.0005, times
