"""A worker that is far behind reads the journal, not a queue: memory does not grow with what is pending."""

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_million_records_behind(program: Callable[..., Any]) -> None:
    process = program("""
import json, threading, time
import psutil
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run
from accel_track.trackers.base import GeneralTracker

go = threading.Event()

class Late(GeneralTracker):
    name, requires_logging_directory, tracker, batch_size = "late", False, None, 1000
    steps = 0
    def log_batch(self, records):
        go.wait()
        assert [record.step for record in records] == list(range(self.steps, self.steps + len(records)))
        self.steps += len(records)

late, me, peak = Late(), psutil.Process(), 0
run = Run(select(late), project="p", directory="logs", settings=Settings.of(finish_timeout=200))
run.log({"loss": 0.0}, 0)
before = me.memory_info().rss
for step in range(1, 1_000_001):
    run.log({"loss": step / 7, "lr": 0.1}, step)
behind = me.memory_info().rss
go.set()
ender = threading.Thread(target=run.finish)
ender.start()
while ender.is_alive():
    peak = max(peak, me.memory_info().rss)
    time.sleep(0.02)
print(json.dumps([before, behind, peak, late.steps]))
""")
    out, errors = process.communicate(timeout=350)
    assert process.returncode == 0, errors
    before, behind, peak, steps = json.loads(out.splitlines()[-1])
    assert steps == 1_000_001
    assert behind - before < 50e6
    assert peak - before < 50e6
