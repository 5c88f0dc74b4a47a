"""transformers' Trainer with our callback, on a tiny model that is made from a config."""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

import accel_track.bridges
from accel_track.bridges import AccelTrackTrainerCallback
from accel_track.errors import AccelTrackWarning, MissingPackageError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Rewind
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.processes import PROGRAMS
from tests.support.processes import accel_track as command
from tests.support.runs import only_run, scalars
from tests.support.transformer import tiny


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[RecordingTracker]:
    found: list[RecordingTracker] = []

    class Other(RecordingTracker):
        name = "other"

        def start(self) -> None:
            found.append(self)

        def identity(self) -> dict[str, Any]:
            return {"key": "value"}

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "other", Other)
    return found


def logged(tracker: RecordingTracker, name: str) -> list[int]:
    return [call[2] for call in tracker.calls if call[0] == "log" and name in call[1]]


def test_a_training_with_evaluation_prediction_and_checkpoints(database: MlflowClient) -> None:
    callback = AccelTrackTrainerCallback(
        ["tensorboard", "mlflow"], "tiny", ".", "first", {"seed": 7}, log_checkpoints=True
    )
    trainer = tiny("out", [callback], eval_strategy="steps", eval_steps=2, save_steps=2, save_total_limit=1)
    trainer.train()
    assert callback.run is not None
    callback.run.log_images({"picture": np.zeros((4, 4, 3), np.uint8)}, 4)
    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)
    assert only_run(Path()).load().status == "finished"
    callback.finish()
    assert callback.run is None

    (found,) = database.search_runs([database.get_experiment_by_name("tiny").experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    params = found.data.params
    assert (params["seed"], params["args/learning_rate"], params["model/n_layer"]) == ("7", "5e-05", "2")
    history = trainer.state.log_history
    for name, key in (("train/loss", "loss"), ("eval/loss", "eval_loss"), ("train/train_loss", "train_loss")):
        expected = [(one["step"], one[key]) for one in history if key in one]
        stored = database.get_metric_history(found.info.run_id, name)
        assert sorted((one.step, one.value) for one in stored) == sorted(expected), name
    assert {one.step for one in database.get_metric_history(found.info.run_id, "test/loss")} == {4}
    assert [one.path for one in database.list_artifacts(found.info.run_id, "checkpoints")] == [
        "checkpoints/checkpoint-4"
    ]
    assert [step for step, _ in scalars(Path("tiny/first"), "train/loss")] == [1, 2, 3, 4]


@pytest.mark.long
def test_a_training_that_goes_on_from_a_checkpoint_continues_its_run(made: list[RecordingTracker]) -> None:
    first = AccelTrackTrainerCallback("other", log_checkpoints=True)
    tiny("out", [first], save_steps=2).train()
    first.finish()
    run = only_run(Path("out"))
    assert (run.load().project, run.load().status) == ("huggingface", "finished")
    second = AccelTrackTrainerCallback("other", log_checkpoints=True)
    trainer = tiny("out", [second], max_steps=6, save_steps=2, save_total_limit=1)
    trainer.train(resume_from_checkpoint="out/checkpoint-2")
    assert second.run is not None
    assert second.run.run_id == run.path.name
    trainer.train(resume_from_checkpoint="out/checkpoint-6")  # of the very run that goes on
    second.finish()
    assert only_run(Path("out")).load().starts == 2
    assert [one.step for one in JournalReader(run.rank()) if isinstance(one, Rewind)] == [3, 7]
    assert logged(made[1], "train/loss") == [3, 4, 5, 6, 7]  # it takes one step at least
    assert [call[1] for call in made[1].calls if call[0] == "delete"] == [
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-6",
    ]
    never = AccelTrackTrainerCallback("other", resume="never")
    tiny("out", [never], max_steps=8).train(resume_from_checkpoint="out/checkpoint-7")
    never.finish()
    assert len(list(find_runs("out"))) == 2


@pytest.mark.long
def test_killed_delivered_and_gone_on_with(tmp_path: Path) -> None:
    program = [sys.executable, "-W", "ignore", str(PROGRAMS / "transformers_killed.py"), str(tmp_path)]
    where = {**os.environ, "PYTHONPATH": str(PROGRAMS.parents[2])}  # of this folder's helpers
    done = warm.run(program, timeout=170, env=where)
    assert done.returncode == -9, done.stderr
    run = only_run(tmp_path)
    command("sync", run.path)
    assert run.load().status == "failed"
    place = tmp_path / "huggingface" / run.path.name
    assert [step for step, _ in scalars(place, "train/loss")] == [1, 2, 3, 4, 5]
    callback = AccelTrackTrainerCallback("tensorboard")
    tiny(str(tmp_path), [callback], max_steps=8).train(resume_from_checkpoint=True)
    callback.finish()
    assert [step for step, _ in scalars(place, "train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert RunDirectory(run.path).load().status == "finished"


def test_a_training_that_fails_says_so(made: list[RecordingTracker]) -> None:
    callback = AccelTrackTrainerCallback("other")
    with pytest.raises(ValueError, match="planned failure"):
        tiny("out", [callback], fail_at=3).train()
    assert callback.run is not None
    assert callback.run.fallback is not None
    run, directory = callback.run, only_run(Path("out"))
    with contextlib.suppress(ZeroDivisionError):
        try:
            _ = 1 / 0
        finally:
            callback.finish()
    assert run.finished
    assert (directory.load().status, directory.load().reason) == ("failed", "ZeroDivisionError: division by zero")
    assert logged(made[0], "train/loss") == [1, 2]


@pytest.mark.long
def test_train_called_twice_and_evaluate_alone(made: list[RecordingTracker]) -> None:
    callback = AccelTrackTrainerCallback("other")
    trainer = tiny("out", [callback], max_steps=2)
    trainer.evaluate()
    trainer.train()
    trainer.train()
    callback.finish()
    assert len(list(find_runs("out"))) == len(made) == 1
    assert logged(made[0], "eval/loss") == [0]
    assert logged(made[0], "train/loss") == [1, 2, 1, 2]


@pytest.mark.long
def test_each_trial_of_a_search_is_a_child(made: list[RecordingTracker]) -> None:
    callback = AccelTrackTrainerCallback("other", run_name="search")
    trainer = tiny("out", [callback], max_steps=1, eval_strategy="steps", eval_steps=1)
    kind, config = type(trainer.model), trainer.model.config
    trainer.model_init = lambda: kind(config)
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-3)},
        n_trials=2,
        backend="optuna",
        hp_name=lambda trial: f"number-{trial.number}",
    )
    callback.finish()
    found = {info.name: info for info in (run.load() for run in find_runs("out"))}
    assert sorted(found) == ["search", "search-number-0", "search-number-1"]
    assert {info.parent for info in found.values()} == {None, found["search"].run_id}
    assert {info.status for info in found.values()} == {"finished"}
    rates = [
        call[1]["args"]["learning_rate"]
        for one in made
        for call in one.calls
        if call[0] == "config" and "args" in call[1]
    ]
    assert len(set(rates)) == 2


@pytest.mark.first(1)
@pytest.mark.parametrize("delivery", ["inline", "none"])
def test_modes_of_delivery(delivery: Any) -> None:
    callback = AccelTrackTrainerCallback("tensorboard", "p", ".", "r", delivery=delivery)
    tiny("out", [callback], max_steps=2).train()
    callback.finish()
    if delivery == "none":
        command("sync", only_run(Path()).path)
    assert [step for step, _ in scalars(Path("p/r"), "train/loss")] == [1, 2]


def test_off_the_main_process_nothing_is_begun(made: list[RecordingTracker]) -> None:
    callback = AccelTrackTrainerCallback("other")
    trainer = tiny("out", [callback], max_steps=1)
    trainer.is_world_process_zero = lambda: False
    trainer.train()
    assert callback.run is None
    assert made == []
    callback.finish()


@pytest.mark.long
@pytest.mark.usefixtures("made")
def test_a_checkpoint_whose_run_is_gone_begins_another() -> None:
    first = AccelTrackTrainerCallback("other")
    tiny("out", [first], save_steps=2, max_steps=2).train()
    first.finish()
    state = Path("out/checkpoint-2/trainer_state.json")
    noted = json.loads(state.read_text())
    for wrong in ({"run": "/nowhere"}, "text"):
        noted["stateful_callbacks"]["accel_track"] = wrong
        state.write_text(json.dumps(noted))
        callback = AccelTrackTrainerCallback("other")
        tiny("out", [callback], max_steps=3).train(resume_from_checkpoint="out/checkpoint-2")
        callback.finish()
    assert len(list(find_runs("out"))) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"log_with": "unknown"}, ValueError, "unknown tracker 'unknown'"),
        ({"log_with": 3}, TypeError, "takes names"),
        ({"project": "a/b"}, ValueError, "`project`"),
        ({"run_name": 3}, TypeError, "`run_name`"),
        ({"config": [1]}, TypeError, "config"),
        ({"all_ranks": True}, ValueError, "all_ranks"),
        ({"delivry": "none"}, TypeError, "did you mean 'delivery'"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        AccelTrackTrainerCallback(**arguments)


@pytest.mark.usefixtures("made")
def test_a_checkpoint_that_cannot_be_read_is_a_warning() -> None:
    callback = AccelTrackTrainerCallback("other", log_checkpoints=True)
    trainer = tiny("out", [callback], max_steps=1)
    trainer.train()
    trainer.state.global_step = 77
    with pytest.warns(AccelTrackWarning, match="checkpoint-77 cannot be given"):
        callback.on_save(trainer.args, trainer.state, trainer.control)
    callback.finish()


def test_a_library_that_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "accel_track.bridges.transformers_callback")
    monkeypatch.delitem(vars(accel_track.bridges), "AccelTrackTrainerCallback")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises((MissingPackageError, ImportError)):
        _ = accel_track.bridges.AccelTrackTrainerCallback
    with pytest.raises(AttributeError, match="unknown"):
        _ = accel_track.bridges.unknown
    assert {"AccelTrackTrainerCallback", "LightningLoggerTracker", "as_accelerate_tracker"} <= set(
        dir(accel_track.bridges)
    )
