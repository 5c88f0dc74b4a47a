"""What Lightning expects of a logger and a callback, with a real Trainer: what no other file of this folder tests.

One section for each touch point. Those that are tested elsewhere:

| touch point | tests |
|---|---|
| `Trainer.log_dir`, checkpoint folder | test_logger (test_without_arguments...), test_cli, test_import_names |
| `experiment` off rank zero; errors in it | test_logger (test_off_rank_zero..., test_an_attribute_error...) |
| shared dictionaries, prefix, a user's `step`, the step at an epoch's end | test_logger |
| `save` after every call; `fast_dev_run`; Fabric | test_logger |
| success; fit, validate and test are one run | test_logger, test_callback |
| checkpoints | test_checkpoints |
| exception, SIGTERM, Ctrl-C, sys.exit, SLURM; several runs in one process | test_status |
| ranks, ddp, spawn, fork | test_logger (test_two_processes...), test_ranks |
| resume | test_resume |
| command line | test_cli |
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    DeviceStatsMonitor,
    LearningRateFinder,
    LearningRateMonitor,
    ThroughputMonitor,
)
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.profilers import SimpleProfiler
from lightning.pytorch.tuner import Tuner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
ONLY = {
    "log_learning_rate": False,
    "log_throughput": False,
    "log_system": False,
    "log_summary": False,
    "log_environment": False,
}


def with_door(door: str, tracker: Any, **arguments: Any) -> tuple[Any, Any]:
    """Return a Trainer with a logger, or without one and with the callback; and what ends the run."""
    callbacks = arguments.pop("callbacks", [])
    if door == "logger":
        logger = AccelTrackLogger(tracker)
        return trainer(logger, callbacks=callbacks, **arguments), logger
    callback = AccelTrackCallback(tracker, **ONLY)
    return trainer(False, callbacks=[callback, *callbacks], **arguments), callback


def logged(tracker: RecordingTracker, name: str) -> list[tuple[int | None, Any]]:
    return [(call[2], call[1][name]) for call in tracker.calls if call[0] == "log" and name in call[1]]


def names(tracker: RecordingTracker) -> set[str]:
    return {name for call in tracker.calls if call[0] == "log" for name in call[1]}


def steps(tracker: RecordingTracker, name: str = "loss") -> list[int | None]:
    return [step for step, _ in logged(tracker, name)]


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(name)]


both = pytest.mark.parametrize("door", ["logger", "callback"])


# -- Trainer(logger=...) ------------------------------------------------------------------------------------------------


def test_it_is_one_logger_and_true() -> None:
    logger = AccelTrackLogger(RecordingTracker())
    assert bool(logger)
    assert not isinstance(logger, Iterable)
    assert isinstance(logger, Logger)
    assert trainer(logger).loggers == [logger]
    other = CSVLogger("csv")
    assert trainer([other, logger]).loggers == [other, logger]


# -- learning rate finder, batch size scaler: another logger meanwhile; the tuner's early exit ---------------------------


class Tunable(Tiny):
    """Has what the tuner changes."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 1

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.linspace(0, 1, 8)[:, None]), batch_size=self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return batches()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def find_rate(one: Any, model: Tunable) -> None:
    Tuner(one).lr_find(model, num_training=6, max_lr=1e-2)


def scale_batch(one: Any, model: Tunable) -> None:
    Tuner(one).scale_batch_size(model, max_trials=2, steps_per_trial=2)
    model.batch_size = 1


@pytest.mark.first(2)
@both
@pytest.mark.parametrize("tune", [find_rate, scale_batch])
def test_what_the_tuner_tries_is_no_part_of_the_run(door: str, tune: Callable[..., None]) -> None:
    tracker = RecordingTracker()
    one, held = with_door(door, tracker)
    model = Tunable()
    tune(one, model)
    one.fit(model)
    held.finish()
    assert [call[0] for call in tracker.calls].count("start") == 1
    assert steps(tracker) == [1, 3, 5, 7]
    assert len(list(find_runs("."))) == 1
    assert [run.load().status for run in find_runs(".")] == ["finished"]


@pytest.mark.first(2)
@both
@pytest.mark.parametrize(
    "finder", [LearningRateFinder(num_training_steps=6, max_lr=1e-2), BatchSizeFinder(max_trials=2, steps_per_trial=2)]
)
def test_a_finder_in_the_middle_of_a_fit(door: str, finder: Callback) -> None:
    tracker = RecordingTracker()
    one, held = with_door(door, tracker, callbacks=[finder])
    model = Tunable()
    one.fit(model)
    held.finish()
    assert [call[0] for call in tracker.calls].count("start") == 1
    expected = [1, 3, 5, 7] if isinstance(finder, LearningRateFinder) else [1]  # batches of 4 then
    assert steps(tracker) == expected
    assert len(list(find_runs("."))) == 1


# -- save_dir, name, version: read before `experiment` ------------------------------------------------------------------


def test_where_things_are_is_known_without_starting_anything() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker, name="digits", save_dir="logs")
    one = trainer(logger)
    assert (logger.save_dir, logger.name, logger.version) == ("logs", "digits", 0)
    assert Path(one.log_dir) == Path("logs/digits/version_0")
    assert one.logger.log_dir == one.log_dir
    assert tracker.calls == []
    assert not Path("logs").exists()


def test_the_last_checkpoint_and_a_profiler() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker, name="digits")
    with pytest.warns(UserWarning, match="no last checkpoint available"):
        trainer(logger, profiler=SimpleProfiler(filename="profile")).fit(Tiny(), batches(), batches(), ckpt_path="last")
    logger.finish()
    assert steps(tracker) == [1, 3, 5, 7]
    assert list(Path("digits/version_0").glob("*profile*.txt"))


@both
def test_a_version_that_is_a_name(door: str) -> None:
    if door == "logger":
        held: Any = AccelTrackLogger(RecordingTracker(), version="baseline")
        one = trainer(held)
    else:
        held = AccelTrackCallback(RecordingTracker(), version="baseline", **ONLY)
        one = trainer(False, callbacks=[held])
    one.fit(Tiny(), batches())
    held.finish()
    folder = Path("lightning_logs/baseline/checkpoints") if door == "logger" else Path("checkpoints")
    assert list(folder.glob("*.ckpt"))
    assert [run.load().name for run in find_runs(".")] == ["baseline"]
    assert not list(Path.cwd().rglob("version_None"))


# -- `experiment`: touched at the start of every call -------------------------------------------------------------------


def test_the_native_object_is_there_in_every_hook() -> None:
    seen = []

    class Looks(Tiny):
        def setup(self, stage: str) -> None:
            seen.append((stage, self.logger.experiment))

        def on_test_end(self) -> None:
            seen.append(("end", self.logger.experiment))

    logger = AccelTrackLogger()
    one, model = trainer(logger), Looks()
    one.fit(model, batches())
    one.test(model, batches(), verbose=False)
    assert [stage for stage, _ in seen] == ["fit", "test", "end"]
    assert len({id(native) for _, native in seen}) == 1
    assert type(seen[0][1]).__name__ == "SummaryWriter"
    logger.finish()


# -- hyperparameters, the module's graph --------------------------------------------------------------------------------


@pytest.mark.first(1)
@both
def test_a_changed_hyperparameter_does_not_stop_mlflow(door: str) -> None:
    need("mlflow")
    from mlflow import MlflowClient

    one, held = with_door(door, "mlflow", enable_checkpointing=False)
    one.fit(Tiny(lr=0.25), batches(), batches())
    one.fit_loop.max_epochs = 2
    with pytest.warns(AccelTrackWarning, match=r"mlflow: dropped 'lr': it is stored as '0.25'"):
        one.fit(Tiny(lr=0.5), batches(), batches())
        held.finish()
    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("lightning_logs").experiment_id])
    assert (run.info.status, run.data.params["lr"]) == ("FINISHED", "0.25")
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == list(range(1, 16, 2))


class Odd(Tiny):
    """Has hyperparameters that Lightning's helpers drop, call or change."""

    def __init__(self, empty: Any = (), nothing: Any = None, function: Any = None, nested: Any = None) -> None:
        super(Tiny, self).__init__()
        self.save_hyperparameters()
        self.fail_at = None
        self.layer = torch.nn.Linear(1, 1)


def explodes() -> None:
    pytest.fail("a hyperparameter was called")


@both
def test_hyperparameters_are_neither_dropped_nor_called_nor_changed(door: str) -> None:
    tracker = RecordingTracker()
    one, held = with_door(door, tracker, enable_checkpointing=False)
    nested = {"a": {"b": [], "c": {}}, "t": torch.tensor(2.0)}
    one.fit(Odd(empty=[], nothing={}, function=explodes, nested=nested), batches())
    held.finish()
    (config,) = [call[1] for call in tracker.calls if call[0] == "config"]
    assert (config["empty"], config["nothing"], config["nested"]["a"]) == ([], {}, {"b": [], "c": {}})
    assert "explodes" in str(config["function"])
    assert nested == {"a": {"b": [], "c": {}}, "t": torch.tensor(2.0)}


def test_metrics_beside_the_hyperparameters() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(["tensorboard", tracker])
    logger.log_hyperparams({"lr": 0.1}, {"best": 0.5, "worst": 2.0})
    logger.log_hyperparams({"lr": 0.1}, metrics=0.25, step=3)
    logger.finish()
    assert [call[1:3] for call in tracker.calls if call[0] == "log"] == [
        ({"best": 0.5, "worst": 2.0}, 0),
        ({"hp_metric": 0.25}, 3),
    ]
    folder = Path("lightning_logs/version_0")
    assert scalars(folder, "best") == [(0, 0.5)]
    assert scalars(folder, "hp_metric") == [(3, 0.25)]


class Drawn(Tiny):
    """Has a `forward` and an example of what it takes."""

    example_input_array = torch.zeros(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)
        return result


def graphs() -> int:
    accumulator = EventAccumulator("lightning_logs/version_0")
    accumulator.Reload()
    return int(accumulator.Tags()["graph"])


@pytest.mark.parametrize("wanted", [True, False])
def test_the_graph_of_a_module(wanted: bool) -> None:
    logger = AccelTrackLogger(["tensorboard", RecordingTracker()], log_graph=wanted)
    one, model = trainer(logger, enable_checkpointing=False), Drawn()
    one.fit(model, batches(), batches())
    one.test(model, batches(), verbose=False)
    logger.finish()
    assert graphs() == wanted


def test_a_graph_without_an_example_is_a_warning() -> None:
    logger = AccelTrackLogger(log_graph=True)
    with pytest.warns(AccelTrackWarning, match="the module has no `example_input_array`"):
        trainer(logger, enable_checkpointing=False).fit(Tiny(), batches(), batches())
    logger.finish()
    assert graphs() == 0
    assert [step for step, _ in scalars(Path("lightning_logs/version_0"), "loss")] == [1, 3, 5, 7]


@pytest.mark.parametrize(
    "example", [torch.zeros(1, 3), {"x": torch.zeros(1, 2)}], ids=["another shape", "a dictionary"]
)
def test_a_graph_that_cannot_be_traced_is_a_warning(example: Any) -> None:
    logger, model = AccelTrackLogger(log_graph=True), Drawn()
    model.example_input_array = example
    with pytest.warns(AccelTrackWarning, match="log_graph: the module cannot be traced, so its graph is not logged"):
        trainer(logger, enable_checkpointing=False).fit(model, batches(), batches())
    logger.finish()
    assert graphs() == 0
    assert scalars(Path("lightning_logs/version_0"), "loss")


# -- values and steps ---------------------------------------------------------------------------------------------------


def test_a_learning_rate_that_is_a_tensor() -> None:
    class Rate(Tiny):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=torch.tensor(0.5), momentum=0.9)
            return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)]

    by_monitor, by_callback = RecordingTracker(), RecordingTracker()
    logger = AccelTrackLogger(by_monitor)
    trainer(logger, callbacks=[LearningRateMonitor("step", log_momentum=True)]).fit(Rate(), batches())
    logger.finish()
    callback = AccelTrackCallback(by_callback, log_throughput=False, log_system=False)
    trainer(False, callbacks=[callback]).fit(Rate(), batches())
    callback.finish()
    expected = [(step, 0.5) for step in (1, 3, 5, 7)]
    assert logged(by_monitor, "lr-SGD") == logged(by_callback, "lr-SGD") == expected
    assert {type(value) for _, value in logged(by_monitor, "lr-SGD-momentum")} == {float}


class Two(Tiny):
    """Two optimizers, and manual optimization: Lightning's `global_step` counts both."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
        return loss

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.01), torch.optim.Adam(self.parameters(), lr=0.01)]


@both
def test_the_step_with_two_optimizers_is_the_batch(door: str) -> None:
    tracker = RecordingTracker()
    one, held = with_door(door, tracker, enable_checkpointing=False)
    one.fit(Two(), batches())
    held.finish()
    assert one.global_step == 16
    assert steps(tracker) == [1, 3, 5, 7]


def test_what_the_callback_measures_has_the_step_of_everything_else() -> None:
    tracker = RecordingTracker()
    callback = AccelTrackCallback(tracker, log_system=False)
    one = trainer(False, callbacks=[callback], max_epochs=2, accumulate_grad_batches=2, log_every_n_steps=1)
    one.fit(Tiny(), batches())
    callback.finish()
    assert steps(tracker, "lr-SGD") == steps(tracker) == list(range(8))
    assert steps(tracker, "throughput/batches_per_second") == list(range(8))


class PerStep(Tiny):
    """Logs each batch of a validation."""

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("val", self._loss(batch), on_step=True, on_epoch=True)


@both
def test_the_steps_of_validation_batches_go_backwards_and_none_is_lost(door: str) -> None:
    tracker = RecordingTracker()
    one, held = with_door(
        door,
        ["tensorboard", tracker],
        max_epochs=2,
        num_sanity_val_steps=0,
        limit_val_batches=2,
        val_check_interval=0.5,
    )
    one.fit(PerStep(), batches(), batches())
    held.finish()
    observed = [call[2] for call in tracker.calls if call[0] == "log"]
    assert any(later < earlier for earlier, later in itertools.pairwise(observed))
    assert steps(tracker, "val_step") == list(range(8))
    assert steps(tracker, "val_epoch") == [3, 7, 11, 15]
    folder = Path("lightning_logs/version_0")
    assert [step for step, _ in scalars(folder, "val_step")] == list(range(8))
    assert [step for step, _ in scalars(folder, "loss")] == list(range(1, 16, 2))


# -- Lightning's monitors: `log_metrics` without `save` -------------------------------------------------------------------


def test_lightnings_monitors() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    monitors = [
        LearningRateMonitor("step"),
        DeviceStatsMonitor(cpu_stats=True),
        ThroughputMonitor(batch_size_fn=lambda _: 1, window_size=2),
    ]

    class Scheduled(Tiny):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)]

    trainer(logger, callbacks=monitors, enable_checkpointing=False).fit(Scheduled(), batches())
    logger.finish()
    assert steps(tracker, "lr-SGD") == [1, 3, 5, 7]
    assert any(name.startswith("DeviceStatsMonitor.on_train_batch_start/") for name in names(tracker))
    assert any(name.startswith("train/") for name in names(tracker))
    assert steps(tracker) == [1, 3, 5, 7]


# -- finalize: never raises, is bounded, and ends a call only ------------------------------------------------------------


class Stuck(RecordingTracker):
    """A tracker whose backend never answers, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        assert self.go.wait(60)
        super().log(values, step, **kwargs)


@both
def test_a_backend_that_never_answers_delays_the_end_of_a_call_by_seconds_only(door: str) -> None:
    tracker, ended = Stuck(), []

    class Notes(Tiny):
        def on_train_end(self) -> None:
            ended.append(time.monotonic())
            assert tracker.calls == [("start",)] or tracker.calls[-1][0] == "config"

    one, held = with_door(door, tracker, log_every_n_steps=1, enable_checkpointing=False)
    began = time.monotonic()
    one.fit(Notes(), batches())
    assert ended[0] - began < 5  # no step has waited
    assert time.monotonic() - ended[0] < 15
    (run,) = find_runs(".")
    written = [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]
    assert written == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    tracker.go.set()
    held.finish()
    assert steps(tracker) == list(range(8))


class FailsToFinalize(Logger):
    """Says when it is finalized."""

    def __init__(self) -> None:
        super().__init__()
        self.status: list[str] = []

    name = version = "other"  # type: ignore[assignment]

    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...

    def log_metrics(self, *_: Any, **__: Any) -> None: ...

    def finalize(self, status: str) -> None:
        self.status.append(status)


class CannotFlush(RecordingTracker):
    """A tracker that fails whenever it is asked to store."""

    def flush(self) -> None:
        raise OSError("server is gone")


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_loggers_behind_it_are_finalized(delivery: Any) -> None:
    behind = FailsToFinalize()
    logger = AccelTrackLogger(CannotFlush(), delivery=delivery, on_error="warn")
    with pytest.warns(AccelTrackWarning, match="server is gone"):
        trainer([logger, behind], enable_checkpointing=False).fit(Tiny(), batches(), batches())
        logger.finish()
    assert behind.status == ["success"]


@both
def test_finalize_ends_a_call_not_the_run(door: str) -> None:
    tracker = RecordingTracker()
    one, held = with_door(door, tracker, enable_checkpointing=False)
    model = Drawn()
    one.validate(model, batches(), verbose=False)
    one.fit(model, batches())
    one.predict(model, DataLoader(torch.zeros(2, 1)), return_predictions=False)
    one.test(model, batches(), verbose=False)
    assert ("finish",) not in tracker.calls
    held.finish()
    assert tracker.calls[-1] == ("finish",)
    assert [call[0] for call in tracker.calls].count("start") == 1
    assert {"loss", "val_loss", "test_loss"} <= names(tracker)


# -- progress bar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "shown"), [("baseline", "line"), (12, 12), (None, 0)])
def test_the_progress_bar_shows_the_version(version: Any, shown: Any) -> None:
    from lightning.pytorch.callbacks.progress.progress_bar import get_standard_metrics

    logger = AccelTrackLogger(RecordingTracker(), version=version)
    assert get_standard_metrics(trainer(logger))["v_num"] == shown


# -- Fabric: nobody calls `finalize` ------------------------------------------------------------------------------------


def test_with_fabric_the_interpreters_exit_ends_the_run(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from lightning.fabric import Fabric\n"
        "from accel_track import AccelTrackLogger\n"
        "fabric = Fabric(accelerator='cpu', devices=1, loggers=AccelTrackLogger())\n"
        "for step in range(5):\n"
        "    fabric.log('loss', step / 2, step)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = warm.run([sys.executable, str(program)], env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [run.load().status for run in find_runs(".")] == ["finished"]
    assert scalars(Path("lightning_logs/version_0"), "loss") == [(step, step / 2) for step in range(5)]


# -- the rank is not decided when the logger is made ---------------------------------------------------------------------


def test_a_process_that_learns_its_rank_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_utilities.core import rank_zero

    monkeypatch.setenv("LOCAL_RANK", "0")  # as on each node of a cluster that Lightning does not know
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    monkeypatch.setattr(rank_zero.rank_zero_only, "rank", 1)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.log_hyperparams({"lr": 0.1})
    logger.finish()
    assert tracker.calls == []
    assert list(find_runs(".")) == []


# -- what users ask for: an outage does not end a training; media -------------------------------------------------------


class Gone(RecordingTracker):
    """A tracker whose server is gone after its start."""

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        raise ConnectionError("connection refused")


@both
def test_an_outage_does_not_end_a_training(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    if door == "logger":
        held: Any = AccelTrackLogger(Gone(), finish_timeout=0.2)
        one = trainer(held)
    else:
        held = AccelTrackCallback(Gone(), finish_timeout=0.2, **ONLY)
        one = trainer(False, callbacks=[held])
    with pytest.warns(AccelTrackWarning, match="connection refused.*kept in the journal"):
        one.fit(Tiny(), batches(), batches())
        one.test(Tiny(), batches(), verbose=False)
        held.finish()
    assert "accel-track sync" in capsys.readouterr().err
    (run,) = find_runs(".")
    assert run.load().status == "finished"
    written = [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]
    assert written[:4] == [1, 3, 5, 7]


def test_images_and_artifacts_from_a_hook() -> None:
    class Shows(Tiny):
        def on_train_epoch_end(self) -> None:
            picture = torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()
            self.logger.get_tracker("tensorboard").log_images({"picture": [picture]}, step=self.global_step)

    logger = AccelTrackLogger()
    trainer(logger, enable_checkpointing=False).fit(Shows(), batches())
    logger.finish()
    accumulator = EventAccumulator("lightning_logs/version_0")
    accumulator.Reload()
    (tag,) = accumulator.Tags()["images"]
    assert [(event.step, event.width, event.height) for event in accumulator.Images(tag)] == [(8, 8, 8)]
