"""`accel-track rename`, `tag` and `note`: what people say about runs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import RunDirectory
from tests.support.made_runs import made


@pytest.fixture(autouse=True)
def run() -> RunDirectory:
    now = time.time()
    made("runs", "p", "b", now - 1)
    made("runs", "q", "c", now - 2)
    return made("runs", "p", "a", now)


def test_rename(run: RunDirectory, invoke: Any) -> None:
    assert "a -> new" in invoke("rename", "latest", "new").stdout
    assert run.load().name == "new"
    told = json.loads(invoke("rename", "p/new", "c", "--json").stdout)  # another project may have the name
    assert (told["before"], told["name"], told["run_id"]) == ("new", "c", run.path.name)
    invoke("rename", run.path, "c")
    assert "'b-2' is free" in invoke("rename", run.path, "b", code=2).stderr
    assert run.load().name == "c"


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "a\x1b[31m", "x" * 300])
def test_names_that_are_none(run: RunDirectory, invoke: Any, name: str) -> None:
    result = invoke("rename", run.path, name, code=2)
    assert result.stderr.count("\n") == 1
    assert run.load().name == "a"


def test_a_running_run_and_its_backends_keep_the_name_that_they_know(start: Any, invoke: Any, written: Any) -> None:
    live = start(delivery="thread", name="before")
    result = invoke("rename", live.run_directory.path, "after")
    assert "goes on as before" in result.stderr
    assert "lines: what is there already keeps its name" in result.stderr
    live.log({"loss": 1}, 0)
    live.finish()
    info = live.run_directory.load()
    assert (info.name, info.status, info.starts) == ("after", "finished", 1)
    assert [one for one in written() if one[0] == "log"] == [["log", 0, {"loss": 1}]]


def test_what_is_pending_goes_to_the_same_backend_run(make: Any, invoke: Any) -> None:
    run = make("tensorboard", delivery="thread", name="before")
    files = sorted(Path("runs").rglob("events.out.*"))
    invoke("rename", run.path, "after")
    from accel_track.journal.writer import JournalWriter

    writer = JournalWriter(run.rank())
    writer.metrics({"late": 1.0}, 9, {})
    writer.close()
    invoke("sync", "after")
    assert {one.parent for one in Path("runs").rglob("events.out.*")} == {one.parent for one in files}


def test_tags(run: RunDirectory, invoke: Any) -> None:
    assert "paper, good one" in invoke("tag", "latest", "paper", "good one", "paper").stdout
    invoke("tag", "p/*", "both")
    assert run.load().tags == ["paper", "good one", "both"]
    assert [one["name"] for one in json.loads(invoke("ls", "--tag", "both", "--json").stdout)] == ["b", "a"]
    assert invoke("ls", "--tag", "paper").stdout.endswith("\tpaper,good one,both\n")
    assert json.loads(invoke("tag", "latest", "--remove", "paper", "--json").stdout)[0]["tags"] == ["good one", "both"]
    assert "good one, both" in invoke("tag", "latest").stdout
    for wrong in ("", "a,b", "\x1b[31m", "x" * 65):
        assert "is no tag" in invoke("tag", "latest", wrong, code=2).stderr


def test_notes(run: RunDirectory, invoke: Any) -> None:
    assert "nothing is noted" in invoke("note", "latest").stdout
    invoke("note", "latest", "diverged\x1b[31m\nafter step 9")
    assert run.load().note == "diverged\x1b[31m\nafter step 9"
    assert "diverged after step 9" in invoke("note", "latest").stdout
    assert json.loads(invoke("ls", "--where", "note > ''", "--json").stdout)[0]["note"].startswith("diverged")
    assert json.loads(invoke("note", "latest", "", "--json").stdout)[0]["note"] == ""


def test_a_program_that_logs_keeps_tags_and_notes(start: Any, invoke: Any) -> None:
    live = start(delivery="thread")
    invoke("tag", live.run_directory.path, "mine")
    invoke("note", live.run_directory.path, "text")
    live.log({"a": 1})
    live.finish()
    info = live.run_directory.load()
    assert (info.tags, info.note, info.status) == (["mine"], "text", "finished")


def test_a_mirrored_run_is_not_changed(invoke: Any) -> None:
    for words in (["rename", "memory://x/y", "z"], ["tag", "memory://x/y", "z"], ["note", "memory://x/y", "z"]):
        assert "is in a mirror" in invoke(*words, code=2).stderr
    assert "is in a mirror" in invoke("rm", "-y", "memory://x/y", code=2).stderr
