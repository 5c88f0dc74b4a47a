"""`accel-track compare`: runs beside each other, and over seeds."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import accel_track
from accel_track.views.comparison import Figure, Spread, by_seed, is_seed
from accel_track.views.names import chosen, good


@pytest.fixture
def sweep() -> list[Path]:
    """Return runs of two learning rates and three seeds, whose last losses are rate + seed / 10."""
    made = []
    for lr in (1.0, 2.0):
        for seed in range(3):
            config = {"optimizer": {"lr": lr, "name": "sgd"}, "seed": seed, "out": f"/tmp/{lr}-{seed}"}
            name = f"lr{lr:g}-{seed}"
            with accel_track.init("sweep", run_name=name, project_dir="runs", config=config, delivery="none") as run:
                for step in range(3):
                    run.log({"val": {"loss": lr + seed / 10 + 2 - step, "acc": step / (lr + seed)}, "t": step}, step)
                assert run.run_directory is not None
                made.append(run.run_directory.path)
    return made


def cells(text: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for line in text.splitlines() if (row := re.split(r"  +", line.strip())) and row[0]}


def test_compare_shows_what_differs_and_marks_the_best(sweep: list[Path], invoke: Any) -> None:
    result = invoke("compare", *sweep[:2], sweep[3], env={"COLUMNS": "80"})
    told = cells(result.stdout)
    assert told["optimizer/lr"] == ["1", "1", "2"]
    assert told["seed"] == ["0", "1", "0"]
    assert "optimizer/name" not in told
    assert told["val/loss min"] == ["1 *", "1.1", "2"]
    assert told["val/acc max"] == ["2 *", "1", "1"]
    assert (told["t min"], told["t max"]) == (["0"] * 3, ["2"] * 3)
    assert "lr1-0  lr1-1  lr2-0" in result.stdout
    assert cells(invoke("compare", *sweep[:2], "--all").stdout)["optimizer/name"] == ["sgd", "sgd"]


def test_many_runs_are_rows_in_tables_that_fit(sweep: list[Path], invoke: Any) -> None:
    result = invoke("compare", *sweep, env={"COLUMNS": "60"})
    assert result.stdout.count("lr2-2") == 3
    assert max(map(len, result.stdout.splitlines())) <= 60


@pytest.mark.extras
def test_compare_draws_curves_of_all_runs(sweep: list[Path], invoke: Any) -> None:
    result = invoke("compare", *sweep[:2], "--metric", "val/*")
    legend = [line.strip() for line in result.stdout.splitlines()[-4:]]
    assert legend == ["o lr1-0 val/acc", "x lr1-1 val/acc", "+ lr1-0 val/loss", "* lr1-1 val/loss"]
    told = json.loads(invoke("compare", *sweep[:2], "-m", "val/loss", "--json").stdout)
    assert told["runs"][0]["curves"] == {"val/loss": [[0, 3.0], [1, 2.0], [2, 1.0]]}
    assert "there is val/loss" in invoke("compare", *sweep[:2], "-m", "val/los", code=2).stderr


def test_compare_as_json(sweep: list[Path], invoke: Any) -> None:
    told = json.loads(invoke("compare", sweep[0], sweep[4], "--json").stdout)
    assert told["differing"] == ["optimizer/lr", "seed", "out"]
    one = told["runs"][0]
    assert one["config"] == {"optimizer/lr": 1.0, "seed": 0, "out": "/tmp/1.0-0"}
    assert one["metrics"]["val/loss"]["best"] == {"value": 1.0, "step": 2}
    assert (one["name"], one["path"]) == ("lr1-0", str(sweep[0]))


def test_seeds_are_averaged_over(sweep: list[Path], invoke: Any) -> None:
    alone = invoke("compare", *sweep, "--seeds").stdout
    assert "no two runs differ in the seed alone" in alone
    result = invoke("compare", *sweep, "--seeds", "--ignore", "ou*")
    assert "group 1: optimizer/lr=1; 3 runs, seeds 0, 1, 2" in result.stdout
    assert cells(result.stdout)["val/loss last"] == ["1.1 ± 0.1", "2.1 ± 0.1"]
    assert "1 to 1.2" in result.stdout
    first, second = json.loads(invoke("compare", *sweep, "--seeds", "--ignore", "out", "--json").stdout)
    assert (first["config"], first["seeds"]) == ({"optimizer/lr": "1"}, ["0", "1", "2"])
    assert second["runs"] == [str(path) for path in sweep[3:]]
    spread = second["metrics"]["val/loss"]["min"]
    assert spread == pytest.approx({"runs": 3, "mean": 2.1, "std": 0.1, "low": 2.0, "high": 2.2})


def test_copies_of_a_run_are_told_apart(sweep: list[Path], invoke: Any) -> None:
    shutil.copytree(sweep[0], "copy")
    assert re.search(r"lr1-0 \w{6} \(1\)  lr1-0 \w{6} \(2\)", invoke("compare", sweep[0], "copy").stdout)


def test_compare_wants_two_runs(sweep: list[Path], invoke: Any) -> None:
    assert "two runs or more" in invoke("compare", sweep[0], sweep[0], code=2).stderr
    invoke("compare", "nothing", sweep[0], code=2)


def test_runs_without_anything_are_compared(start: Any, invoke: Any) -> None:
    runs = [start(name="same", folder=folder) for folder in ("a", "b")]
    for run in runs:
        run.finish()
    result = invoke("compare", *(run.run_directory.path for run in runs))
    assert "none were logged" in result.stdout
    json.loads(invoke("compare", *(run.run_directory.path for run in runs), "--seeds", "--json").stdout)


@pytest.mark.parametrize("name", ["seed", "data/seed", "random_state", "train.split_seed", "seed_everything", "SEED"])
def test_names_of_seeds(name: str) -> None:
    assert is_seed(name)
    assert not is_seed(f"{name}/x")
    assert not is_seed("seedling")


def test_the_spread_leaves_out_what_is_not_finite() -> None:
    assert Spread.of([1.0, 3.0, None, float("nan")]) == Spread(2, 2.0, pytest.approx(2**0.5), 1.0, 3.0)
    assert Spread.of([None, float("inf")]) is None
    assert Spread.of([5.0]) == Spread(1, 5.0, None, 5.0, 5.0)
    assert Figure("loss", "min").best([None, float("nan")]) is None
    assert [group.runs for group in by_seed([{"seed": "1"}, {"seed": "2", "a": "1"}, {}], lambda _: False)] == [
        [0, 2],
        [1],
    ]


def test_names_are_chosen_and_say_which_values_are_good() -> None:
    assert chosen(["b/x", "a/y", "a/x", "[a]"], ["a/?", "[a]", "a/x"]) == ["a/x", "a/y", "[a]"]
    assert (good("val/Loss"), good("val/top1_acc"), good("loss_scale_acc"), good("speed")) == ("min", "max", None, None)
