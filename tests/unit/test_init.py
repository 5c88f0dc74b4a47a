"""`accel_track.init`, the front door without torch."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import accel_track
from accel_track.errors import MissingPackageError, ResumeError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.outcome import Outcome, Status
from accel_track.records import Metrics
from accel_track.testing import RecordingTracker
from tests.support.processes import own_environment
from tests.support.runs import scalars

PROGRAM = """
import os, sys
import accel_track

with accel_track.init("digits", log_with="tensorboard", project_dir="runs", config={"lr": 0.1}, run_name="one") as run:
    for step in range(5):
        run.log({"loss": step / 8, "nested": {"a": step}}, step=step)
    exec(sys.argv[1])
"""


def run_program(end: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, end]
    return subprocess.run(command, env=own_environment(), capture_output=True, text=True, timeout=60, check=False)


def only_run() -> RunDirectory:
    (run,) = find_runs(".")
    return run


def logged(run: RunDirectory) -> list[tuple[int | None, Any]]:
    return [(one.step, one.values["loss"]) for one in JournalReader(run.rank()) if isinstance(one, Metrics)]


def test_a_program_without_torch() -> None:
    done = run_program("assert not {'torch', 'lightning'} & sys.modules.keys()")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert scalars(Path("runs/digits/one")) == [(step, step / 8) for step in range(5)]
    assert only_run().load().status == "finished"


@pytest.mark.parametrize(
    ("end", "status"), [("raise ValueError('no')", "failed"), ("raise KeyboardInterrupt", "interrupted")]
)
def test_what_leaves_the_block_is_how_it_ended(end: str, status: str) -> None:
    assert run_program(end).returncode
    assert only_run().load().status == status
    assert scalars(Path("runs/digits/one")) == [(step, step / 8) for step in range(5)]


def test_a_killed_program_goes_on_by_its_name() -> None:
    assert run_program(f"os.kill(os.getpid(), {signal.SIGKILL.value})").returncode == -signal.SIGKILL
    with accel_track.init("digits", log_with="tensorboard", project_dir="runs", run_name="one") as run:
        for step in range(3, 7):
            run.log({"loss": step / 8}, step=step)
    assert scalars(Path("runs/digits/one")) == [(step, step / 8) for step in range(7)]
    assert only_run().load().starts == 2


def test_the_journal_alone_and_the_working_directory() -> None:
    with accel_track.init("digits") as run:
        run.log({"loss": 0.5}, step=0)
    assert logged(only_run()) == [(0, 0.5)]
    assert [path.name for path in Path.cwd().iterdir()] == [".accel_track"]


def test_without_a_block() -> None:
    tracker = RecordingTracker()
    run = accel_track.init("digits", tracker, config={"lr": 0.1}, delivery="inline")
    run.log({"loss": 0.5}, step=0)
    run.finish()
    assert tracker.calls == [("start",), ("config", {"lr": 0.1}), ("log", {"loss": 0.5}, 0, {}), ("finish",)]


def test_a_run_that_goes_on_elsewhere_cannot_be_continued() -> None:
    with accel_track.init("p", "jsonl", project_dir="runs", run_name="one") as run:
        run.log({"loss": 1.0}, 0)
        with pytest.raises(ResumeError, match="another process is logging to it; end that one first"):
            accel_track.init("p", "jsonl", project_dir="runs", run_name="one", resume="must")
    accel_track.init("p", "jsonl", project_dir="runs", run_name="one", resume="must").finish()
    assert run.run_directory is not None
    assert only_run().path.absolute() == run.run_directory.path


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "preempted"])
def test_the_end_takes_a_status(status: Status) -> None:
    run = accel_track.init("p", "jsonl", project_dir="runs")
    run.log({"loss": 1.0}, 0)
    with pytest.raises(ValueError, match="must be one of finished, failed, interrupted, preempted; got 'success'"):
        run.finish("success")  # type: ignore[arg-type] # a mistake
    run.log({"loss": 0.5}, 1)
    run.finish(status)
    (found,) = find_runs("runs")
    assert (found.load().status, run.outcome) == (status, Outcome(status))


def test_off_the_main_process_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with accel_track.init("digits", log_with="tensorboard") as run:
        run.log({"loss": 0.5}, step=0)
        run.get_tracker("tensorboard").log({"loss": 0.5})
    assert not os.listdir()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"project": "a/b"}, ValueError, "`project`"),
        ({"log_with": "nobody"}, ValueError, "nobody"),
        ({"delivery": "post"}, ValueError, "`delivery` must be one of"),
        ({"colour": "red"}, TypeError, "colour"),
        ({"all_ranks": True}, ValueError, "use Accelerator or AccelTrackLogger"),
        ({"config": [1]}, TypeError, "config"),
        ({"log_with": "tensorboard", "init_kwargs": {"wandb": {}}}, ValueError, "wandb"),
        ({"project_dir": "s3://bucket/x"}, ValueError, "must be a folder of this machine"),
        ({"resume": "must"}, ResumeError, "found no run to continue"),
    ],
)
def test_bad_arguments_begin_nothing(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        accel_track.init(**{"project": "digits", **arguments})
    assert not list(find_runs("."))


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.trackers.wandb.tracker.WandBTracker.installed", classmethod(lambda _: False))
    with pytest.raises(MissingPackageError, match="wandb"):
        accel_track.init("digits", log_with="wandb")
