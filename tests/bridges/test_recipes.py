"""The recipes for other libraries, which are the examples of these names, run as a user runs them and read back."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from accel_track.journal.directory import find_runs
from tests.support.examples import run
from tests.support.runs import only_run, scalars


def test_ignite() -> None:
    printed = run("ignite_loop.py", "tensorboard", "jsonl", "--dir", "runs", "--epochs", "2")
    assert printed.startswith("val/mse: ")
    (found,) = find_runs("runs")
    place = Path("runs/ignite", found.path.name)
    assert [step for step, _ in scalars(place, "train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [step for step, _ in scalars(place, "val/mse")] == [4, 8]
    assert found.load().status == "finished"


@pytest.mark.long
def test_torchrun() -> None:
    by = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0")
    by = (*by, "--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0")
    printed = run("torchrun_plain.py", "tensorboard", "--dir", "runs", "--steps", "5", by=by)
    assert printed.count("of 2 has logged 5 steps") == 1
    (found,) = find_runs("runs")
    assert [step for step, _ in scalars(Path("runs/torchrun", found.path.name), "train/loss")] == [0, 1, 2, 3, 4]


@pytest.mark.long
def test_optuna(database: MlflowClient) -> None:
    printed = run("optuna_study.py", "mlflow", "--dir", ".", "--trials", "4")
    assert printed.startswith("best of 4 trials: ")
    runs = database.search_runs([database.get_experiment_by_name("optuna").experiment_id])
    found = {one.info.run_name: one for one in runs}
    assert sorted(found) == ["study", *(f"study-trial-{number}" for number in range(4))]
    study = found.pop("study")
    assert {one.data.tags["mlflow.parentRunId"] for one in found.values()} == {study.info.run_id}
    assert {one.info.status for one in [study, *found.values()]} == {"FINISHED"}
    rates = {one.data.params["lr"] for one in found.values()}
    assert len(rates) == 4
    assert study.data.params["best/lr"] in rates
    assert all(one.data.metrics["loss"] >= study.data.metrics["best"] for one in found.values())


@pytest.mark.long
def test_hydra(database: MlflowClient) -> None:
    printed = run("hydra_sweep.py", "--multirun", "lr=0.01,0.1", "trackers=[mlflow]", f"dir={Path.cwd()}")
    assert printed.count("loss 0.") + printed.count("loss 1.") >= 1
    runs = database.search_runs([database.get_experiment_by_name("hydra").experiment_id])
    assert sorted(one.data.params["lr"] for one in runs) == ["0.01", "0.1"]
    assert len({one.data.tags["sweep"] for one in runs}) == 1
    assert sorted(one.info.run_name.rpartition("-")[2] for one in runs) == ["0", "1"]


@pytest.mark.long
def test_accelerate() -> None:
    printed = run("accelerate_script.py", "tensorboard", "jsonl", "--dir", "runs", "--steps", "12")
    assert printed.startswith("loss after 12 steps: ")
    found = only_run(Path("runs"))
    assert [step for step, _ in scalars(Path("runs/regression", found.path.name), "train/loss")] == list(range(12))
    assert len(list(Path("runs").rglob("metrics.jsonl"))) == 1
