"""`accel-track show`: what a run is and holds, its curves, and how to look at it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.frames import header
from accel_track.journal.writer import JournalWriter


def test_show_tells_identity_config_values_and_delivery(make: Any, invoke: Any) -> None:
    run = make(name="first", config={"optimizer": {"lr": 0.1}}, values={"text": "hello", "nan": float("nan")})
    invoke("sync", run.path)
    result = invoke("show", run.path)
    for told in (run.path.name, "first", "finished", "optimizer/lr", "0.1", "hello", "http://***@localhost/0"):
        assert told in result.stdout
    assert re.search(r"train/loss +0\.2 +0\.2 @4 \* +1 @0 +5 *\n", result.stdout)
    assert re.search(r"lines\W+7\W+0\W+0\W", result.stdout)


def test_show_tells_hyperparameters_first(start: Any, invoke: Any) -> None:
    run = start(config={"zeta": 1})
    run.store_environment({"a": "of the machine"})
    run.store_configuration({"later": 2})
    run.finish()
    text = invoke("show", run.run_directory.path).stdout
    places = [text.index(told) for told in ("hyperparameters", "zeta", "later", "environment", "of the machine")]
    assert places == sorted(places)


def test_show_json(make: Any, invoke: Any) -> None:
    run = make(config={"lr": 0.1, "deep": {"a": [1]}}, values={"nan": float("nan"), "inf": float("inf")})
    told = json.loads(invoke("show", run.path, "--json").stdout)
    assert told["config"] == {"lr": 0.1, "deep": {"a": [1]}}
    assert told["metrics"]["train/loss"] | {"value": 0.2, "step": 4, "rank": 0} == told["metrics"]["train/loss"]
    assert told["metrics"]["nan"]["value"] == "NaN"
    assert told["metrics"]["inf"]["value"] == "Infinity"
    assert (told["run_id"], told["project"], told["status"], told["records"]) == (run.path.name, "proj", "finished", 7)
    assert told["trackers"]["lines"]["pending"] == 7
    assert told["trackers"]["lines"]["kwargs"]["path"]
    assert "points" not in told


def test_show_merges_later_hyperparameters(make: Any, invoke: Any) -> None:
    run = make(config={"a": 1, "b": 2})
    writer = JournalWriter(run.rank())
    writer.config({"b": 3})
    writer.close()
    assert json.loads(invoke("show", run.path, "--json").stdout)["config"] == {"a": 1, "b": 3}


def test_show_tells_refused_and_dropped_values(make: Any, invoke: Any) -> None:
    run = make("tensorboard", values={"refused": 1, "image": b"bytes"})
    invoke("sync", run.path)
    told = json.loads(invoke("show", run.path, "--json").stdout)["trackers"]["tensorboard"]
    assert told["dropped"] == {"image": 1}
    assert "1 image" in invoke("show", run.path).stdout


@pytest.mark.extras
def test_show_draws_a_metric(make: Any, invoke: Any) -> None:
    run = make(values={"train": {"loss": float("nan")}})
    result = invoke("show", run.path, "--metric", "train/loss")
    assert "train/loss by step" in result.stdout
    assert "1 points are NaN" in result.stdout
    points = json.loads(invoke("show", run.path, "--metric", "train/loss", "--json").stdout)["points"]
    assert points == [*([step, 1 / (step + 1)] for step in range(5)), [5, "NaN"]]


@pytest.mark.extras
def test_show_of_a_metric_that_is_not_there(make: Any, invoke: Any) -> None:
    run = make(values={"text": "hello"})
    assert "there is train/loss" in invoke("show", run.path, "--metric", "train/los", code=2).stderr
    assert "no finite number" in invoke("show", run.path, "--metric", "text", code=2).stderr


def test_show_without_plotext(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert 'pip install "accel-track[plot]"' in invoke("show", run.path, "--metric", "train/loss", code=2).stderr


def test_show_reads_a_run_once(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what two readings find may differ: the run may go on meanwhile."""
    run = make()
    last = run.rank() / "00000001.seg"
    last.write_bytes(header(0, 9, 1e9) + b"damaged")
    (listed,) = json.loads(invoke("ls", run.path, "--json").stdout)
    monkeypatch.setattr("accel_track.delivery.status.last_seq", None)
    told = json.loads(invoke("show", run.path, "--json").stdout)
    assert told["records"] == listed["records"] == 9
    assert told["trackers"]["lines"]["pending"] == 9


def test_show_tells_of_damage(make: Any, invoke: Any) -> None:
    run = make()
    (segment,) = run.rank().glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[60] ^= 0xFF
    segment.write_bytes(bytes(data))
    assert "accel-track verify" in invoke("show", run.path).stdout


@pytest.mark.extras
def test_show_draws_several_metrics_by_patterns(make: Any, invoke: Any) -> None:
    run = make(values={"train": {"acc": 0.5}, "val": {"loss": 3.0}, "text": "hello"})
    text = invoke("show", run.path, "--metric", "train/*", "-m", "val/loss").stdout
    assert [line.strip() for line in text.splitlines()[-3:]] == ["o train/acc", "x train/loss", "+ val/loss"]
    told = json.loads(invoke("show", run.path, "-m", "train/*", "-m", "val/loss", "--json").stdout)
    assert list(told["curves"]) == ["train/acc", "train/loss", "val/loss"]
    assert told["curves"]["val/loss"] == [[5, 3.0]]
    assert "points" not in told


@pytest.mark.extras
def test_a_curve_has_a_gap_where_numbers_are_not_finite(start: Any, invoke: Any) -> None:
    run = start()
    for step in range(90):
        run.log({"loss": float("nan") if 30 <= step < 60 else 1.0}, step)
    run.finish()
    lines = invoke("show", run.run_directory.path, "-m", "loss", env={"COLUMNS": "80"}).stdout.splitlines()
    (drawn,) = [line for line in lines if "▄▄" in line or "▀▀" in line or "▗▄" in line]
    curve = drawn.partition("│")[2] or drawn.partition("┤")[2]
    assert re.search(r"\S {20,30}\S", curve), drawn
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.extras
@pytest.mark.parametrize("values", [[1.0], [1e308, -1e308], [float("inf"), 5.0], [0.0] * 3])
def test_odd_curves_are_drawn(start: Any, invoke: Any, values: list[float]) -> None:
    run = start()
    for step, value in enumerate(values):
        run.log({"a": value}, 2**62 + step)
    run.finish()
    assert "a by step" in invoke("show", run.run_directory.path, "-m", "a").stdout


def test_show_fits_80_columns_with_long_names_and_tells_of_more(start: Any, invoke: Any) -> None:
    run = start(config={"a" * 90: "b" * 300})
    run.log({f"layer{number}/" + "very_long_name/" * 5 + "weight": -1.2345678e-05 for number in range(60)}, 1000000)
    run.finish()
    result = invoke("show", run.run_directory.path, env={"COLUMNS": "80"})
    assert max(map(len, result.stdout.splitlines()[10:])) <= 80
    assert "and 10 more metrics; --all shows them" in result.stdout
    assert "more metrics" not in invoke("show", run.run_directory.path, "--all").stdout


def test_show_says_the_best_where_the_name_does(make: Any, invoke: Any) -> None:
    run = make(values={"val": {"acc": 0.5}, "speed": 3.0})
    told = json.loads(invoke("show", run.path, "--json").stdout)["metrics"]
    assert told["train/loss"]["best"] == {"value": 0.2, "step": 4}
    assert told["train/loss"]["max"] == {"value": 1.0, "step": 0}
    assert told["val/acc"]["best"] == {"value": 0.5, "step": 5}
    assert told["speed"]["best"] is None
    assert (told["train/loss"]["count"], told["train/loss"]["not_finite"]) == (5, 0)


def test_show_tells_how_to_look_at_the_run(make: Any, invoke: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = make("tensorboard", delivery="thread", name="it's")
    command = "tensorboard --logdir 'runs/proj/it'\"'\"'s'"
    assert f"look at it: {command}" in capsys.readouterr().err  # the report at the run's end
    assert f"look at it: {command}" in invoke("show", run.path).stdout
    assert json.loads(invoke("show", run.path, "--json").stdout)["trackers"]["tensorboard"]["look"] == command


def test_a_hostile_run_puts_no_command_into_the_one_to_copy(make: Any, invoke: Any) -> None:
    run = make("tensorboard", delivery="thread")
    info = run.load()
    info.trackers["tensorboard"].identity["run_name"] = "x\x1b'; touch owned; echo '\n; touch owned"
    run.save(info)
    (line,) = [line for line in invoke("show", run.path).stdout.splitlines() if line.startswith("look at it: ")]
    command = line.removeprefix("look at it: ").replace("tensorboard", "true", 1)
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert not Path("owned").exists()


def test_show_of_a_run_without_records(start: Any, invoke: Any) -> None:
    run = start()
    path = run.run_directory.path
    run.finish()
    assert "records  0" in invoke("show", path).stdout
    assert "there is no metric 'a'." in invoke("show", path, "--metric", "a", "--json", code=2).stderr


@pytest.mark.extras
def test_show_imports_neither_torch_nor_an_sdk(make: Any) -> None:
    run = make(["tensorboard", "mlflow", "wandb", "swanlab", "trackio", "aim", "clearml", "comet_ml", "dvclive"])
    heavy = ("torch", "lightning", "tensorboard", "mlflow", "wandb", "swanlab", "trackio", "aim", "clearml", "comet_ml")
    code = (
        "import sys\nfrom accel_track.cli import app\n"
        f"try:\n    app(['show', {str(run.path)!r}])\n"
        f"finally:\n    print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"


def test_alerts_are_shown(start: Any, invoke: Any) -> None:
    run = start()
    run.log({"loss": 1.0}, step=0)
    run.alert("It diverges", "loss = 10", "warning")
    run.finish()
    assert "It diverges" in invoke("show", run.run_directory.path).stdout
    told = json.loads(invoke("show", run.run_directory.path, "--json").stdout)
    (alert,) = told["alerts"]
    assert (alert["title"], alert["level"]) == ("It diverges", "warning")
    assert "alert" not in told["media"]
