"""`accel-track ls` and `accel-track show`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal import frames
from accel_track.journal.writer import JournalWriter


def test_ls_without_runs(invoke: Any) -> None:
    assert "no runs below ." in invoke("ls").stdout
    assert json.loads(invoke("ls", "--json").stdout) == []
    invoke("ls", "missing", code=2)


def test_folders_are_expanded(make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make("tensorboard", delivery="thread")
    folder = run.path.parents[2]
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("WHERE", str(folder))
    for text in ("~", "$WHERE", f"file://{folder}"):
        (found,) = json.loads(invoke("ls", text, "--json").stdout)
        assert found["run_id"] == run.path.name
    invoke("export", run.path, "--format", "csv", "--output", "~/run.csv")
    assert (folder / "run.csv").exists()
    assert "must be a folder of this machine" in " ".join(invoke("prune", "s3://bucket/x", code=2).output.split())
    invoke("ls", "~/missing", code=2)


def test_ls_tells_what_each_run_is(make: Any, start: Any, invoke: Any) -> None:
    done = make("tensorboard", delivery="thread", name="first")
    later = make(folder="others")
    live = start()
    titles, *rows = (line.split("\t") for line in invoke("ls").stdout.splitlines())
    live.finish()
    assert titles == ["id", "project", "name", "status", "created", "duration", "records", "pending", "tags"]
    told = {row[0]: row for row in rows}
    assert len(told) == len(rows) == 3
    assert told[done.path.name][1:4] == ["proj", "first", "finished"]
    assert told[done.path.name][5:] == ["0", "5", "0", ""]
    assert told[later.path.name][6:] == ["5", "5", ""]
    assert rows[-1][3] == "running"
    assert invoke("ls", "others").stdout.count("\tproj\t") == 1


def test_ls_tells_a_run_that_ended_early(make: Any, invoke: Any) -> None:
    run = make()
    info = run.load()
    info.status = "running"
    run.save(info)
    (told,) = json.loads(invoke("ls", "--json").stdout)
    assert told["status"] == "failed"
    assert {key: told[key] for key in ("project", "run_id", "name", "records", "path", "error")} == {
        "project": "proj",
        "run_id": run.path.name,
        "name": run.path.name,
        "records": 5,
        "path": str(run.path),
        "error": None,
    }
    assert told["created"] == info.created
    counts = told["trackers"]["lines"]
    assert (counts["delivered"], counts["pending"]) == (0, 5)
    assert 0 < counts["lag"] < 100


@pytest.mark.parametrize("damage", ["run.json", "segment", "cursor"])
def test_ls_shows_the_others_beside_a_damaged_run(make: Any, invoke: Any, damage: str) -> None:
    bad, good = make(), make()
    if damage == "run.json":
        (bad.path / "run.json").write_text('{"run_id": 7}')
    elif damage == "segment":
        (bad.rank() / "00000007.seg").write_bytes(frames.HEADER.pack(frames.MAGIC, 9, 0, 0, 0, 0.0))
    else:
        bad.cursor("lines").parent.mkdir(exist_ok=True)
        bad.cursor("lines").write_text("[]")
    result = invoke("ls", code=1)
    assert re.search(rf"^{bad.path.name}\t.*\tdamaged\t", result.stdout, re.MULTILINE)
    assert re.search(rf"^{good.path.name}\t.*\tfinished\t", result.stdout, re.MULTILINE)
    assert result.stderr.count("\n") == 1
    told = {one["run_id"]: one for one in json.loads(invoke("ls", "--json", code=1).stdout)}
    assert told[bad.path.name]["status"] == "damaged"
    assert told[bad.path.name]["error"]
    assert told[good.path.name]["error"] is None


def test_show_tells_identity_config_values_and_delivery(make: Any, invoke: Any) -> None:
    run = make(name="first", config={"optimizer": {"lr": 0.1}}, values={"text": "hello", "nan": float("nan")})
    invoke("sync", run.path)
    result = invoke("show", run.path)
    for told in (run.path.name, "first", "finished", "optimizer/lr", "0.1", "hello", "http://***@localhost/0"):
        assert told in result.stdout
    assert re.search(r"train/loss\W+0\.2\W+4\W", result.stdout)
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
    assert 'pip install "accel-track[demo]"' in invoke("show", run.path, "--metric", "train/loss", code=2).stderr


def test_show_tells_of_damage(make: Any, invoke: Any) -> None:
    run = make()
    (segment,) = run.rank().glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[60] ^= 0xFF
    segment.write_bytes(bytes(data))
    assert "accel-track verify" in invoke("show", run.path).stdout


@pytest.mark.extras
def test_nothing_from_a_file_reaches_the_terminal_raw(make: Any, invoke: Any) -> None:
    evil = "\x1b]0;owned\x07[red]\u202e"
    run = make(config={evil: evil}, values={evil: evil})
    info = run.load()
    info.name = evil
    run.save(info)
    for words in (
        ["ls"],
        ["show", run.path],
        ["show", run.path, "--metric", "x" + evil],
        ["sync", run.path, "--dry-run"],
    ):
        output = invoke(*words, code=2 if "--metric" in words else 0).output
        assert not {"\x1b", "\x07", "\u202e"} & set(output)
        assert "[red]" in output or "sync" in words
    assert json.loads(invoke("show", run.path, "--json").stdout)["name"] == evil
    assert Path(run.path).exists()
