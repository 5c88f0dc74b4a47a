"""Plain loops that go on from a saved state, or after the cluster has started the job again."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from accel_track import Accelerator, init
from accel_track.errors import AccelTrackWarning, ResumeError
from accel_track.journal.directory import find_runs
from accel_track.testing import RecordingTracker
from tests.support import warm


def accelerator(log_with="tensorboard", **arguments):
    made = Accelerator(log_with, project_dir="runs", cpu=True, **arguments)
    made.model = made.prepare(torch.nn.Linear(1, 1))
    return made


def log(one, steps):
    for step in steps:
        one.log({"loss": float(step)}, step)


def exported():
    (run,) = find_runs("runs")
    command = [sys.executable, "-m", "accel_track", "export", str(run.path), "--format", "csv"]
    text = warm.run(command, timeout=60, check=True).stdout
    return [int(row["step"]) for row in csv.DictReader(io.StringIO(text))]


def statuses():
    return [run.load().status for run in find_runs("runs")]


def test_a_state_loaded_before_the_trackers_start_continues_its_run():
    first = accelerator()
    first.init_trackers("p", {"lr": 1})
    log(first, range(5))
    folder = first.save_state("state")
    log(first, range(5, 8))
    first.end_training("failed")
    second = accelerator()
    assert second.load_state(folder) == folder
    second.init_trackers("p", {"lr": 1})
    log(second, range(5, 10))
    second.end_training()
    assert exported() == list(range(10))
    assert statuses() == ["finished"]


def test_a_finished_run_is_continued_by_its_state_and_not_without():
    for load in (False, True, False):
        one = accelerator()
        if load:
            one.load_state("state")
        one.init_trackers("p")
        one.save_state("state")
        one.end_training()
    assert len(list(find_runs("runs"))) == 2


@pytest.mark.parametrize("resume", ["auto", "must"])
def test_of_two_programs_that_continue_a_run_at_once_the_second_begins_another(resume, monkeypatch):
    init("p", "jsonl", project_dir="runs", run_name="base").finish("failed")
    (earlier,) = find_runs("runs")
    monkeypatch.setattr("accel_track.begin.find_earlier", lambda *_, **__: earlier)  # just before the other's claim
    other = earlier.claim_run()
    assert other is not None
    try:
        if resume == "must":
            with pytest.raises(ResumeError, match="another process is logging to this run"):
                init("p", "jsonl", project_dir="runs", run_name="base", resume=resume)
            return
        with pytest.warns(AccelTrackWarning) as caught:
            run = init("p", "jsonl", project_dir="runs", run_name="base", resume=resume)
    finally:
        other.release()
    assert ["is not continued, since another process" in str(one.message) for one in caught] == [True, False]
    run.log({"loss": 1.0}, step=0)
    run.finish()
    assert run.name == "base-2"
    assert {one.load().name: one.load().status for one in find_runs("runs")} == {"base": "failed", "base-2": "finished"}
    assert Path("runs/p/base-2/metrics.jsonl").is_file()


def test_a_run_whose_folder_is_elsewhere_now_goes_on_there():
    for step, folder in enumerate(("first", "second")):
        run = init("p", "jsonl", project_dir=folder, run_name="base")
        run.log({"loss": 1.0}, step=step)
        run.finish("failed")
        if folder == "first":
            os.rename("first", "second")
    assert not Path("first").exists()
    lines = Path("second/p/base/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
@pytest.mark.filterwarnings("ignore:recording. its backend run cannot be continued")
def test_an_error_of_a_tracker_that_goes_on_says_what_to_do_if_its_run_is_gone():
    class Gone(RecordingTracker):
        def start(self):
            raise LookupError("no such run")

    run = init("p", RecordingTracker(), project_dir="runs", run_name="base")
    run.log({"loss": 1.0}, step=0)
    run.finish("failed")
    for name, command in (("base", "--to recording --from-start"), ("other", "")):
        with pytest.raises(LookupError) as caught:
            init("p", Gone(), project_dir="runs", run_name=name)
        (note,) = caught.value.__notes__
        assert "raised by the tracker 'recording'" in note
        assert command in note
        assert ("is gone" in note) is bool(command)


def test_never():
    for _ in range(2):
        one = accelerator(resume="never")
        if Path("state").exists():
            one.load_state("state")
        one.init_trackers("p")
        one.save_state("state")
        one.end_training("failed")
    assert len(list(find_runs("runs"))) == 2


def test_must_needs_a_state_or_an_earlier_run():
    one = accelerator(resume="must")
    with pytest.raises(ResumeError, match="load_state before init_trackers"):
        one.init_trackers("p")


def test_a_state_of_another_run_loaded_too_late_is_told():
    first = accelerator()
    first.init_trackers("p")
    first.save_state("state")
    first.end_training()
    second = accelerator()
    second.init_trackers("p")
    with pytest.warns(AccelTrackWarning, match="load it before init_trackers"):
        second.load_state("state")
    second.end_training()


def test_a_state_of_the_running_run_rewinds_to_the_first_step_that_follows():
    tracker = RecordingTracker()
    one = accelerator(tracker)
    one.init_trackers("p")
    log(one, range(3))
    one.save_state("state")
    log(one, range(3, 6))
    one.load_state("state")
    one.log({"note": "without a step"})
    log(one, range(3, 5))
    one.end_training()
    assert ("rewind", 3) in tracker.calls
    assert exported_steps() == [0, 1, 2, None, 3, 4]


def exported_steps():
    from accel_track.journal.reader import History, JournalReader
    from accel_track.records import Metrics

    (run,) = find_runs("runs")
    kept = filter(History(run.rank()).counts, JournalReader(run.rank()))
    return [record.step for record in kept if isinstance(record, Metrics)]


def test_a_job_that_is_started_again_continues_what_it_had_not_finished(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    for count in ("0", "1", "2"):
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)
        one = accelerator()
        one.init_trackers("p")
        log(one, range(int(count), 4))
        one.end_training("preempted" if count < "2" else None)
    (run,) = find_runs("runs")
    assert (run.load().starts, run.load().status) == (3, "finished")
    assert exported() == [0, 1, 2, 3]


def test_another_job_is_another_run(monkeypatch):
    for job in ("77", "78"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        one = accelerator()
        one.init_trackers("p")
        one.end_training("preempted")
    assert len(list(find_runs("runs"))) == 2


@pytest.mark.extras
def test_a_killed_loop_goes_on_from_its_state():
    program = """
import os, signal, sys, torch
from accel_track import Accelerator, init
one = Accelerator(["mlflow", "tensorboard"], project_dir="runs", cpu=True)
model = one.prepare(torch.nn.Linear(1, 1))
if os.path.exists("state"):
    one.load_state("state")
    begin = 6
else:
    begin = 0
one.init_trackers("p")
for step in range(begin, 12):
    if step == 6 and not begin:
        one.save_state("state")
    if step == 9 and not begin:
        os.kill(os.getpid(), signal.SIGKILL)
    one.log({"loss": float(step)}, step)
one.end_training()
"""
    variables = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    for code in (-9, 0):
        done = warm.run([sys.executable, "-W", "ignore", "-c", program], timeout=120, env=variables)
        assert done.returncode == code
    assert exported() == list(range(12))
    assert statuses() == ["finished"]
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('runs').absolute()}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert run.info.status == "FINISHED"
    assert {one.step for one in client.get_metric_history(run.info.run_id, "loss")} == set(range(12))
