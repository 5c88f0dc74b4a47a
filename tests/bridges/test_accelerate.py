"""Hugging Face accelerate, both ways: its trackers in our front doors, our runs in its Accelerator."""

import contextlib
import gc
import json
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from accelerate import Accelerator as TheirAccelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker, on_main_process
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import accel_track
from accel_track import AccelTrackLogger
from accel_track.bridges import as_accelerate_tracker
from accel_track.errors import AccelTrackWarning, NotConfiguredError, NotStartedError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.registry import LOGGER_TYPE_TO_CLASS, filter_trackers
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.processes import PROGRAMS
from tests.support.processes import accel_track as command
from tests.support.readers.wandb import items, records
from tests.support.runs import only_run, scalars

RED = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(autouse=True)
def _their_state() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Custom(GeneralTracker):
    """A tracker as users of accelerate write it; `fails` names the methods that raise."""

    name = "custom"
    requires_logging_directory = False

    def __init__(self, *fails: str, main_process_only: bool = True) -> None:
        super().__init__()
        self.main_process_only = main_process_only
        self.fails = fails
        self.calls: list[tuple[Any, ...]] = []

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] in self.fails:
            raise ValueError(f"{call[0]} is broken")

    @property
    def tracker(self) -> list[tuple[Any, ...]]:
        return self.calls

    @on_main_process
    def start(self) -> None:
        self._call("start")

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._call("config", values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._call("log", values, step, kwargs)

    @on_main_process
    def finish(self) -> None:
        self._call("finish")

    def special(self) -> str:
        return "special"


class WithMedia(Custom):
    name = "with_media"

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._call("images", {name: [np.shape(one) for one in some] for name, some in values.items()}, step, kwargs)

    def log_table(
        self, table_name: str, columns: Any = None, data: Any = None, dataframe: Any = None, step: int | None = None
    ) -> None:
        self._call("table", table_name, columns, data, step)


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


# -- theirs in ours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", ["thread", "inline", "process"])
def test_a_custom_tracker_gets_the_calls_that_accelerate_makes(delivery: Any) -> None:
    ours, theirs = Custom(), Custom()
    for make, tracker, more in (
        (accel_track.Accelerator, ours, {"delivery": delivery}),
        (TheirAccelerator, theirs, {}),
    ):
        accelerator = make(log_with=[tracker], cpu=True, **more)
        accelerator.init_trackers("p", config={"lr": 0.1, "name": "x"})
        accelerator.log({"loss": 0.5, "nested": {"a": 1}, "text": "t"}, step=3, log_kwargs={"custom": {"more": 1}})
        accelerator.log({"loss": 0.25})
        found = accelerator.get_tracker("custom")
        assert (found.name, found.special(), found.calls is tracker.calls) == ("custom", "special", True)
        assert accelerator.get_tracker("custom", unwrap=True) is tracker.calls
        assert [one.name for one in accelerator.trackers] == ["custom"]
        accelerator.end_training()
    assert ours.calls == theirs.calls
    assert [call[0] for call in ours.calls] == ["start", "config", "log", "log", "finish"]


def test_without_delivery_nothing_is_called() -> None:
    tracker = Custom()
    with accel_track.init("p", tracker, delivery="none") as run:
        run.log({"loss": 1.0}, 0)
    assert tracker.calls == []
    assert only_run(Path()).load().trackers["custom"].instance


def test_accelerates_own_trackers_write_what_they_write_in_accelerate() -> None:
    for place, make in (("ours", accel_track.Accelerator), ("theirs", TheirAccelerator)):
        accelerator = make(log_with=[TensorBoardTracker("run", place)], cpu=True)
        accelerator.init_trackers("p", config={"lr": 0.1})
        for step in range(3):
            accelerator.log({"loss": step / 2}, step)
        tracker = accelerator.get_tracker("tensorboard")
        tracker.log_images({"image": RED[None]}, 2, dataformats="NHWC")
        tracker.writer.add_scalar("own", 1.0, 5)
        accelerator.end_training()
    ours, theirs = events(Path("ours/run")), events(Path("theirs/run"))
    assert ours.Tags() == theirs.Tags()
    for name in ("loss", "own"):
        assert [(one.step, one.value) for one in ours.Scalars(name)] == [
            (one.step, one.value) for one in theirs.Scalars(name)
        ]
    assert [one.step for one in ours.Images("image")] == [2]


def test_media_of_a_run_go_to_the_calls_that_it_has(recwarn: pytest.WarningsRecorder) -> None:
    media, plain = WithMedia(), Custom()
    tensorboard = TensorBoardTracker("run", "tb")
    figure = plt.figure(figsize=(1, 1), dpi=20)
    with accel_track.init("p", [media, plain, tensorboard]) as run:
        run.log({"loss": 1.0, "deep": {"image": accel_track_image()}}, 1)
        run.log_images({"two": [RED, RED]}, 2, captions="red")
        run.log_table("table", ["a"], [[1]], step=3)
        run.log_figure("figure", figure, 4)
        run.log_text("text", "hello", 5)
        run.log_artifact(__file__)
        run.flush()
        assert {one.name: sum(one.dropped.values()) for one in run.trackers} == {
            "with_media": 2,
            "custom": 6,
            "tensorboard": 3,
        }
    plt.close(figure)
    assert media.calls[1:-1] == [
        ("log", {"loss": 1.0}, 1, {}),
        ("images", {"deep/image": [(4, 4, 3)]}, 1, {}),
        ("images", {"two": [(4, 4, 3), (4, 4, 3)]}, 2, {}),
        ("table", "table", ["a"], [[1]], 3),
        ("images", {"figure": [(20, 20, 4)]}, 4, {}),
    ]
    assert set(events(Path("tb/run")).Tags()["images"]) == {"deep/image", "two/0", "two/1", "figure"}
    assert any("custom: dropped 'table': its class has no `log_table`" in str(one.message) for one in recwarn)


class WithArtifacts(Custom):
    """Has the calls for artifacts that MLflow's tracker of accelerate's own has."""

    def log_artifact(self, local_path: Any, artifact_path: Any = None) -> None:
        self._call("artifact", Path(local_path).name, artifact_path)

    def log_artifacts(self, local_dir: Any, artifact_path: Any = None) -> None:
        self._call("artifacts", sorted(one.name for one in Path(local_dir).iterdir()), artifact_path)


def test_artifacts_and_the_environment() -> None:
    tracker = WithArtifacts()
    Path("folder").mkdir()
    for name in ("file", "folder/a", "folder/b"):
        Path(name).write_text(name)
    with accel_track.init("p", tracker) as run:
        run.log_artifact("file", type="data", metadata={"a": 1})
        run.log_artifact("folder")
        run.store_environment({"python": {"version": "3"}})
        run.get_tracker("custom").log_artifact("file", artifact_path="there")
        run.get_tracker("custom").log_artifact(local_path="file")
        run.get_tracker("custom").log_artifacts("folder", "there")
    assert tracker.calls[1:-1] == [
        ("artifact", "file", None),
        ("artifacts", ["a", "b"], None),
        ("config", {"environment/python/version": "3"}),
        ("artifact", "file", "there"),
        ("artifact", "file", None),
        ("artifacts", ["a", "b"], "there"),
    ]


def test_a_figure_of_plotlys_is_dropped_and_off_the_main_process_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Plotly:
        __module__ = "plotly.graph_objs"

        def to_json(self) -> str:
            return "{}"

    tracker = WithMedia()
    with pytest.warns(AccelTrackWarning, match="dropped 'figure'"), accel_track.init("p", tracker) as run:
        run.log_figure("figure", Plotly())
    monkeypatch.setattr("accel_track.trackers.base.process_index", lambda: 1)
    monkeypatch.setattr("accel_track.bridges.accelerate_trackers.process_index", lambda: 1)
    (one,) = filter_trackers(tracker)
    assert not one.tracker  # type: ignore[union-attr]
    one.start()  # type: ignore[union-attr]
    one.log({"a": 1.0}, 0)  # type: ignore[union-attr]
    assert [call[0] for call in tracker.calls] == ["start", "finish"]


def accel_track_image() -> Any:
    from accel_track.media import Image

    return Image(RED)


def test_a_logger_of_lightnings_and_a_trainer_called_twice() -> None:
    tracker = Custom()
    logger = AccelTrackLogger([tracker, "tensorboard"], name="p")
    fitted = trainer(logger)
    fitted.fit(Tiny(), batches())
    fitted.test(verbose=False, dataloaders=batches())
    fitted.fit(Tiny(), batches())
    logger.finish()
    assert [call[0] for call in tracker.calls].count("start") == 1
    assert [call[2] for call in tracker.calls if call[0] == "log" and "loss" in call[1]] == [1, 3, 5, 7]
    assert len([call for call in tracker.calls if call[0] == "log" and "test_loss" in call[1]]) == 1
    assert tracker.calls[-1] == ("finish",)


def test_processes_that_lightning_launches() -> None:
    logger = AccelTrackLogger(WandBTracker("p", dir="."), name="p", start_timeout=120)
    copy = pickle.loads(pickle.dumps(logger))
    assert copy._session.selected[0].instance.theirs.run_name == "p"
    assert copy._session.selected[0].instance is not logger._session.selected[0].instance


def test_one_instance_in_two_front_doors_is_begun_once_and_freed() -> None:
    tracker = Custom()
    first, second = accel_track.init("p", tracker), accel_track.init("q", tracker)
    first.log({"a": 1.0}, 0)
    first.finish()
    second.log({"b": 1.0}, 0)
    second.finish()
    assert [call[0] for call in tracker.calls] == ["start", "log", "log", "finish"]
    dead = weakref.ref(tracker)
    del first, second, tracker
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("broken", ["config", "log", "finish"])
def test_a_tracker_that_raises_harms_nobody(broken: str) -> None:
    tracker, other = Custom(broken), RecordingTracker()
    warned = contextlib.nullcontext() if broken == "finish" else pytest.warns(AccelTrackWarning)
    with warned, accel_track.init("p", [tracker, other], config={"a": 1}, finish_timeout=2) as run:
        run.log({"loss": 1.0}, 0)
    assert [call[0] for call in other.calls if call[0] in ("config", "log", "finish")] == ["config", "log", "finish"]
    assert only_run(Path()).load().status == "finished"


def test_a_tracker_that_cannot_begin_is_an_error_at_the_start() -> None:
    with pytest.raises(ValueError, match="start is broken"):
        accel_track.init("p", Custom("start"))


def test_it_takes_the_place_of_the_backend_whose_name_it_has() -> None:
    tracker = TensorBoardTracker("run", "tb")
    found = filter_trackers(["tensorboard", tracker], "tb")
    assert [one.name for one in found] == ["tensorboard"]  # type: ignore[union-attr]
    assert found[0].theirs is tracker  # type: ignore[union-attr]
    with pytest.raises(AttributeError, match="unknown"):
        _ = found[0].unknown  # type: ignore[union-attr]


def test_names_that_cannot_be_and_classes_are_refused() -> None:
    tracker = Custom()
    tracker.name = "a/b"  # type: ignore[misc]
    with pytest.raises(ValueError, match="cannot be 'a/b'"):
        accel_track.init("p", tracker)
    with pytest.raises(TypeError, match="takes names"):
        accel_track.init("p", Custom)
    with pytest.raises(TypeError, match="name 'mlflow' itself"):
        accel_track.init("p", as_accelerate_tracker("mlflow"))


def test_the_package_imports_no_accelerate() -> None:
    program = "import accel_track, sys; accel_track.init; import accel_track.registry, accel_track.bridges; print('accelerate' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_state_that_would_wait_for_other_processes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not PartialState._shared_state
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(NotConfiguredError, match="all processes have to meet"):
        accel_track.init("p", Custom())


# -- ours in theirs ---------------------------------------------------------------------------------------------------


def test_a_script_for_accelerate_gets_a_run_by_one_line(database: MlflowClient) -> None:
    figure = plt.figure(figsize=(1, 1), dpi=20)
    accelerator = TheirAccelerator(cpu=True, log_with=[as_accelerate_tracker("mlflow", project_dir=".")])
    accelerator.init_trackers("text-to-image", {"lr": 0.1, "net": {"layers": 2}}, {"mlflow": {"tags": {"team": "a"}}})
    for step in range(3):
        accelerator.log({"loss": step / 2}, step=step)
    tracker = accelerator.get_tracker("mlflow")
    tracker.log_images({"image": [RED]}, step=1)
    tracker.log_table("table", columns=["a"], data=[[1]], step=1)
    tracker.log_figure(figure, "figure")
    Path("notes.txt").write_text("notes")
    tracker.log_artifact("notes.txt")
    plt.close(figure)
    native = accelerator.get_tracker("mlflow", unwrap=True)
    assert [one.name for one in accelerator.trackers] == ["mlflow"]
    accelerator.end_training()

    (found,) = database.search_runs([database.get_experiment_by_name("text-to-image").experiment_id])
    assert found.info.run_id == native.info.run_id
    assert (found.info.status, found.data.tags["team"]) == ("FINISHED", "a")
    assert found.data.params == {"lr": "0.1", "net/layers": "2"}
    history = database.get_metric_history(found.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    stored = [one.path for one in database.list_artifacts(found.info.run_id)]
    assert {"images", "media", "notes.txt"} <= set(stored)
    assert only_run(Path()).load().project == "text-to-image"
    with pytest.raises(NotStartedError, match="init_trackers"):
        accelerator.log({"loss": 1.0})


@pytest.mark.long
def test_wandb_gets_what_accelerates_own_tracker_gives_it() -> None:
    tracker = as_accelerate_tracker("wandb", init_kwargs={"wandb": {"tags": ["mine"]}})
    accelerator = TheirAccelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("p", {"lr": 0.1}, {"wandb": {"name": "shown"}})
    accelerator.log({"loss": 0.5}, step=2)
    assert accelerator.get_tracker("wandb").run.project == "p"
    assert accelerator.get_tracker("wandb", unwrap=True).config["lr"] == 0.1
    accelerator.end_training()
    (file,) = Path("wandb").glob("offline-run-*/*.wandb")
    (run,) = [record.run for record in records(file) if record.HasField("run")]
    assert (run.project, run.display_name, list(run.tags)) == ("p", "shown", ["mine"])
    rows = [items(record.history.item) for record in records(file) if record.HasField("history")]
    assert [(row["trainer/global_step"], row["loss"]) for row in rows] == [(2, 0.5)]


def test_several_trackers_share_one_run() -> None:
    tracker = as_accelerate_tracker(["tensorboard", "jsonl"], run_name="pair", project="given")
    accelerator = TheirAccelerator(cpu=True, log_with=[tracker, "tensorboard"], project_dir="theirs")
    accelerator.init_trackers("p")
    accelerator.log({"loss": 0.5}, 1)
    assert [one.name for one in accelerator.trackers] == ["accel_track", "tensorboard"]
    assert accelerator.get_tracker("accel_track").writer is tracker.tracker
    with pytest.raises(AttributeError, match="unknown"):
        _ = accelerator.get_tracker("accel_track").unknown
    accelerator.end_training()
    assert scalars(Path("given/pair")) == scalars(Path("theirs/p")) == [(1, 0.5)]
    assert json.loads(Path("given/pair/metrics.jsonl").read_text())["loss"] == 0.5


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> list[RecordingTracker]:
    made: list[RecordingTracker] = []

    class Other(RecordingTracker):
        name = "other"

        def start(self) -> None:
            made.append(self)

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "other", Other)
    return made


def test_more_arguments_reach_the_tracker(recording: list[RecordingTracker]) -> None:
    accelerator = TheirAccelerator(
        cpu=True, log_with=[as_accelerate_tracker("other"), as_accelerate_tracker(["other", "jsonl"])]
    )
    accelerator.init_trackers("p", init_kwargs={"other": {"a": 1}})
    accelerator.log({"x": 1.0}, 1, log_kwargs={"other": {"b": 2}, "accel_track": {"other": {"c": 3}}})
    accelerator.end_training()
    assert [one.init_kwargs for one in recording] == [{"a": 1}, {"a": 1}]
    assert [one.calls[0] for one in recording] == [("log", {"x": 1.0}, 1, {"b": 2}), ("log", {"x": 1.0}, 1, {"c": 3})]


@pytest.mark.first(1)
@pytest.mark.parametrize("delivery", ["thread", "inline", "process", "none"])
def test_modes_of_delivery(delivery: Any) -> None:
    accelerator = TheirAccelerator(
        cpu=True, log_with=[as_accelerate_tracker("tensorboard", run_name="r", delivery=delivery)]
    )
    accelerator.init_trackers("p", {"lr": 1})
    accelerator.log({"loss": 0.5}, 1)
    accelerator.end_training()
    if delivery == "none":
        assert not Path("p").exists()
        command("sync", only_run(Path()).path)
    assert scalars(Path("p/r")) == [(1, 0.5)]


@pytest.mark.usefixtures("recording")
def test_a_second_training_is_a_second_run_and_a_failed_one_says_so() -> None:
    tracker = as_accelerate_tracker("other")
    for _ in range(2):
        accelerator = TheirAccelerator(cpu=True, log_with=[tracker])
        accelerator.init_trackers("p")
        accelerator.end_training()
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = TheirAccelerator(cpu=True, log_with=[tracker])
    accelerator.init_trackers("p")
    with contextlib.suppress(ZeroDivisionError):
        try:
            _ = 1 / 0
        finally:
            accelerator.end_training()
    found = [run.load() for run in find_runs(".")]
    assert sorted(info.status for info in found) == ["failed", "finished", "finished"]
    assert tracker.run is None


def test_a_second_training_of_one_accelerator_has_each_value_once() -> None:
    """accelerate keeps the trackers of the first training, and adds an instance to them once more."""
    accelerator = TheirAccelerator(cpu=True, log_with=[as_accelerate_tracker("jsonl")])
    for number in range(2):
        accelerator.init_trackers("p", {"number": number})
        accelerator.log({"x": float(number)}, 1)
        accelerator.end_training()
    assert [one.name for one in accelerator.trackers] == ["jsonl"]
    lines = [path.read_text().splitlines() for path in sorted(Path("p").glob("*/metrics.jsonl"))]
    assert sorted([json.loads(line)["x"] for line in those] for those in lines) == [[0.0], [1.0]]
    assert len(list(find_runs("."))) == 2


def test_outside_of_init_trackers_the_project_has_a_name_of_ours(recording: list[RecordingTracker]) -> None:
    PartialState(cpu=True)
    tracker = as_accelerate_tracker("other")
    tracker.start()
    tracker.start()  # in place of the first
    tracker.store_init_configuration({"a": 1})
    copy = pickle.loads(pickle.dumps(tracker))
    assert copy.run is None
    tracker.finish()
    tracker.finish()
    assert {run.load().project for run in find_runs(".")} == {"accel_track"}
    assert len(recording) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        (("unknown",), {}, ValueError, "unknown tracker 'unknown'"),
        ((None,), {}, ValueError, "names no tracker"),
        ((3,), {}, TypeError, "takes names"),
        (("tensorboard",), {"all_ranks": True}, ValueError, "all_ranks"),
        (("tensorboard",), {"delivery": "soon"}, ValueError, "delivery"),
        (("tensorboard",), {"delivry": "none"}, TypeError, "did you mean 'delivery'"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: Any, options: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        as_accelerate_tracker(*arguments, **options)


@pytest.mark.long
def test_killed_and_delivered_by_sync_then_resumed(tmp_path: Path) -> None:
    program = [sys.executable, "-W", "ignore", str(PROGRAMS / "accelerate_killed.py"), str(tmp_path)]
    assert warm.run([*program, "none", "0"], timeout=120).returncode == -9
    run = only_run(tmp_path)
    assert not (tmp_path / "training").exists()
    command("sync", run.path)
    assert scalars(tmp_path / "training" / "killed") == [(step, step / 2) for step in range(20)]
    assert run.load().status == "failed"
    done = warm.run([*program, "thread", "20", "end"], timeout=120)
    assert done.returncode == 0, done.stderr
    assert RunDirectory(only_run(tmp_path).path).load().starts == 2
    assert scalars(tmp_path / "training" / "killed") == [(step, step / 2) for step in range(40)]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_processes(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0"]
    done = warm.run(
        [
            *command_line,
            "--rdzv_backend=c10d",
            "--rdzv_endpoint=127.0.0.1:0",
            str(PROGRAMS / "accelerate_ranks.py"),
            str(tmp_path),
        ],
        timeout=240,
        env={**os.environ, **warm.NOT_MEASURED, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads((tmp_path / f"result_{rank}.json").read_text()) for rank in (0, 1)]
    assert results == [
        {"world": 2, "trackers": ["tensorboard"], "found": "AccelTrackAsAccelerate"},
        {"world": 2, "trackers": [], "found": "NoneType"},
    ]
    runs = {run.load().project: run.load() for run in find_runs(tmp_path)}
    assert {name: info.status for name, info in runs.items()} == {"pair": "finished", "inside": "finished"}
    assert scalars(tmp_path / "pair" / runs["pair"].run_id, "rank") == [(0, 0.0), (1, 0.0), (2, 0.0)]
    assert json.loads((tmp_path / "lines.json").read_text()) == [[{"rank": 0}, 7]]
