"""The facade on all ranks: two real processes on the CPU, with torchrun's environment."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from typer.testing import CliRunner

from accel_track import Accelerator
from accel_track.cli import app
from accel_track.delivery.settings import Settings
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics
from accel_track.registry import LOGGER_TYPE_TO_CLASS, register_tracker_class
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.processes import PROGRAMS, own_environment
from tests.support.programs.all_ranks import Lines
from tests.support.ranks import ranks
from tests.support.readers.wandb import STEP, items, records

RUNS = Path("runs")


@pytest.fixture(scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the script once, and return its folder."""
    folder = tmp_path_factory.mktemp("all_ranks")
    command = [sys.executable, str(PROGRAMS / "all_ranks.py")]
    for done in ranks(command, timeout=150, cwd=folder, env=own_environment(OMP_NUM_THREADS=1)):
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def seen(_done: Path, _own_directory: None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Work in the folder of the script, and return what its ranks saw."""
    monkeypatch.chdir(_done)
    return [json.loads(Path(f"seen-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture
def _lines() -> Iterator[None]:
    before = dict(LOGGER_TYPE_TO_CLASS)
    register_tracker_class(Lines)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


def run_of(project: str) -> RunDirectory:
    (run,) = (one for one in find_runs(RUNS) if one.path.parent.name == project)
    return run


def logged(run: RunDirectory, rank: int = 0) -> list[list[Any]]:
    return [[one.step, one.values] for one in JournalReader(run.rank(rank)) if isinstance(one, Metrics)]


def lines(project: str, rank: int) -> tuple[str, list[list[Any]]]:
    """Return the group and what was logged of the run that a rank has with the tracker "lines"."""
    calls = [json.loads(line) for line in Path(f"{project}-{rank}.jsonl").read_text().splitlines()]
    return calls[0][1], [call[1:] for call in calls if call[0] == "log"]


def expected(rank: int) -> list[list[Any]]:
    return [*([step, {"loss": float(rank)}] for step in range(3)), [3, {"same": 1.0}]]


def wandb_runs(project: str) -> dict[str, tuple[str, str, list[tuple[int, float]]]]:
    """Return group, name, and points of "loss" of each run by its id."""
    found = {}
    for path in RUNS.rglob("*.wandb"):
        written = records(path)
        (run,) = [one.run for one in written if one.HasField("run")][:1]
        if run.project == project:
            rows = [items(one.history.item) for one in written if one.HasField("history")]
            points = [(row[STEP], row["loss"]) for row in rows if "loss" in row]
            found[run.run_id] = (run.run_group, run.display_name, points)
    return found


def mlflow_runs(project: str) -> list[Any]:
    client = MlflowClient(f"sqlite:///{(RUNS / 'mlflow.db').resolve()}")
    return list(client.search_runs([client.get_experiment_by_name(project).experiment_id]))


def test_rank_zero_has_the_only_run_of_each_backend(seen: list[dict[str, Any]]) -> None:
    assert [one["trackers"] for one in seen] == [["mlflow", "tensorboard", "wandb"], []]
    run = run_of("single")
    assert (run.ranks(), run.load().status) == ([0], "finished")
    assert len(mlflow_runs("single")) == 1
    assert len(wandb_runs("single")) == 1
    assert len(list((RUNS / "single").glob("*/events.out.tfevents.*"))) == 1
    (mark,) = Path("state").glob(".*.accel_track.json")
    assert json.loads(mark.read_text())


@pytest.mark.usefixtures("seen")
def test_numbers_are_reduced_and_everything_else_stays() -> None:
    rest = {"text": "of rank 0", "none": None, "list": [0]}

    def values(one: float, two: float, three: float) -> dict[str, Any]:
        return {"one": one, "nested": {"two": two, "deeper": {"three": three, "empty": {}}}, **rest}

    assert logged(run_of("single"))[:5] == [
        [0, values(1.5, 15.0, 0.5)],
        [1, values(3.0, 30.0, 1.0)],
        [2, values(2.0, 20.0, 1.0)],
        [3, {"text": "nothing to reduce"}],
        [4, {"one": 0}],
    ]


def test_an_unknown_reduction_is_named_on_every_rank(seen: list[dict[str, Any]]) -> None:
    assert [one["error"] for one in seen] == ["`reduce` must be one of mean, sum, max; got 'median'."] * 2


def test_all_ranks_have_journals_and_runs_that_belong_together(seen: list[dict[str, Any]]) -> None:
    assert [one["all"] for one in seen] == [["lines", "mlflow", "wandb"], ["lines", "wandb"]]
    run = run_of("all")
    info = run.load()
    assert (run.ranks(), info.status) == ([0, 1], "finished")
    for rank in (0, 1):
        assert logged(run, rank) == expected(rank)
        assert lines("all", rank) == (info.run_id, expected(rank))
    (stored,) = mlflow_runs("all")
    assert {name: stored.data.metrics[name] for name in ("loss", "same")} == {"loss": 0.0, "same": 1.0}
    ids = (info.trackers["wandb"].identity["id"], info.trackers["wandb"].ranks["1"]["id"])
    found = wandb_runs("all")
    assert set(found) == set(ids)
    assert {found[one][0] for one in ids} == {info.run_id}
    assert found[ids[1]][1] == f"{info.run_id}-rank1"
    assert [found[one][2] for one in ids] == [[(step, rank) for step in range(3)] for rank in (0.0, 1.0)]


@pytest.mark.long
@pytest.mark.usefixtures("_lines")
def test_sync_delivers_each_rank_to_a_run_of_its_own(seen: list[dict[str, Any]]) -> None:
    assert [one["later"] for one in seen] == [["lines"], ["lines"]]  # stand-ins
    run = run_of("later")
    for _ in range(2):  # the second time adds nothing
        done = CliRunner().invoke(app, ["sync", str(run.path)])
        assert done.exit_code == 0, done.output
        for rank in (0, 1):
            group, written = lines("later", rank)
            assert written == expected(rank)
            assert group == run.load().run_id
    done = CliRunner().invoke(app, ["sync", str(run.path), "--to", "wandb", "--to", "mlflow"])
    assert done.exit_code == 0, done.output
    assert sorted(points for _, _, points in wandb_runs("later").values()) == [
        [(step, rank) for step in range(3)] for rank in (0.0, 1.0)
    ]
    (stored,) = mlflow_runs("later")
    assert stored.data.metrics["loss"] == 0.0


def test_in_one_process_values_stay_as_they_are() -> None:
    tracker = RecordingTracker()
    with Accelerator(tracker, cpu=True) as accelerator:
        accelerator.init_trackers("project")
        for reduce in ("mean", "sum", "max", None):
            accelerator.log({"a": torch.tensor(2), "b": {"c": 0.5}, "text": "x"}, reduce=reduce)
        with pytest.raises(ValueError, match="`reduce` must be one of mean, sum, max; got 'avg'"):
            accelerator.log({"a": 1}, reduce="avg")
        with pytest.raises(TypeError, match="`values` must be a dictionary"):
            accelerator.log([1], reduce="mean")
    assert [call[1] for call in tracker.calls if call[0] == "log"] == [{"a": 2, "b": {"c": 0.5}, "text": "x"}] * 4


def test_a_rank_may_be_there_before_rank_zero() -> None:
    settings = Settings.of(all_ranks=True)
    runs = [Run([], project="p", directory=RUNS, settings=settings, rank=rank, run_id="one") for rank in (1, 0)]
    for run in runs:
        run.log({"rank": run.rank}, 0)
        run.finish()
    joined = run_of("p")
    assert (joined.path.name, joined.ranks(), joined.load().status) == ("one", [0, 1], "finished")
    assert [logged(joined, rank) for rank in (0, 1)] == [[[0, {"rank": 0}]], [[0, {"rank": 1}]]]
