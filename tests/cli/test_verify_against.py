"""`accel-track verify --against`, `--repair` and `sync --verify`, on backends that were damaged."""

import json
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track.delivery.receipt import compare
from accel_track.journal.directory import RunDirectory
from accel_track.trackers.tensorboard.events import events
from tests.support.keeping import lines, registered, rewrite
from tests.support.processes import PYTHON, own_environment
from tests.support.runs import scalars
from tests.support.waiting import until

LOGGED = [(step, pytest.approx(1 / (step + 1))) for step in range(5)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def kept(make: Any, invoke: Any) -> RunDirectory:
    """Return a run of five values that a backend has, which tests can damage."""
    run: RunDirectory = make("keeping", config={"lr": 0.1})
    invoke("sync", run.path)
    return run


def without(folder: Path, *places: int) -> None:
    """Delete events from the only event file of a folder."""
    (path,) = folder.glob("events.*")
    data = path.read_bytes()
    path.write_bytes(
        b"".join(data[begin:end] for place, (begin, end) in enumerate(events(data)) if place not in places)
    )


def test_a_whole_run(kept: RunDirectory, invoke: Any) -> None:
    result = invoke("verify", kept.path, "--against", "keeping")
    assert result.output.splitlines()[-2:] == ["keeping: 5 of 5 values", "  1 of 1 hyperparameters"]


def test_what_is_missing_is_delivered_by_repair_and_by_nothing_else(kept: RunDirectory, invoke: Any) -> None:
    whole = lines()
    rewrite([line for line in whole if line.get("step") != 3])
    assert (
        "keeping: 4 of 5 values, 1 missing at step 3 (train/loss)"
        in invoke("verify", kept.path, "--against", "keeping", code=1).output
    )
    assert len(lines()) == len(whole) - 1
    invoke("sync", kept.path)
    assert len(lines()) == len(whole) - 1
    result = invoke("verify", kept.path, "--against", "keeping", "--repair")
    assert result.output.splitlines()[-5:] == [
        "keeping: 4 of 5 values, 1 missing at step 3 (train/loss)",
        "  1 of 1 hyperparameters",
        "  repaired: 1 record, or parts of some, delivered",
        "keeping: 5 of 5 values",
        "  1 of 1 hyperparameters",
    ]
    invoke("verify", kept.path, "--against", "keeping", "--repair")
    assert len(lines()) == len(whole)


def test_what_cannot_be_repaired_is_said(kept: RunDirectory, invoke: Any) -> None:
    changed = lines()
    changed[1]["value"] = 7.0
    rewrite([*changed, changed[2]])
    result = invoke("verify", kept.path, "--against", "keeping", "--repair")
    assert "1 other than sent at step 0" in result.output
    assert "keeping: 5 of 5 values, 2 more than sent at the steps 0, 1 (train/loss)" in result.output
    assert "not repaired: what is there beside; nothing is deleted from a backend" in result.output


def test_a_backend_run_that_is_gone(kept: RunDirectory, invoke: Any) -> None:
    Path("kept/values.jsonl").unlink()
    result = invoke("verify", kept.path, "--against", "keeping", "--repair", code=1)
    assert "`accel-track sync RUN --to keeping --from-start` delivers everything to a new one" in result.output
    invoke("sync", kept.path, "--to", "keeping", "--from-start")
    assert "keeping: 5 of 5 values" in invoke("verify", kept.path, "--against", "keeping").output


def test_json(kept: RunDirectory, invoke: Any) -> None:
    rewrite(lines()[:-1])
    found = json.loads(invoke("verify", kept.path, "--against", "keeping", "--json", code=1).output)
    (receipt,) = found["receipts"]
    assert (found["ok"], receipt["whole"], receipt["values"]["missing"]["count"]) == (True, False, 1)
    found = json.loads(invoke("verify", kept.path, "--against", "keeping", "--repair", "--json").output)
    (receipt,) = found["receipts"]
    assert receipt["whole"] is True
    assert (receipt["repair"]["delivered"], receipt["repair"]["before"]["values"]["there"]) == (1, 4)


def test_no_line_is_longer_than_the_terminal(kept: RunDirectory, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite([*lines()[2:], {"name": "a/rather/long/name/of/a/metric", "step": 1, "value": 1.0, "time": 0}])
    monkeypatch.setenv("COLUMNS", "80")
    output = invoke("verify", kept.path, "--against", "keeping", code=1).output
    receipt = output[output.index("keeping: ") :].splitlines()
    assert max(map(len, receipt)) <= 80
    assert len(receipt) > 2


def test_sync_verifies_what_it_has_delivered(make: Any, invoke: Any) -> None:
    run = make("keeping")
    assert "keeping: 5 of 5 values" in invoke("sync", run.path, "--verify").output
    rewrite(lines()[1:])
    assert "1 missing" in invoke("sync", run.path, "--verify", code=1).output
    (found,) = json.loads(invoke("sync", run.path, "--verify", "--json", code=1).output)
    assert found["receipts"][0]["values"]["missing"]["count"] == 1
    assert "missing" not in invoke("sync", run.path, "--verify", "--dry-run").output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--repair"], "--repair: name the backend with --against"),
        (["--against", "nobody"], "--against: unknown tracker 'nobody'"),
        (["--set", "mlflow.a=1"], "nothing is compared with 'mlflow'"),
        (["--against", "keeping", "--set", "keeping"], "write NAME.KEY=VALUE"),
    ],
)
def test_wrong_options(kept: RunDirectory, invoke: Any, options: list[str], told: str) -> None:
    assert told in invoke("verify", kept.path, *options, code=2).stderr


def test_a_backend_that_the_run_never_had_and_one_that_cannot_be_read(make: Any, invoke: Any) -> None:
    run = make("keeping")
    result = invoke("verify", run.path, "--against", "keeping", "--against", "lines", code=1)
    assert "keeping: 0 of 0 values\n  pending: 5 records, which `accel-track sync` delivers" in result.output
    invoke("sync", run.path, "--to", "lines", "--set", "lines.path=lines.jsonl")
    result = invoke("verify", run.path, "--against", "lines", code=1)
    assert "lines: not compared: this tracker has no reader" in result.output


def test_tensorboard_that_has_lost_an_event(make: Any, invoke: Any) -> None:
    run = make("tensorboard", name="first", config={"lr": 0.1})
    invoke("sync", run.path)
    invoke("verify", run.path, "--against", "tensorboard")
    without(Path("runs/proj/first"), 4, 5)
    result = invoke("verify", run.path, "--against", "tensorboard", code=1)
    assert "tensorboard: 3 of 5 values, 2 missing at the steps" in result.output
    invoke("verify", run.path, "--against", "tensorboard", "--repair")
    assert "tensorboard: 5 of 5 values" in invoke("verify", run.path, "--against", "tensorboard").output
    assert sorted(scalars(Path("runs"), "train/loss")) == LOGGED
    assert len(list(Path("runs/proj/first").glob("events.*"))) == 2


@pytest.mark.extras
def test_mlflow_that_has_lost_changed_and_doubled_values(make: Any, invoke: Any, mlflow_runs: Any) -> None:
    run = make("mlflow", config={"lr": 0.1})
    invoke("sync", run.path)
    assert "mlflow: 5 of 5 values" in invoke("verify", run.path, "--against", "mlflow").output
    with sqlite3.connect("runs/mlflow.db") as database:
        database.execute("delete from metrics where step in (1, 2)")
        database.execute("update metrics set value = 7 where step = 3")
        database.execute(
            "insert into metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "select key, value, timestamp + 1, run_uuid, step, is_nan from metrics where step = 4"
        )
        database.execute("delete from params")
    database.close()
    result = invoke("verify", run.path, "--against", "mlflow", code=1)
    assert (
        "mlflow: 2 of 5 values, 2 missing at the steps 1, 2 (train/loss), 1 other than sent at step 3 (train/loss), "
        "1 more than sent at step 4 (train/loss)"
    ) in result.output
    assert "0 of 1 hyperparameters, 1 missing (lr)" in result.output
    result = invoke("verify", run.path, "--against", "mlflow", "--repair")
    assert "mlflow: 5 of 5 values, 2 more than sent at the steps 3, 4" in result.output
    result = invoke("verify", run.path, "--against", "mlflow")
    assert "1 of 1 hyperparameters" in result.output
    ((stored, metrics),) = mlflow_runs()
    values = Counter((one.step, one.value) for one in metrics["train/loss"])
    assert values == Counter([(step, 1 / (step + 1)) for step in (0, 1, 2, 3, 4, 4)] + [(3, 7.0)])
    assert stored.info.status == "FINISHED"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_repair_that_is_killed_delivers_nothing_twice(make: Any, invoke: Any) -> None:
    run = make("tensorboard", count=20_000, name="first")
    invoke("sync", run.path)
    folder = Path("runs/proj/first")
    without(folder, *range(1, 15_000))
    command = [PYTHON, "-m", "accel_track", "verify", str(run.path), "--against", "tensorboard", "--repair"]
    process = subprocess.Popen(command, env=own_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    old = set(folder.glob("events.*"))
    until(lambda: any(path.stat().st_size > 1000 for path in folder.glob("events.*") if path not in old))
    process.send_signal(signal.SIGKILL)
    process.wait()
    between = compare(run, "tensorboard")
    assert 0 < between.values.missing.count < 14_999
    assert between.values.extra.count == 0
    invoke("verify", run.path, "--against", "tensorboard", "--repair")
    assert compare(run, "tensorboard").values.extra.count == 0
    assert len(scalars(Path("runs"), "train/loss")) == 20_000
