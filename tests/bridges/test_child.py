"""Runs with children: each backend's way to know the parent, read back by its own reader."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import wandb
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

import accel_track
from accel_track import AccelTrackLogger
from accel_track.errors import AccelTrackWarning, JournalError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.noop import NoOp
from accel_track.outcome import Outcome
from accel_track.registry import LOGGER_TYPE_TO_CLASS, get_available_trackers, tracker_class
from accel_track.resume import find_earlier
from accel_track.testing import RecordingTracker
from tests.support.processes import accel_track as command
from tests.support.readers.wandb import records
from tests.support.runs import scalars

PARENT = "mlflow.parentRunId"


def by_name(client: MlflowClient, project: str = "search") -> dict[str, MlflowRun]:
    found = client.search_runs([client.get_experiment_by_name(project).experiment_id])
    return {run.info.run_name: run for run in found}


def infos() -> dict[str | None, Any]:
    return {info.name: info for info in (run.load() for run in find_runs("."))}


class Named(RecordingTracker):
    """Tells by whom a child's tracker was made."""

    name = "named"
    made: ClassVar[list[dict[str, Any]]] = []

    @classmethod
    def for_run(cls, project: str, run_name: str | None, directory: Any, init_kwargs: dict[str, Any]) -> "Named":
        cls.made.append({"project": project, "run": run_name, **init_kwargs})
        return cls(project)

    def identity(self) -> dict[str, Any]:
        return {"key": self.run_name}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        return {"of": {**identity, "name": parent}}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "named", Named)
    Named.made = []
    return Named.made


@pytest.mark.parametrize("delivery", ["thread", "inline", pytest.param("process", marks=pytest.mark.long)])
def test_mlflow_nests_a_child_below_its_parent(database: MlflowClient, delivery: Any) -> None:
    with accel_track.init("search", ["mlflow", "tensorboard"], run_name="study", delivery=delivery) as run:
        run.log({"best": 1.0}, 0)
        for number in range(2):
            with run.child(f"trial-{number}", {"lr": number}) as child:
                child.log({"loss": 2.0 * number}, number)
    found = by_name(database)
    assert sorted(found) == ["study", "study-trial-0", "study-trial-1"]
    assert PARENT not in found["study"].data.tags
    for number in range(2):
        trial = found[f"study-trial-{number}"]
        assert trial.data.tags[PARENT] == found["study"].info.run_id
        assert (trial.info.status, trial.data.params, trial.data.metrics) == (
            "FINISHED",
            {"lr": str(number)},
            {"loss": 2.0 * number},
        )
        assert scalars(Path("search", f"study-trial-{number}")) == [(number, 2.0 * number)]
    if delivery != "inline":
        known = infos()
        assert {known[f"study-trial-{number}"].parent for number in range(2)} == {known["study"].run_id}
        assert known["study"].parent is None


@pytest.mark.long
def test_wandb_puts_children_into_a_group() -> None:
    with accel_track.init(
        "search", "wandb", run_name="study", init_kwargs={"wandb": {"name": "own", "tags": ["a"]}}
    ) as run:
        run.child("one").finish()
        run.child("two", init_kwargs={"wandb": {"group": "given"}}).finish()
    found = {}
    for file in Path("wandb").glob("offline-run-*/*.wandb"):
        (one,) = [record.run for record in records(file) if record.HasField("run")]
        found[one.display_name] = (one.run_group, one.job_type, list(one.tags))
    assert found == {
        "own": ("", "", ["a"]),
        "study-one": ("study", "child", ["a"]),
        "study-two": ("given", "child", ["a"]),
    }
    assert len({file.name for file in Path("wandb").glob("offline-run-*/*.wandb")}) == 3
    assert wandb.run is None


@pytest.mark.parametrize("name", ["wandb", "trackio", "swanlab", "mlflow", "tensorboard", "comet_ml", "aim"])
def test_a_childs_arguments_are_its_own(name: str) -> None:
    """What continues a run is never handed to its child."""
    cls = tracker_class(name)
    links = cls.child_of({"run_id": "r"}, "study")
    assert not links.keys() & cls.of_one_run
    assert ("group" in links) == (name in ("wandb", "trackio", "swanlab"))
    assert ("parent_run_id" in links) == (name == "mlflow")


def test_every_backends_identity_is_left_out_of_its_childrens_arguments() -> None:
    where = {"tracking_uri", "repo", "file"}
    for name in get_available_trackers():
        keys = {
            "aim": {"run_hash"},
            "clearml": {"continue_last_task"},
            "comet_ml": {"experiment_key", "mode"},
            "dvclive": {"dir", "dvcyaml", "resume", "exp_name"},
            "mlflow": {"run_id", "run_name"},
            "swanlab": {"id", "resume", "name", "experiment_name"},
            "tensorboard": {"run_name", "resume"},
            "trackio": {"name", "resume", "run_id"},
            "wandb": {"id", "resume", "name"},
        }[name]
        assert keys <= tracker_class(name).of_one_run | where, name


def test_names_arguments_and_instances(named: list[dict[str, Any]]) -> None:
    other = RecordingTracker()
    run = accel_track.init(
        "search", ["named", other], run_name="study", init_kwargs={"named": {"a": 1, "name": "mine"}}
    )
    with pytest.warns(AccelTrackWarning, match="recording: was passed as an object"):
        child = run.child("x", init_kwargs={"named": {"b": 2}})
    assert named[1] == {"project": "search", "run": "study-x", "of": {"key": "search", "name": "study"}, "a": 1, "b": 2}
    child.log({"loss": 1.0})
    child.finish()
    run.finish()
    assert [call[0] for call in other.calls if call[0] == "log"] == []
    with (
        accel_track.init("search", "named", run_name="again") as run,
        run.child("x") as child,
        child.child("y") as grandchild,
    ):
        assert grandchild.name == "again-x-y"
        assert named[-1]["of"] == {"key": "search", "name": "again-x"}
        with pytest.warns(AccelTrackWarning, match="another run of 'search' is called 'again-x'"):
            second = run.child("x")
        assert second.name == "again-x-2"


@pytest.mark.parametrize(
    ("name", "more", "error"),
    [
        ("a/b", {}, ValueError),
        ("", {}, ValueError),
        (3, {}, TypeError),
        ("a", {"config": [1]}, TypeError),
        ("a", {"init_kwargs": {"wandb": {}}}, ValueError),
        ("a", {"init_kwargs": [1]}, TypeError),
    ],
)
def test_bad_arguments_begin_nothing(named: list[dict[str, Any]], name: Any, more: dict[str, Any], error: type) -> None:
    with accel_track.init("search", "named") as run, pytest.raises(error):
        run.child(name, **more)
    assert len(named) == 1
    assert len(list(find_runs("."))) == 1


def test_a_child_that_was_killed_goes_on_and_a_parents_search_finds_none(
    named: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with accel_track.init("search", "named", run_name="study") as run:
        child = run.child("x")
        child.finish(Outcome("failed"))
        again = run.child("x")
        assert again.run_id == child.run_id
        assert named[-1]["key"] == "search"
        again.finish(Outcome("failed"))
        assert find_earlier(".", "search", "study-x") is None
        assert find_earlier(".", "search", "study-x", parent=run.run_id) is not None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    run = accel_track.init("other", "named")
    first = run.run_id
    run.child("y").finish(Outcome("failed"))
    assert run.child("z").run_id != first
    run.finish(Outcome("failed"))
    with accel_track.init("other", "named") as run:
        assert run.run_id == first


@pytest.mark.long
def test_a_child_without_delivery_is_nested_by_sync(database: MlflowClient) -> None:
    with accel_track.init("search", "mlflow", run_name="study", delivery="none") as run:
        run.log({"best": 1.0}, 0)
        with run.child("x") as child:
            child.log({"loss": 1.0}, 0)
    for one in (run, child):
        command("sync", one.run_id)
    found = by_name(database)
    assert found["study-x"].data.tags[PARENT] == found["study"].info.run_id


def test_show_tells_the_parent() -> None:
    with accel_track.init("search", run_name="study") as run, run.child("x") as child:
        child.log({"loss": 1.0})
    assert f"parent   {run.run_id} (study)" in command("show", child.run_id).stdout
    path = run.run_directory.path  # type: ignore[union-attr]
    path.rename(path.with_name("elsewhere"))
    assert f"parent   {run.run_id} (gone)" in command("show", child.run_id).stdout


def test_a_parent_that_is_no_name_is_refused() -> None:
    with accel_track.init("search") as run:
        pass
    directory = RunDirectory(run.run_directory.path)  # type: ignore[union-attr]
    info = directory.load()
    info.parent = "../../etc"
    directory.save(info)
    with pytest.raises(JournalError, match="which is none"):
        directory.load()


def test_off_the_main_process_and_with_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = accel_track.Accelerator(log_with=RecordingTracker(), cpu=True, all_ranks=True)
    accelerator.init_trackers("p")
    assert accelerator.run is not None
    with pytest.raises(ValueError, match="all_ranks"):
        accelerator.run.child("x")
    accelerator.end_training()
    assert accelerator.run is None
    monkeypatch.setattr("accel_track.begin.process_index", lambda: 1)
    with accel_track.init("search").child("x") as child:
        child.log({"loss": 1.0})
    assert isinstance(child, NoOp)


def test_a_logger_has_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = AccelTrackLogger("tensorboard", name="search", version="study")
    with logger.run.child("x") as child:
        child.log({"loss": 1.0}, 0)
    assert child.name == "study-x"
    logger.finish()
    assert scalars(Path("search", "study-x")) == [(0, 1.0)]
    monkeypatch.setattr("accel_track.lightning.logger.process_index", lambda: 1)
    assert isinstance(logger.run, NoOp)


def test_variables_that_name_the_parents_run_are_not_for_its_children(
    database: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = database.create_experiment("search")
    monkeypatch.setenv("MLFLOW_RUN_ID", database.create_run(experiment, run_name="given").info.run_id)
    monkeypatch.setenv("WANDB_RUN_ID", "parents")
    wandb.teardown()  # it has read its variables, where another test has used it
    with accel_track.init("search", ["mlflow", "wandb"], run_name="study") as run, run.child("x") as child:
        child.log({"loss": 1.0}, 0)
        assert child.get_tracker("wandb", unwrap=True).id != "parents"
        assert run.get_tracker("wandb", unwrap=True).id == "parents"
    found = by_name(database)
    assert found["study-x"].data.metrics == {"loss": 1.0}
    assert found["study-x"].data.tags[PARENT] == os.environ["MLFLOW_RUN_ID"]
