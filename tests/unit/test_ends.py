"""Ends that come while trackers start, or while they still log themselves."""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from accel_track import Accelerator, init
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import last_seq
from accel_track.testing import RecordingTracker
from tests.support.waiting import until


class Signalled(RecordingTracker):
    """Its process gets a signal while it starts."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def start(self) -> None:
        super().start()
        os.kill(os.getpid(), self.number)
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [(signal.SIGTERM, SystemExit, "preempted"), (signal.SIGINT, KeyboardInterrupt, "interrupted")],
)
def test_a_signal_while_trackers_start(number: int, error: type[BaseException], status: str) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    tracker = Signalled(number)
    accelerator = Accelerator(log_with=tracker, project_dir=".", cpu=True)
    try:
        with pytest.raises(error):
            accelerator.init_trackers("p")
    finally:
        signal.signal(signal.SIGINT, handler)
    (run,) = find_runs(".")
    assert run.outcome(run.load()) == tracker.outcome
    assert tracker.outcome.status == status
    assert [call[0] for call in tracker.calls if call[0] != "flush"] == ["start", "finish"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    accelerator.end_training()


@pytest.mark.parametrize(
    ("end", "status"), [("raise ValueError('no')", "failed: ValueError: no"), ("sys.exit(0)", "finished")]
)
def test_the_end_of_a_process_of_multiprocessing_is_that_of_its_function(end: str, status: str) -> None:
    program = f"""
import multiprocessing, sys
import accel_track

def train():
    run = accel_track.init("p", "jsonl", project_dir=".")
    run.log({{"loss": 0.5}}, 0)
    {end}

process = multiprocessing.get_context("fork").Process(target=train)
process.start()
process.join()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    (run,) = find_runs(".")
    outcome = run.outcome(run.load())
    assert outcome is not None
    assert outcome.text == status


def test_a_tracker_that_logs_to_its_own_run() -> None:
    class Deriving(RecordingTracker):
        name = "deriving"

        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            super().log(values, step, **kwargs)
            if "loss" in values:
                time.sleep(0.002)
                accelerator.log({"derived": 2 * values["loss"]}, step)

    other, deriving = RecordingTracker(), Deriving()
    accelerator = Accelerator(log_with=[other, deriving], project_dir=".", cpu=True)
    accelerator.init_trackers("p")
    for step in range(100):
        accelerator.log({"loss": step}, step)
    accelerator.end_training()
    for tracker in (other, deriving):
        logged = [(call[1], call[2]) for call in tracker.calls if call[0] == "log"]
        assert len(logged) == 200
        assert all(({"derived": 2 * step}, step) in logged for step in range(100))


@pytest.mark.parametrize("delivery", ["thread", "process"])
def test_a_thread_that_logs_while_the_run_ends_leaves_nothing_pending(delivery: Any) -> None:
    run = init("p", ["jsonl", "tensorboard"], project_dir=".", delivery=delivery)
    refused: list[AccelTrackWarning] = []

    def log() -> None:
        step = 0
        while not refused:
            try:
                run.log({"loss": 1.0}, step)
            except AccelTrackWarning as warning:
                refused.append(warning)
            step += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=log)
    thread.start()
    (folder,) = find_runs(".")
    until(lambda: last_seq(folder.rank()) > 100)
    run.finish()
    thread.join()
    assert "the run has ended, and what is logged now is not kept" in str(refused[0])
    for name in ("jsonl", "tensorboard"):
        until(lambda name=name: cursor.load(folder.cursor(name)).status is not None)
        assert cursor.load(folder.cursor(name)).seq == last_seq(folder.rank()) + 1
