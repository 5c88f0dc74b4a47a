"""A killed or preempted fit that goes on: the same run, in the journal and in each backend, with no step twice."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning, ResumeError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.resume import MARKS, find_mark, mark_checkpoint
from accel_track.testing import FaultyTracker, RecordingTracker
from tests.faults.conftest import own_environment
from tests.lightning.models import Tiny, batches, trainer

SCRIPT = str(Path(__file__).with_name("resume_script.py"))
STEPS = list(range(24))


def train(*arguments: str, code: int = 0, **variables: str) -> str:
    command = [sys.executable, "-W", "ignore", SCRIPT, *arguments]
    environment = own_environment(**variables)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def runs() -> list[RunDirectory]:
    return list(find_runs("runs"))


def exported(run: RunDirectory, name: str = "loss") -> list[int]:
    command = [sys.executable, "-m", "accel_track", "export", str(run.path), "--format", "csv"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [int(row["step"]) for row in csv.DictReader(io.StringIO(text)) if row["name"] == name]


def mlflow_runs() -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('runs').absolute()}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return [
        (run.info.status, [one.step for one in client.get_metric_history(run.info.run_id, "loss")]) for run in found
    ]


def tensorboard_steps(version: str = "version_0") -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(f"runs/digits/{version}", size_guidance={"scalars": 0})
    accumulator.Reload()
    return [event.step for event in accumulator.Scalars("loss")]


class TestKill:
    @pytest.mark.parametrize("deliver", [True, False], ids=["delivered", "pending"])
    def test_a_killed_fit_goes_on_in_the_same_runs(self, deliver: bool) -> None:
        backends = ["mlflow", "tensorboard", "wandb"]
        train(*backends, "--kill-at", "13", *(["--deliver"] if deliver else []), code=-9)
        (run,) = runs()
        assert run.outcome(run.load()).status == "failed"
        train(*backends, "--ckpt-path", "ckpts/last.ckpt")
        assert [one.path for one in runs()] == [run.path]
        info = run.load()
        assert (info.status, info.starts, info.name) == ("finished", 2, "version_0")
        assert exported(run) == STEPS
        assert exported(run, "val_loss") == [7, 15, 23]
        assert tensorboard_steps() == STEPS
        ((status, steps),) = mlflow_runs()
        assert status == "FINISHED"
        # MLflow deletes nothing: what it had of the steps beyond the checkpoint is there twice.
        assert sorted(set(steps)) == STEPS
        assert sorted(steps) == sorted([*STEPS, *((10, 11) if deliver else ())])
        folders = [path.name for path in Path("runs/wandb").glob("offline-run-*")]
        assert len({name.rpartition("-")[2] for name in folders}) == 1

    def test_sync_delivers_the_surviving_history_to_a_new_backend(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        command = [sys.executable, "-m", "accel_track", "sync", str(run.path), "--to", "mlflow"]
        for _ in range(2):
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            assert mlflow_runs() == [("FINISHED", STEPS)]

    def test_sync_of_a_killed_run_marks_the_backend_run_as_failed(self) -> None:
        train("mlflow", "--kill-at", "13", "--deliver", code=-9)
        assert mlflow_runs()[0][0] == "RUNNING"
        (run,) = runs()
        command = [sys.executable, "-m", "accel_track", "sync", str(run.path)]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        assert mlflow_runs() == [("FAILED", STEPS[:12])]
        assert (run.load().status, run.load().reason) == run.outcome(run.load())
        again = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
        assert "nothing" in again.stdout or "delivered" in again.stdout
        assert mlflow_runs() == [("FAILED", STEPS[:12])]

    def test_a_checkpoint_of_a_validation_continues_behind_it(self) -> None:
        train("tensorboard", "--every", "0", "--kill-at", "19", code=-9)
        train("tensorboard", "--every", "0", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == STEPS
        assert exported(run, "val_loss") == [7, 15, 23]
        assert exported(run, "late") == [7, 15, 23]

    def test_a_run_of_the_callbacks_own(self) -> None:
        train("tensorboard", "--own", "--kill-at", "13", code=-9)
        train("tensorboard", "--own", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == tensorboard_steps() == STEPS

    def test_without_the_file_beside_it_the_checkpoint_itself_tells_the_callback(self) -> None:
        train("tensorboard", "--own", "--kill-at", "13", code=-9)
        Path("ckpts", MARKS).unlink()
        train("tensorboard", "--own", "--ckpt-path", "ckpts/last.ckpt")
        assert [exported(run) for run in runs()] == [STEPS]

    def test_a_killed_fit_goes_on_twice(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt", "--kill-at", "22", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == tensorboard_steps() == STEPS
        assert run.load().starts == 3


class TestWhichRun:
    def test_never_begins_a_new_run(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9)
        train("tensorboard", "--resume", "never", "--ckpt-path", "ckpts/last.ckpt")
        assert [run.load().name for run in runs()] == ["version_0", "version_1"]

    def test_a_version_that_was_not_finished_goes_on_and_a_finished_one_does_not(self) -> None:
        train("tensorboard", "--version", "night", "--kill-at", "13", code=-9)
        train("tensorboard", "--version", "night", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == STEPS
        train("tensorboard", "--version", "night")
        assert len(runs()) == 2

    def test_training_that_begins_anew_in_a_run_of_that_version_replaces_what_it_had_logged(self) -> None:
        train("tensorboard", "--version", "night", "--kill-at", "13", code=-9)
        train("tensorboard", "--version", "night")
        (run,) = runs()
        assert exported(run) == tensorboard_steps("night") == STEPS

    def test_a_job_that_slurm_starts_again_goes_on(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9, TORCHELASTIC_RUN_ID="job-7")
        again = {"TORCHELASTIC_RUN_ID": "job-7", "TORCHELASTIC_RESTART_COUNT": "1"}
        train("tensorboard", **again)
        assert len(runs()) == 1
        train("tensorboard", **again)  # that one came to its end
        assert len(runs()) == 2

    def test_must_without_anything_to_continue(self) -> None:
        logger = AccelTrackLogger(RecordingTracker(), save_dir="runs", resume="must")
        with pytest.raises(ResumeError, match="found no run to continue"):
            trainer(logger).fit(Tiny(), batches())

    def test_must_continues_a_finished_version(self) -> None:
        for resume in ("auto", "must"):
            logger = AccelTrackLogger("tensorboard", version="v", save_dir="runs", resume=resume)
            trainer(logger, enable_checkpointing=False).fit(Tiny(), batches())
            logger.finish()
        assert len(runs()) == 1

    def test_a_run_that_another_process_logs_to(self) -> None:
        first = AccelTrackLogger(RecordingTracker(), version="v", save_dir="runs")
        first.log_metrics({"a": 1}, 0)
        mark_checkpoint("some.ckpt", first.open().run_directory, 3)
        second = AccelTrackLogger(RecordingTracker(), save_dir="runs")
        Path("some.ckpt").touch()
        with pytest.warns(AccelTrackWarning, match="another process is logging to it; a new run begins"):
            identity = second._session.decide("some.ckpt")
        assert identity.resumed is None
        must = AccelTrackLogger(RecordingTracker(), save_dir="runs", resume="must")
        with pytest.raises(ResumeError, match="another process is logging to it"):
            must._session.decide("some.ckpt")
        first.finish()

    def test_a_tracker_object_begins_a_new_backend_run_and_says_so(self) -> None:
        for _ in range(2):
            logger = AccelTrackLogger(RecordingTracker(), version="v", save_dir="runs", resume="auto")
            if runs():
                with pytest.warns(AccelTrackWarning, match="recording: its backend run cannot be continued"):
                    logger.log_metrics({"a": 2}, 1)
            logger.log_metrics({"a": 1}, 0)
            logger.finish("failed")
        assert len(runs()) == 1

    def test_a_test_of_an_unfinished_version_takes_nothing_back(self) -> None:
        train("tensorboard", "--version", "night", "--kill-at", "13", code=-9)
        logger = AccelTrackLogger("tensorboard", name="digits", version="night", save_dir="runs")
        trainer(logger).test(Tiny(), batches(), verbose=False)
        logger.finish()
        (run,) = runs()
        assert exported(run) == STEPS[:12]
        assert exported(run, "test_loss") == [0]
        assert run.load().status == "failed"

    def test_a_run_whose_tracker_does_not_start_has_failed(self) -> None:
        logger = AccelTrackLogger(FaultyTracker("start", error=ValueError("wrong key")), save_dir="runs")
        with pytest.raises(ValueError, match="wrong key"):
            logger.log_metrics({"a": 1}, 0)
        (run,) = runs()
        assert (run.load().status, run.load().reason) == ("failed", "ValueError: wrong key")

    def test_in_one_program_a_fit_from_an_earlier_checkpoint_rewinds(self) -> None:
        tracker = RecordingTracker()
        logger = AccelTrackLogger(tracker, save_dir="runs")
        saved = ModelCheckpoint("ckpts", every_n_train_steps=5, save_top_k=-1, filename="{step}")
        for path in (None, "ckpts/step=5.ckpt"):
            fit = trainer(logger, log_every_n_steps=1, callbacks=[saved])
            fit.fit(Tiny(), batches(), ckpt_path=path)
        logger.finish()
        (run,) = runs()
        assert exported(run) == list(range(8))
        assert ("rewind", 5) in tracker.calls


class TestMarks:
    def test_marks_survive_a_move_and_forget_what_is_gone(self) -> None:
        run = RunDirectory.create("a/runs", "p", None)
        for name in ("one.ckpt", "two.ckpt"):
            Path("a", name).touch()
            mark_checkpoint(Path("a", name), run, 7)
        Path("a/one.ckpt").unlink()
        Path("a/three.ckpt").touch()
        mark_checkpoint("a/three.ckpt", run, None)
        assert sorted(json.loads(Path("a", MARKS).read_text())) == ["three.ckpt", "two.ckpt"]
        os.rename("a", "b")
        mark = find_mark("b/two.ckpt")
        assert mark is not None
        assert mark.step == 7
        assert mark.run.path == Path("b/runs/.accel_track/p", run.path.name).absolute()
        Path("b/link.ckpt").symlink_to("two.ckpt")
        linked = find_mark("b/link.ckpt")
        assert linked is not None
        assert (linked.run.path, linked.step) == (mark.run.path, 7)

    @pytest.mark.parametrize(
        "content", ["", "[]", "{", '{"x.ckpt": 3}', '{"x.ckpt": {"run": 3}}', '{"x.ckpt": {"run": "no"}}']
    )
    def test_other_content_is_no_mark(self, content: str) -> None:
        Path("x.ckpt").touch()
        Path(MARKS).write_text(content)
        assert find_mark("x.ckpt") is None

    def test_a_checkpoint_elsewhere_and_a_folder_that_takes_nothing(self) -> None:
        run = RunDirectory.create("runs", "p", None)
        mark_checkpoint("s3://bucket/x.ckpt", run, 1)
        mark_checkpoint("missing/x.ckpt", run, 1)
        assert find_mark("s3://bucket/x.ckpt") is None
        assert find_mark("missing/x.ckpt") is None

    def test_a_checkpoint_of_something_else(self) -> None:
        torch.save({"callbacks": {"AccelTrackCallback": {"run": "nowhere", "run_id": "x", "step": 1}}}, "x.ckpt")
        logger = AccelTrackLogger(RecordingTracker(), save_dir="runs")
        assert logger._session.decide("x.ckpt").resumed is None
        Path("y.ckpt").write_text("no checkpoint")
        assert logger._session.decide("y.ckpt").resumed is None

    @pytest.mark.filterwarnings("ignore:The dirpath has changed")
    def test_a_checkpoint_whose_run_is_not_found_is_told(self) -> None:
        callback = AccelTrackCallback(RecordingTracker(), save_dir="runs", log_system=False, resume="never")
        trainer(False, callbacks=[callback, ModelCheckpoint("ckpts", filename="a")]).fit(Tiny(), batches(), batches())
        callback.finish()
        with pytest.warns(AccelTrackWarning, match="the checkpoint belongs to the run"):
            trainer(False, max_epochs=2, callbacks=[callback, ModelCheckpoint("others")]).fit(
                Tiny(), batches(), batches(), ckpt_path="ckpts/a.ckpt"
            )
        callback.finish()
