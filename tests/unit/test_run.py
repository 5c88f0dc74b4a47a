"""A run: checks first, every tracker gets every call, instances are shared, nothing is left half-made."""

import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track import Accelerator
from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning, UnwritableDirectoryError
from accel_track.journal.directory import find_runs
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.tensorboard import TensorBoardTracker


def run_of(*trackers: GeneralTracker, **arguments: Any) -> Run:
    return Run(select(list(trackers)), project="p", settings=Settings.of(delivery="inline"), **arguments)


def test_starting_stores_the_configuration_and_finishing_is_once() -> None:
    tracker = RecordingTracker()
    run = run_of(tracker, config={"lr": np.float32(0.5)})
    run.finish()
    run.finish()
    assert tracker.calls == [("start",), ("config", {"lr": 0.5}), ("finish",)]


def test_trackers_get_the_users_structure_with_python_numbers() -> None:
    tracker = RecordingTracker()
    image = np.zeros((4, 4))
    values = {"loss": torch.tensor(0.5), "val": {"acc": np.float64(0.25), "many": [np.int64(3)]}, "image": image}
    run = run_of(tracker)
    run.log(values, np.int64(3), {"recording": {"extra": 1}, "elsewhere": {"x": 2}})
    _, got, step, kwargs = tracker.calls[-1]
    assert got.pop("image").tolist() == image.tolist()
    assert got == {"loss": 0.5, "val": {"acc": 0.25, "many": [3]}}
    assert [type(got["loss"]), type(got["val"]["acc"]), type(got["val"]["many"][0])] == [float, float, int]
    assert (type(step), step, kwargs) == (int, 3, {"extra": 1})
    assert isinstance(values["loss"], torch.Tensor)
    run.finish()


def test_a_tracker_may_change_what_it_gets() -> None:
    class Greedy(RecordingTracker):
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            values["val"].clear()
            values.clear()

    other, values = RecordingTracker(), {"val": {"acc": 1.0}}
    run = run_of(Greedy(), other)
    run.log(values)
    assert other.calls[-1][1] == values == {"val": {"acc": 1.0}}
    run.finish()


class Forgetting(RecordingTracker):
    """Knows its backend run as long as that goes on, as built-in trackers do."""

    def as_experiment(self) -> Any:
        return None if self.calls[-1] == ("finish",) else self.calls

    def identity(self) -> dict[str, Any]:
        return {} if self.calls[-1] == ("finish",) else {"id": 7}

    def page(self) -> str | None:
        return None if self.calls[-1] == ("finish",) else "http://127.0.0.1/7"


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_run_that_has_ended_still_knows_its_pages(delivery: Any, tmp_path: Path) -> None:
    settings = Settings.of(delivery=delivery)
    run = Run(select([Forgetting(), FaultyTracker()]), project="p", directory=tmp_path, settings=settings)
    told = run.pages(), run.backend_identity("recording")
    run.finish()
    assert (run.pages(), run.backend_identity("recording")) == told == ({"recording": "http://127.0.0.1/7"}, {"id": 7})
    assert run.backend_identity("faulty") == {}


def test_the_last_started_is_finished_first() -> None:
    order = []

    class Ordered(RecordingTracker):
        def finish(self) -> None:
            order.append(self.run_name)

    run_of(Ordered("first"), Ordered("second"), Ordered("third")).finish()
    assert order == ["third", "second", "first"]


@pytest.mark.parametrize("what", ["config", "log", "flush", "finish"])
def test_one_failing_tracker_keeps_no_call_from_the_others(what: str, caplog: pytest.LogCaptureFixture) -> None:
    first, second, healthy = FaultyTracker(what), FaultyTracker(what, error=KeyError("second")), RecordingTracker()
    run = run_of(first, healthy, second)
    actions = {
        "config": lambda: run.store_configuration({"lr": 0.1}),
        "log": lambda: run.log({"loss": 1.0}),
        "flush": run.flush,
        "finish": run.finish,
    }
    with pytest.raises(KeyError if what == "finish" else RuntimeError) as raised:  # finishing goes backwards
        actions[what]()
    assert [one.calls[-1][0] for one in (first, healthy, second)] == [what] * 3
    if sys.version_info >= (3, 11):
        assert "raised by the tracker 'faulty'" in "".join(traceback.format_exception(raised.value))
    assert ("faulty on purpose" if what == "finish" else "second") in caplog.text
    first.fails = second.fails = ()
    run.finish()


def test_a_failed_start_finishes_what_was_started() -> None:
    healthy, faulty, later = RecordingTracker(), FaultyTracker("start"), RecordingTracker()
    with pytest.raises(RuntimeError, match="faulty on purpose"):
        run_of(healthy, faulty, later)
    assert healthy.calls == [("start",), ("finish",)]
    assert faulty.calls == [("start",)]
    assert later.calls == []
    assert healthy.users == faulty.users == later.users == 0


def test_a_shared_instance_is_started_once_and_finished_by_its_last_user() -> None:
    shared = RecordingTracker()
    one, other = run_of(shared), run_of(shared)
    one.log({"a": 1})
    one.finish()
    other.log({"b": 2})
    assert ("finish",) not in shared.calls
    other.finish()
    assert [call[0] for call in shared.calls] == ["start", "log", "log", "finish"]


def test_a_hyperparameter_called_environment_stays() -> None:
    tracker = RecordingTracker()
    run = run_of(tracker, config={"environment": "CartPole-v1", "environment_2": "Pong"})
    run.store_environment({"python": "3.11"})
    run.finish()
    stored = {name: value for call in tracker.calls if call[0] == "config" for name, value in call[1].items()}
    assert stored == {"environment": "CartPole-v1", "environment_2": "Pong", "environment_3": {"python": "3.11"}}


def test_stored_configuration_is_not_sent_again() -> None:
    tracker = RecordingTracker()
    run = run_of(tracker, config={"lr": 0.1, "layers": [1, 2]})
    run.store_configuration({"lr": 0.1, "layers": [1, 2]})
    run.store_configuration({"lr": 0.1, "new": 1})
    run.store_configuration({"lr": 0.2})
    assert [call[1] for call in tracker.calls if call[0] == "config"] == [
        {"lr": 0.1, "layers": [1, 2]},
        {"new": 1},
        {"lr": 0.2},
    ]
    run.finish()


@pytest.mark.parametrize(
    ("values", "step", "error", "message"),
    [
        ([("loss", 1)], 0, TypeError, r"`values` must be a dictionary.*got \[\('loss', 1\)\] \(list\)"),
        ({3: 1.0}, 0, TypeError, r"`values` must have string keys; got the key 3 \(int\)"),
        ({"loss": 1.0}, -1, ValueError, r"`step` must be 0 or more; got -1"),
        ({"loss": 1.0}, 1.5, TypeError, r"`step` must be an integer of 0 or more, or None; got 1.5 \(float\)"),
        ({"loss": 1.0}, "1", TypeError, r"`step` must be an integer"),
        ({"loss": 1.0}, True, TypeError, r"`step` must be an integer"),
    ],
)
def test_bad_calls_name_the_argument_and_lose_nothing(values: Any, step: Any, error: type, message: str) -> None:
    tracker = RecordingTracker()
    run = run_of(tracker)
    run.log({"before": 1.0}, 0)
    with pytest.raises(error, match=message):
        run.log(values, step)
    run.log({"after": 1.0}, 1)
    assert [list(call[1]) for call in tracker.calls if call[0] == "log"] == [["before"], ["after"]]
    run.finish()


@pytest.mark.parametrize("name", ["a/b", "..", "a/../b", "nul\0", "back\\slash", "", "  ", ".", "x..y"])
def test_names_that_are_no_folder_are_refused_before_anything_starts(name: str, tmp_path: Path) -> None:
    tracker = RecordingTracker()
    with pytest.raises(ValueError, match="`project_name` is used as a folder name and cannot be"):
        Run(select(tracker), project=name, directory=tmp_path / "logs")
    with pytest.raises(ValueError, match="`run name` is used as a folder name"):
        Run(select(tracker), project="p", name=name, directory=tmp_path / "logs")
    assert tracker.calls == []
    assert not (tmp_path / "logs").exists()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tracker = RecordingTracker()
    with pytest.raises(UnwritableDirectoryError, match=r"`project_dir`: cannot write to .*file.*choose another folder"):
        Run(select(tracker), project="p", directory=tmp_path / "file" / "below")
    assert tracker.calls == []


@pytest.mark.parametrize("config", [3, [("lr", 1)], {1: 2}])
def test_a_bad_configuration_starts_nothing(config: Any) -> None:
    tracker = RecordingTracker()
    with pytest.raises(TypeError, match="`config` must"):
        run_of(tracker, config=config)
    assert tracker.calls == []


def test_unknown_tracker() -> None:
    run = run_of(RecordingTracker())
    with pytest.raises(ValueError, match="no tracker 'wandb' in this run; there are: recording"):
        run.get_tracker("wandb")
    run.finish()


class Hostile:
    """A hyperparameter whose every text is an error."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_hyperparameter_that_has_no_text_costs_itself(delivery: Any) -> None:
    tracker = RecordingTracker()
    with Accelerator(log_with=tracker, project_dir="runs", cpu=True, delivery=delivery) as accelerator:
        with pytest.warns(AccelTrackWarning, match="config"):
            accelerator.init_trackers("p", {"bad": Hostile(), "lr": 0.1, "inner": {"bad": Hostile(), "depth": 3}})
        accelerator.log({"loss": 0.5}, step=0)
    (config,) = [call[1] for call in tracker.calls if call[0] == "config"]
    assert (config["lr"], config["inner"]["depth"]) == (0.1, 3)
    assert [call[1]["loss"] for call in tracker.calls if call[0] == "log"] == [0.5]
    assert [run.load().status for run in find_runs("runs")] == ([] if delivery == "inline" else ["finished"])


@pytest.mark.parametrize("config", [[1], 5, {1: 2}])
def test_a_configuration_of_another_form_begins_nothing(config: Any) -> None:
    tracker = RecordingTracker()
    accelerator = Accelerator(log_with=tracker, project_dir="runs", cpu=True)
    threads = threading.active_count()
    with pytest.raises(TypeError):
        accelerator.init_trackers("p", config)
    assert not tracker.calls
    assert not list(find_runs("runs"))
    assert threading.active_count() == threads


class Meta(type):
    """Its classes can neither be hashed nor compared."""

    def __hash__(cls) -> int:
        raise RuntimeError("no hash")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("no comparison")


class Odd(metaclass=Meta):
    """An object of such a class."""


@pytest.mark.filterwarnings("ignore::accel_track.errors.AccelTrackWarning")
def test_a_class_that_cannot_be_hashed_costs_its_value() -> None:
    tracker = RecordingTracker()
    with Accelerator(log_with=tracker, project_dir="runs", cpu=True) as accelerator:
        accelerator.init_trackers("p")
        for step in range(3):
            accelerator.log({"loss": 0.5, "in": {"acc": 1.0}}, step=step)
            accelerator.log({"loss": 0.5, "odd": Odd()}, step=step)
            accelerator.log({"loss": 0.5, "in": {"odd": Odd(), "acc": 1.0}}, step=step)
    assert [call[1]["loss"] for call in tracker.calls if call[0] == "log"] == [0.5] * 9


class Prefixing:
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        super().log({f"my/{name}": value for name, value in values.items()}, step, **kwargs)  # type: ignore[misc]


class ByLog(TensorBoardTracker):
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        super().log({f"my/{name}": value for name, value in values.items()}, step, **kwargs)


class ByMixin(Prefixing, TensorBoardTracker):
    pass


class ByBatch(TensorBoardTracker):
    def log_batch(self, records: Sequence[Metrics]) -> None:
        values = [{f"my/{name}": value for name, value in one.values.items()} for one in records]
        super().log_batch(
            [msgspec.structs.replace(one, values=mine) for one, mine in zip(records, values, strict=True)]
        )


class ByNothing(ByLog):
    pass


@pytest.mark.parametrize("delivery", ["thread", "inline"])
@pytest.mark.parametrize("cls", [ByLog, ByMixin, ByBatch, ByNothing])
def test_what_a_subclass_of_a_built_in_tracker_overrides_is_called(
    cls: type[TensorBoardTracker], delivery: Any
) -> None:
    run = Run(select(cls("p", "logs")), project="p", settings=Settings.of(delivery=delivery))
    for step in range(3):
        run.log({"loss": step}, step)
    run.finish()
    found = EventAccumulator("logs/p")
    found.Reload()
    assert found.Tags()["scalars"] == ["my/loss"]
    assert [one.step for one in found.Scalars("my/loss")] == [0, 1, 2]
