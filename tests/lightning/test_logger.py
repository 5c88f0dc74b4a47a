"""AccelTrackLogger under a real Trainer."""

import os
import pickle
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from accel_track import Accelerator, AccelTrackLogger
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.testing import FaultyTracker, RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.processes import PROGRAMS


def logged(tracker: RecordingTracker) -> list[tuple[int, set[str]]]:
    return [(call[2], set(call[1])) for call in tracker.calls if call[0] == "log"]


def test_without_arguments_it_logs_to_tensorboard_under_lightning_logs() -> None:
    logger = AccelTrackLogger()
    with_logger = trainer(logger)
    with_logger.fit(Tiny(), batches(), batches())
    folder = Path("lightning_logs/version_0")
    assert Path(with_logger.log_dir) == folder
    assert list(folder.glob("checkpoints/*.ckpt"))
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()  # flushed though the run is still open
    assert [event.step for event in accumulator.Scalars("loss")] == [1, 3, 5, 7]
    assert [event.value for event in accumulator.Scalars("late")] == [3.0]
    logger.finish()


def test_trainers_made_before_either_logs_have_versions_of_their_own() -> None:
    trainers = [trainer(AccelTrackLogger("tensorboard")) for _ in range(2)]
    assert [one.logger.version for one in trainers] == [0, 0]  # each Trainer has looked it up, for its `log_dir`
    for one in trainers:
        one.fit(Tiny(), batches())
    assert [one.logger.version for one in trainers] == [0, 1]
    for number, one in enumerate(trainers):
        assert Path(one.log_dir) == Path(f"lightning_logs/version_{number}")
        assert (
            len(list(Path(one.log_dir).glob("events.*")))
            == len(list(Path(one.log_dir).glob("checkpoints/*.ckpt")))
            == 1
        )
        one.logger.finish()


def test_fit_validate_and_test_are_one_run() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker, name="digits", config={"batch_size": 1})
    with_logger = trainer(logger)
    model = Tiny()
    with_logger.fit(model, batches(), batches())
    with_logger.validate(model, batches(), verbose=False)
    with_logger.test(model, batches(), verbose=False)
    assert [call[0] for call in tracker.calls if call[0] not in ("log", "flush")] == ["start", "config", "config"]
    assert [call[1] for call in tracker.calls if call[0] == "config"] == [
        {"batch_size": 1},
        {"lr": 0.25, "layers": [1, 2], "fail_at": None},
    ]
    assert logged(tracker) == [
        (1, {"loss", "epoch"}),
        (3, {"loss", "epoch"}),
        (5, {"loss", "epoch"}),
        (7, {"loss", "epoch"}),
        (7, {"val_loss", "epoch"}),
        (7, {"late", "epoch"}),
        (8, {"val_loss", "epoch"}),
        (8, {"test_loss", "epoch"}),
    ]
    logger.finish()
    assert tracker.calls[-1] == ("finish",)


class FailsLater(RecordingTracker):
    """A tracker that cannot flush what was logged."""

    def flush(self) -> None:
        super().flush()
        if logged(self):
            raise OSError("server is gone")


def test_a_failing_fit_shows_its_own_error() -> None:
    tracker = FailsLater()
    logger = AccelTrackLogger(tracker)
    with pytest.warns(AccelTrackWarning, match="recording: could not flush .OSError: server is gone"):
        with pytest.raises(ValueError, match="planned failure"):
            trainer(logger).fit(Tiny(fail_at=4), batches(), batches())
        logger.finish()
    assert [step for step, _ in logged(tracker)] == [1, 3]


def test_a_failing_fit_with_inline_delivery_flushes_and_shows_its_own_error(caplog: pytest.LogCaptureFixture) -> None:
    tracker = FailsLater()
    logger = AccelTrackLogger(tracker, delivery="inline")
    with pytest.raises(ValueError, match="planned failure"):
        trainer(logger).fit(Tiny(fail_at=4), batches())
    assert tracker.calls[-1] == ("flush",)
    assert "server is gone" in caplog.text
    assert [step for step, _ in logged(tracker)] == [1, 3]
    logger.finish()


def test_the_next_free_version_is_taken_and_kept() -> None:
    for name in ("version_0", "version_7", "version_x", "other"):
        Path("logs/digits", name).mkdir(parents=True)
    logger = AccelTrackLogger(RecordingTracker(), name="digits", save_dir="logs")
    assert logger.version == 8
    Path("logs/digits/version_8").mkdir()
    assert (logger.version, logger.run_name) == (8, "version_8")
    assert (logger.root_dir, logger.log_dir) == (str(Path("logs/digits")), str(Path("logs/digits/version_8")))
    named = AccelTrackLogger(RecordingTracker(), name="digits", version="baseline")
    assert Path(named.log_dir) == Path("digits/baseline")
    assert AccelTrackLogger(RecordingTracker(), version=3).run_name == "version_3"


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_finished_logger_tells_of_its_run_and_begins_another_one_when_it_is_used(delivery: Any) -> None:
    with AccelTrackLogger("tensorboard", name="digits", save_dir="logs", delivery=delivery) as logger:
        logger.log_metrics({"loss": 0.5}, 0)
        told = logger.run, logger.id, logger.run_id, logger.version, logger.log_dir
    assert (logger.run, logger.id, logger.run_id, logger.version, logger.log_dir) == told
    assert logger.url is None
    logger.finish("failed")  # once more
    assert logger.run.finished
    copy = pickle.loads(pickle.dumps(logger))
    logger.log_metrics({"loss": 0.25}, 0)
    assert not logger.run.finished
    assert logger.version == 1
    assert {logger.id, logger.run_id}.isdisjoint(told)
    logger.finish()
    assert copy.version == 1
    assert copy.id not in (told[1], logger.id)
    assert len(list(Path("logs/digits").glob("version_*"))) == 2


class FinishesInTheMiddle(Callback):
    def on_train_end(self, trainer: Any, *_: Any) -> None:
        trainer.logger.finish("failed")


def test_a_run_that_is_ended_within_a_call_keeps_its_end() -> None:
    logger = AccelTrackLogger([], save_dir="logs", delivery="none")
    with_logger = trainer(logger, callbacks=FinishesInTheMiddle())
    with_logger.fit(Tiny(), batches())
    (run,) = find_runs("logs")
    assert run.load().status == "failed"


def test_it_stands_beside_lightnings_loggers() -> None:
    tracker = RecordingTracker()
    loggers = [CSVLogger("csv"), AccelTrackLogger(tracker)]
    trainer(loggers).fit(Tiny(), batches())
    assert Path("csv/lightning_logs/version_0/metrics.csv").exists()
    assert logged(tracker)[0] == (1, {"loss", "epoch"})
    loggers[1].finish()


def test_native_objects_and_trackers() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(["tensorboard", tracker])
    logger.experiment.add_scalar("native", 1.0, 0)
    writer = logger.get_tracker("tensorboard", unwrap=True)
    assert isinstance(logger.experiment, SummaryWriter)
    assert logger.experiments == {"tensorboard": writer, "recording": tracker.calls}
    assert logger.get_tracker("recording") is tracker
    with pytest.raises(ValueError, match="no tracker 'wandb' in this run; there are: tensorboard, recording"):
        logger.get_tracker("wandb")
    logger.finish()


def test_without_any_tracker_training_goes_on() -> None:
    logger = AccelTrackLogger([])
    trainer(logger).fit(Tiny(), batches())
    assert isinstance(logger.experiment, _DummyExperiment)
    logger.finish()


def test_off_rank_zero_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    monkeypatch.setenv("RANK", "1")
    assert isinstance(logger.experiment, _DummyExperiment)
    logger.experiment.config.update({"a": 1})["b"].c()
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.log_hyperparams({"lr": 0.1})
    logger.get_tracker("recording").log_images({"a": 1})
    assert (logger.trackers, logger.experiments) == ([], {})
    logger.save()
    logger.finalize("success")
    assert tracker.calls == []


def test_prefix_steps_and_shared_dictionaries() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker, prefix="run")
    metrics = {"loss": torch.tensor(0.5)}
    logger.log_metrics(metrics=metrics, step=2.0)
    logger.log_metrics(metrics, step=2.7)
    logger.log_metrics(metrics)
    logger.finish()
    assert [(call[1], call[2]) for call in tracker.calls if call[0] == "log"] == [
        ({"run-loss": 0.5}, 2),
        ({"run-loss": 0.5}, 2),
        ({"run-loss": 0.5}, None),
    ]
    assert isinstance(metrics["loss"], torch.Tensor)


@pytest.mark.parametrize("step", [float("nan"), float("inf")])
def test_a_step_that_is_no_number_is_an_error_that_says_so(step: float) -> None:
    logger = AccelTrackLogger(RecordingTracker())
    with pytest.raises(TypeError, match=f"`step` must be an integer of 0 or more, or None; got {step}"):
        logger.log_metrics({"loss": 0.5}, step)
    logger.finish()


def test_a_logged_step_is_the_step() -> None:
    class OwnStep(Tiny):
        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            self.log("step", float(100 + batch_idx))
            return super().training_step(batch, batch_idx)

    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    trainer(logger).fit(OwnStep(), batches())
    assert [step for step, _ in logged(tracker)][:4] == [101, 103, 105, 107]
    logger.finish()


def test_hyperparameters_of_every_kind() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    logger.log_hyperparams(Namespace(lr=0.1, nested=Namespace(a=1)))
    logger.log_hyperparams({"lr": 0.1})
    logger.finish()
    assert len([call for call in tracker.calls if call[0] == "config"]) == 1


def test_an_instance_shared_with_an_accelerator_is_joined() -> None:
    shared = RecordingTracker()
    accelerator = Accelerator(log_with=shared, cpu=True)
    accelerator.init_trackers("project")
    logger = AccelTrackLogger(shared)
    trainer(logger).fit(Tiny(), batches())
    accelerator.log({"plain": 1.0}, step=0)
    accelerator.end_training()
    assert ("finish",) not in shared.calls
    logger.finish()
    kinds = [call[0] for call in shared.calls]
    assert (kinds.count("start"), kinds.count("finish")) == (1, 1)


def test_a_copy_starts_its_own_run() -> None:
    logger = AccelTrackLogger("tensorboard", save_dir="logs")
    logger.log_metrics({"loss": 1.0}, step=0)
    copy = pickle.loads(pickle.dumps(logger))
    assert (copy.version, copy.save_dir, copy.name) == (logger.version, "logs", "lightning_logs")
    assert copy.marks() == []
    logger.finish()


def test_with_fabric() -> None:
    tracker = RecordingTracker()
    fabric = Fabric(accelerator="cpu", devices=1, loggers=AccelTrackLogger(tracker))
    fabric.log("loss", torch.tensor(0.5))
    fabric.log_dict({"loss": 0.25}, step=3)
    fabric.logger.finish()
    assert [call[1:3] for call in tracker.calls if call[0] == "log"] == [({"loss": 0.5}, None), ({"loss": 0.25}, 3)]


def test_fast_dev_run_starts_nothing() -> None:
    tracker = RecordingTracker()
    trainer(AccelTrackLogger(tracker), fast_dev_run=True).fit(Tiny(), batches(), batches())
    assert tracker.calls == []


def test_saves_are_throttled() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    trainer(logger, log_every_n_steps=1).fit(Tiny(), batches())
    assert len(logged(tracker)) == 9
    assert tracker.calls.count(("flush",)) <= 2  # one save, one finalize
    logger.finish()


def test_an_attribute_error_at_the_start_is_not_hidden() -> None:
    tracker = FaultyTracker("start", error=AttributeError("deep inside"))
    with pytest.raises(RuntimeError, match="a tracker could not be started: deep inside"):
        trainer(AccelTrackLogger(tracker)).fit(Tiny(), batches())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "a/../b"}, ValueError, "`name` is used as a folder name and cannot be '..'"),
        ({"name": "/a"}, ValueError, "`name` must be a folder below `save_dir`; got '/a'"),
        ({"name": 3}, TypeError, "`name` must be a string"),
        ({"version": ".."}, ValueError, "`version` is used as a folder name"),
        ({"version": 1.5}, TypeError, "`version` must be the number or the name of a run; got a float"),
        ({"log_with": "nope"}, ValueError, "`log_with` names the unknown tracker 'nope'"),
        ({"config": 3}, TypeError, "`config` must be a dictionary"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AccelTrackLogger(**arguments)


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logger = AccelTrackLogger(save_dir=tmp_path / "file")
    with pytest.raises(OSError, match="`save_dir`: cannot write to"):
        trainer(logger, default_root_dir=tmp_path / "other").fit(Tiny(), batches())


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("strategy", "starts", "test_step"),
    # With ddp_spawn each Trainer call is a start of its own (see docs/lightning.md), and Lightning forgets the step.
    [("ddp", 1, 4), pytest.param("ddp_spawn", 2, 0, marks=pytest.mark.long)],
)
def test_two_processes_share_a_version_and_rank_zero_logs(
    strategy: str, starts: int, test_step: int, tmp_path: Path
) -> None:
    script = str(PROGRAMS / "ddp.py")
    done = warm.run(
        [sys.executable, script, strategy, str(tmp_path)], timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["version_0"]
    files = list((tmp_path / "digits" / "version_0").glob("events.out.tfevents.*"))
    assert len(files) == starts
    steps = []
    for file in sorted(files):
        accumulator = EventAccumulator(str(file))
        accumulator.Reload()
        steps += [
            event.step
            for name in ("loss", "test_loss")
            if name in accumulator.Tags()["scalars"]
            for event in accumulator.Scalars(name)
        ]
    assert sorted(steps) == sorted([1, 3, test_step])
