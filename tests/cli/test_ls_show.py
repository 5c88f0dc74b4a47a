"""`accel-track ls`, and what both `ls` and `show` do with hostile runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal import frames


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
    assert re.search(rf"^{bad.path.name}\tproj\t.*\tdamaged\t", result.stdout, re.MULTILINE)
    assert re.search(rf"^{good.path.name}\t.*\tfinished\t", result.stdout, re.MULTILINE)
    assert result.stderr.count("\n") == 1
    told = {one["run_id"]: one for one in json.loads(invoke("ls", "--json", code=1).stdout)}
    assert told[bad.path.name]["status"] == "damaged"
    assert told[bad.path.name]["error"]
    assert told[good.path.name]["error"] is None


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
