"""`accel-track prune`: what it deletes, and all that it must not."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import RunDirectory
from accel_track.journal.writer import JournalWriter


def delivered(make: Any, **more: Any) -> RunDirectory:
    run: RunDirectory = make(delivery="thread", **more)
    age(run)
    return run


def age(run: RunDirectory, days: float = 40) -> None:
    then = time.time() - days * 86_400
    for path in run.path.rglob("*"):
        os.utime(path, (then, then))


def kept(invoke: Any, *arguments: str, code: int = 0) -> dict[str, str]:
    told = json.loads(invoke("prune", *arguments, "--yes", "--json", code=code).stdout)
    return {Path(one["path"]).name: one["kept"] for one in told if not one["deleted"]}


def test_what_is_delivered_and_old_is_deleted(make: Any, invoke: Any) -> None:
    run = delivered(make)
    result = invoke("prune", "--yes")
    assert "delete" in result.stdout
    assert "KiB" in result.stdout
    assert "1 deleted" in result.stdout
    assert not run.path.exists()
    assert not run.path.parent.exists()
    assert (run.path.parents[1] / ".gitignore").exists()


def test_other_runs_of_the_project_stay(make: Any, invoke: Any) -> None:
    run, other = delivered(make), make()
    (told,) = [one for one in json.loads(invoke("prune", "--yes", "--json").stdout) if one["deleted"]]
    assert told["path"] == str(run.path)
    assert told["bytes"] > 100
    assert other.path.exists()


def test_what_only_other_ranks_have_logged_stays(make: Any, invoke: Any) -> None:
    run = make(["jsonl"], delivery="thread")  # which gets rank 0
    writer = JournalWriter(run.rank(1), 1)
    writer.metrics({"loss": 2.0}, 0, {})
    writer.close()
    age(run)
    assert kept(invoke) == {run.path.name: "none of its trackers takes what rank 1 has logged"}
    assert "rank 1" in invoke("rm", run.path, "--yes", code=1).output


def test_it_asks(make: Any, invoke: Any) -> None:
    run = delivered(make)
    result = invoke("prune", input="n\n")
    assert "Delete 1 run (" in result.stderr
    assert run.path.exists()
    invoke("prune", input="y\n")
    assert not run.path.exists()


def test_dry_run_deletes_nothing_and_does_not_ask(make: Any, invoke: Any) -> None:
    run = delivered(make)
    assert "delete" in invoke("prune", "--dry-run").stdout
    assert run.path.exists()


def test_older_than(make: Any, invoke: Any) -> None:
    run = delivered(make)
    age(run, 10)
    assert kept(invoke) == {run.path.name: "touched within 30 days"}
    assert kept(invoke, "--older-than", "11") == {run.path.name: "touched within 11 days"}
    assert kept(invoke, "--older-than", "9") == {}


def test_pending_records_keep_a_run(make: Any, invoke: Any) -> None:
    run = make()
    age(run)
    assert kept(invoke) == {run.path.name: "5 records pending for lines"}


def test_refused_records_keep_a_run(make: Any, invoke: Any) -> None:
    run = make(values={"refused": 1})
    invoke("sync", run.path, code=1)
    age(run)
    assert kept(invoke) == {run.path.name: "1 record quarantined for lines"}


def test_a_run_without_tracker_is_kept(make: Any, invoke: Any) -> None:
    run = make([])
    age(run)
    assert kept(invoke) == {run.path.name: "it has no tracker, so nothing else has its records"}


def test_a_live_run_is_kept(start: Any, invoke: Any) -> None:
    run = start(delivery="thread")
    run.log({"a": 1})
    run.flush()
    (path,) = Path("runs/.accel_track/proj").iterdir()
    assert kept(invoke, "--older-than", "0") == {path.name: "it is running"}
    run.finish()


def test_a_run_that_is_being_delivered_is_kept(make: Any, invoke: Any) -> None:
    run = delivered(make)
    lock = run.claim("lines")
    assert kept(invoke) == {run.path.name: "another process uses it"}
    lock.release()


def test_damage_keeps_a_run(make: Any, invoke: Any) -> None:
    run = make()
    (segment,) = run.rank().glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[60] ^= 0xFF
    segment.write_bytes(bytes(data))
    invoke("sync", run.path)
    age(run)
    assert "damaged bytes not delivered to lines" in kept(invoke)[run.path.name]
    (run.path / "run.json").write_text("{}")
    assert "is damaged" in kept(invoke, code=1)[run.path.name]


def test_a_run_json_of_another_run_keeps_a_folder(make: Any, invoke: Any) -> None:
    run = delivered(make)
    copy = run.path.with_name("copy")
    run.path.rename(copy)
    assert kept(invoke) == {"copy": f"its run.json is of another run, {run.path.name}"}


@pytest.mark.parametrize("level", ["run", "project", "parent"])
def test_symbolic_links_are_not_followed(make: Any, invoke: Any, tmp_path: Path, level: str) -> None:
    run = delivered(make)
    linked = {"run": run.path, "project": run.path.parent, "parent": run.path.parents[1]}[level]
    target = tmp_path / "target" / linked.name
    target.parent.mkdir()
    linked.rename(target)
    linked.symlink_to(target)
    invoke("prune", "--yes")
    invoke("prune", run.path, "--yes")
    assert (run.path / "run.json").exists()
    assert list(target.rglob("run.json"))


def test_a_link_inside_keeps_a_run(make: Any, invoke: Any, tmp_path: Path) -> None:
    run = delivered(make)
    (tmp_path / "precious").mkdir()
    (run.path / "link").symlink_to(tmp_path / "precious")
    assert "is a link" in kept(invoke, code=1)[run.path.name]
    assert (tmp_path / "precious").exists()


def test_nothing_outside_of_its_folders_is_deleted(make: Any, invoke: Any) -> None:
    run = delivered(make)
    Path("data/proj").mkdir(parents=True)
    outside = Path("data/proj", run.path.name)
    run.path.rename(outside)
    assert kept(invoke, str(outside)) == {run.path.name: "it is not in a .accel_track folder"}
    assert outside.exists()


def test_without_runs(invoke: Any) -> None:
    assert "no runs here" in invoke("prune").stdout
    invoke("prune", "missing", code=2)
