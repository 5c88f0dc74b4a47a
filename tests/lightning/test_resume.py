"""A killed or preempted fit that goes on: the same run, in the journal and in each backend, with no step twice."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning, ResumeError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.resume import MARKS, Mark, find_marks, mark_checkpoint
from accel_track.testing import FaultyTracker, RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.processes import PROGRAMS, own_environment

SCRIPT = str(PROGRAMS / "resume.py")
STEPS = list(range(24))
QUIET: dict[str, Any] = {
    "log_system": False,
    "log_throughput": False,
    "log_environment": False,
    "log_learning_rate": False,
    "log_summary": False,
}


def train(*arguments: str, code: int = 0, **variables: str) -> str:
    command = [sys.executable, "-W", "ignore", SCRIPT, *arguments]
    environment = own_environment(**variables)
    done = warm.run(command, timeout=120, env=environment)
    assert done.returncode == code, done.stderr
    return done.stderr


def runs() -> list[RunDirectory]:
    return sorted(find_runs("runs"), key=lambda run: run.load().created)


def exported(run: RunDirectory, name: str = "loss") -> list[int]:
    command = [sys.executable, "-m", "accel_track", "export", str(run.path), "--format", "csv"]
    text = warm.run(command, timeout=60, check=True).stdout
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
    @pytest.mark.first(1)
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

    @pytest.mark.long
    def test_sync_delivers_the_surviving_history_to_a_new_backend(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        command = [sys.executable, "-m", "accel_track", "sync", str(run.path), "--to", "mlflow"]
        for _ in range(2):
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            assert mlflow_runs() == [("FINISHED", STEPS)]

    @pytest.mark.long
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

    @pytest.mark.long
    def test_a_checkpoint_of_a_validation_continues_behind_it(self) -> None:
        train("tensorboard", "--every", "0", "--kill-at", "19", code=-9)
        train("tensorboard", "--every", "0", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == STEPS
        assert exported(run, "val_loss") == [7, 15, 23]
        assert exported(run, "late") == [7, 15, 23]

    @pytest.mark.long
    def test_a_run_of_the_callbacks_own(self) -> None:
        train("tensorboard", "--own", "--kill-at", "13", code=-9)
        train("tensorboard", "--own", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == tensorboard_steps() == STEPS

    @pytest.mark.long
    def test_without_the_file_beside_it_the_checkpoint_itself_tells_the_callback(self) -> None:
        train("tensorboard", "--own", "--kill-at", "13", code=-9)
        for one in Path("ckpts").glob(".*.accel_track.json"):
            one.unlink()
        train("tensorboard", "--own", "--ckpt-path", "ckpts/last.ckpt")
        assert [exported(run) for run in runs()] == [STEPS]

    @pytest.mark.long
    def test_a_killed_fit_goes_on_twice(self) -> None:
        train("tensorboard", "--kill-at", "13", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt", "--kill-at", "22", code=-9)
        train("tensorboard", "--ckpt-path", "ckpts/last.ckpt")
        (run,) = runs()
        assert exported(run) == tensorboard_steps() == STEPS
        assert run.load().starts == 3


class TestWhichRun:
    @pytest.mark.long
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

    @pytest.mark.long
    def test_training_that_begins_anew_in_a_run_of_that_version_replaces_what_it_had_logged(self) -> None:
        train("tensorboard", "--version", "night", "--kill-at", "13", code=-9)
        train("tensorboard", "--version", "night")
        (run,) = runs()
        assert exported(run) == tensorboard_steps("night") == STEPS

    @pytest.mark.long
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
        mark_checkpoint("some.ckpt", first.marks())
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

    @pytest.mark.long
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


class TestSeveral:
    """Several loggers, or callbacks with runs of their own, in one Trainer: each goes on in its own run."""

    def fit(self, doors: Callable[[], list[Any]], *, fail_at: int | None = None, **arguments: Any) -> list[Any]:
        these = doors()
        saved = ModelCheckpoint("ckpts", every_n_train_steps=3, save_last=True)
        loggers = [one for one in these if isinstance(one, AccelTrackLogger)]
        callbacks = [saved, *(one for one in these if isinstance(one, AccelTrackCallback))]
        one = trainer(loggers or False, callbacks=callbacks, log_every_n_steps=1)
        with pytest.raises(ValueError, match="planned") if fail_at else nullcontext():
            one.fit(Tiny(fail_at=fail_at), batches(), **arguments)
        for door in these:
            door.finish()
        return these

    @pytest.mark.long
    @pytest.mark.parametrize("door", [AccelTrackLogger, AccelTrackCallback])
    def test_each_continues_its_own(self, door: Any) -> None:
        more = {} if door is AccelTrackLogger else QUIET

        def doors(resume: str = "auto") -> list[Any]:
            arguments = {"save_dir": "runs", "resume": resume, **more}
            names = ["a", "a", "b"]
            return [door("tensorboard", name, **arguments) for name in names] + [door("dvclive", "a", **arguments)]

        self.fit(doors, fail_at=5)
        before = {run.path: run.load() for run in runs()}
        assert [run.status for run in before.values()] == ["failed"] * 4
        again = self.fit(lambda: doors("must")[::-1], ckpt_path="ckpts/last.ckpt")[::-1]
        after = {run.path: run.load() for run in runs()}
        assert after.keys() == before.keys()
        assert [run.starts for run in after.values()] == [2] * 4
        assert {path: (*run.trackers,) for path, run in after.items()} == {p: (*r.trackers,) for p, r in before.items()}
        assert all(exported(run) == list(range(8)) for run in runs())
        folders = {len(list(Path("runs/a", one.name).glob("events*"))) for one in Path("runs/a").iterdir()}
        assert len(again) == 4
        assert folders <= {0, 2}

    def test_without_the_files_beside_it_the_checkpoint_itself_tells_the_callbacks(self) -> None:
        def doors() -> list[Any]:
            return [AccelTrackCallback("tensorboard", name, save_dir="runs", **QUIET) for name in ("a", "b")]

        self.fit(doors, fail_at=5)
        for one in Path("ckpts").glob(".*.accel_track.json"):
            one.unlink()
        self.fit(doors, ckpt_path="ckpts/last.ckpt")
        assert [(run.load().project, run.load().starts) for run in runs()] == [("a", 2), ("b", 2)]

    def test_a_new_one_takes_no_others_run(self) -> None:
        self.fit(lambda: [AccelTrackLogger("tensorboard", "a", save_dir="runs")], fail_at=5)
        one = [
            AccelTrackLogger(name, project, save_dir="runs")
            for name, project in (("dvclive", "c"), ("tensorboard", "a"))
        ]
        self.fit(lambda: one, ckpt_path="ckpts/last.ckpt")
        assert sorted((run.load().project, run.load().starts) for run in runs()) == [("a", 2), ("c", 1)]

    def test_a_job_that_is_started_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def doors() -> list[Any]:
            return [AccelTrackLogger(name, "a", save_dir="runs") for name in ("tensorboard", "dvclive")]

        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
        self.fit(doors, fail_at=5)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
        self.fit(doors)
        found = {(*run.load().trackers,): run.load().starts for run in runs()}
        assert found == {("tensorboard",): 2, ("dvclive",): 2}

    def test_callbacks_in_one_run_measure_once(self) -> None:
        """The second one does what the first does not; neither logs what the user's LearningRateMonitor logs."""
        tracker = RecordingTracker()
        logger = AccelTrackLogger(tracker, save_dir="runs")
        wanted = {**QUIET, "log_learning_rate": True, "log_summary": True}
        callbacks = [
            AccelTrackCallback(**wanted),
            AccelTrackCallback(**{**wanted, "log_gradient_norm": True}),
        ]
        trainer(logger, callbacks=callbacks, log_every_n_steps=1).fit(Tiny(), batches())
        names = [name for call in tracker.calls if call[0] == "log" for name in call[1]]
        assert (names.count("lr-SGD"), names.count("gradient_norm"), names.count("loss")) == (8, 8, 8)
        assert sum("model" in call[1] for call in tracker.calls if call[0] == "config") == 1
        tracker.calls.clear()
        callbacks = [*callbacks, LearningRateMonitor(logging_interval="step")]
        trainer(logger, callbacks=callbacks, log_every_n_steps=1).fit(Tiny(), batches())
        names = [name for call in tracker.calls if call[0] == "log" for name in call[1]]
        assert names.count("lr-SGD") == 8
        own = RecordingTracker()
        callback = AccelTrackCallback(own, save_dir="own", **{**QUIET, "log_learning_rate": True})
        monitored = [callback, LearningRateMonitor(logging_interval="step")]
        trainer(CSVLogger("csv"), callbacks=monitored, log_every_n_steps=1).fit(Tiny(), batches())
        assert sum("lr-SGD" in call[1] for call in own.calls if call[0] == "log") == 8
        callback.finish()
        logger.finish()


class TestMarks:
    def test_marks_survive_a_move_and_forget_what_is_gone(self) -> None:
        run = RunDirectory.create("a/runs", "p", None)
        for name in ("one.ckpt", "two.ckpt"):
            Path("a", name).touch()
            mark_checkpoint(Path("a", name), [Mark(run, 7)])
        Path("a/one.ckpt").unlink()
        (first, second) = marks = sorted(Path("a").glob(".*.accel_track.json"))
        for one in marks:
            os.utime(one, (0, 0))
        Path("a/three.ckpt").touch()
        mark_checkpoint("a/three.ckpt", [Mark(run, None)])
        assert len({first, second} & set(Path("a").glob(".*.accel_track.json"))) == 1
        os.rename("a", "b")
        (mark,) = find_marks("b/two.ckpt")
        assert mark.step == 7
        assert mark.run.path == Path("b/runs/.accel_track/p", run.path.name).absolute()
        Path("b/link.ckpt").symlink_to("two.ckpt")
        (linked,) = find_marks("b/link.ckpt")
        assert (linked.run.path, linked.step) == (mark.run.path, 7)

    def test_marks_of_earlier_versions(self) -> None:
        """One file had the marks of all checkpoints, and a checkpoint one run; the callback saved it as its state."""
        run = RunDirectory.create("runs", "p", None)
        Path("x.ckpt").touch()
        Path(MARKS).write_text(json.dumps({"x.ckpt": {"run": f"runs/.accel_track/p/{run.path.name}", "step": 7}}))
        (mark,) = find_marks("x.ckpt")
        assert (mark.run.path, mark.step) == (run.path, 7)
        torch.save({"callbacks": {"AccelTrackCallback": {"run": str(run.path), "run_id": "r", "step": 3}}}, "y.ckpt")
        logger = AccelTrackLogger(RecordingTracker(), save_dir="runs")
        assert logger._session.decide("y.ckpt")[2:4] == (str(run.path), 3)

    @pytest.mark.parametrize(
        "content", ["", "[]", "{", '{"x.ckpt": 3}', '{"x.ckpt": {"run": 3}}', '{"x.ckpt": {"run": "no"}}']
    )
    def test_other_content_is_no_mark(self, content: str) -> None:
        Path("x.ckpt").touch()
        mark_checkpoint("x.ckpt", [Mark(RunDirectory.create("runs", "p", None), 1)])
        (file,) = Path().glob(".*.accel_track.json")
        for one in (file, Path(MARKS)):
            one.write_text(content)
            assert find_marks("x.ckpt") == []
        file.write_text('{"runs": 3}')
        assert find_marks("x.ckpt") == []

    def test_a_checkpoint_elsewhere_and_a_folder_that_takes_nothing(self) -> None:
        marks = [Mark(RunDirectory.create("runs", "p", None), 1)]
        for path in ("s3://bucket/x.ckpt", "missing/x.ckpt", "x/" * 5000, "a/b\0c"):
            mark_checkpoint(path, marks)
            assert find_marks(path) == []
        mark_checkpoint("x" * 10_000, marks)  # the mark has another name
        find_marks("x" * 10_000)

    def test_a_run_that_is_damaged_is_not_continued(self) -> None:
        run = RunDirectory.create("runs", "p", None)
        Path("x.ckpt").touch()
        mark_checkpoint("x.ckpt", [Mark(run, 7)])
        Path(run.path, "run.json").write_text("{")
        logger = AccelTrackLogger(RecordingTracker(), save_dir="runs")
        with pytest.warns(AccelTrackWarning, match="is damaged"):
            assert logger._session.decide("x.ckpt").resumed is None

    @pytest.mark.parametrize("resume", ["auto", "must"])
    def test_of_two_that_continue_a_run_at_once_the_second_begins_another(
        self, resume: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = AccelTrackLogger("jsonl", save_dir="runs", version="base")
        first.log_metrics({"loss": 1.0}, 0)
        first.finish("failed")
        (earlier,) = runs()
        monkeypatch.setattr("accel_track.lightning.run_choice.find_earlier", lambda *_, **__: earlier)
        first_look, look = iter([False]), RunDirectory.is_live  # the other's claim comes just after the first look
        monkeypatch.setattr(RunDirectory, "is_live", lambda run: next(first_look, look(run)))
        other = earlier.claim_run()
        assert other is not None
        second = AccelTrackLogger("jsonl", save_dir="runs", version="base", resume=resume)
        try:
            if resume == "must":
                with pytest.raises(ResumeError, match="another process is logging to this run"):
                    second.open()
                return
            with pytest.warns(AccelTrackWarning) as caught:
                second.log_metrics({"loss": 2.0}, 1)
        finally:
            other.release()
        told = [str(one.message) for one in caught]
        assert "is not continued, since another process" in told[0]
        assert "version='base' is that of an earlier run, too" in told[1]
        second.finish()
        assert [(one.load().name, one.load().status) for one in runs()] == [("base", "failed"), ("base", "finished")]

    def test_several_trainings_save_into_one_folder(self) -> None:
        """None loses a mark, and nothing is written through a link that waits in the folder."""
        runs = [RunDirectory.create("runs", "p", None) for _ in range(4)]
        Path("victim").touch()
        Path(f"{MARKS}.new").symlink_to("victim")

        def save(number: int) -> None:
            for step in range(25):
                Path(f"{number}-{step}.ckpt").touch()
                mark_checkpoint(f"{number}-{step}.ckpt", [Mark(runs[number], step)])

        threads = [threading.Thread(target=save, args=[number]) for number in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        found = {(number, step): find_marks(f"{number}-{step}.ckpt") for number in range(4) for step in range(25)}
        assert all(one.run.path == runs[number].path for (number, _), (one,) in found.items())
        assert Path("victim").read_bytes() == b""

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
