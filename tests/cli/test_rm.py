"""`accel-track rm`: what it deletes, what it asks, and what it never deletes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.made_runs import made
from tests.support.waiting import until


def test_it_asks_once_for_all(invoke: Any) -> None:
    runs = [made("runs", "p", name, time.time() - n) for n, name in enumerate("abc")]
    result = invoke("rm", "p/a", "b", "p/a", input="n\n", code=1)
    assert "Delete 2 runs" in result.stderr
    assert result.stderr.count("no backend has it") == 2
    assert "stopped" in result.stderr
    assert all(one.path.exists() for one in runs)
    result = invoke("rm", "p/a", "b", input="y\n")
    assert [one.path.exists() for one in runs] == [False, False, True]
    assert result.stdout.count(": deleted") == 2
    invoke("rm", "-y", "*")
    assert not list(Path("runs/.accel_track").glob("*/*"))
    assert not Path("runs/.accel_track/.deleted").exists()
    assert "no run" in invoke("rm", "-y", "p/a", code=2).stderr


def test_what_is_pending_is_asked_for_again(invoke: Any) -> None:
    run = made("runs", "p", "a", 1e9, pending=1)
    assert "1 record pending for tensorboard; --force" in invoke("rm", "-y", "a", code=1).stdout
    result = invoke("rm", "a", input="y\nn\n", code=1)
    assert "Delete it all the same?" in result.stderr
    assert run.path.exists()
    told = json.loads(invoke("rm", "a", "-y", "--json", code=1).stdout)
    assert (told[0]["deleted"], told[0]["kept"]) == (
        False,
        "1 record pending for tensorboard; --force deletes it all the same",
    )
    invoke("rm", "a", input="y\ny\n")
    assert not run.path.exists()
    other = made("runs", "p", "a", 1e9, pending=1)
    assert json.loads(invoke("rm", "a", "-y", "--force", "--json").stdout)[0]["deleted"]
    assert not other.path.exists()


def test_a_running_run_is_kept(start: Any, invoke: Any) -> None:
    live = start(delivery="thread")
    for words in (["-y"], ["-y", "--force"]):
        assert "kept: it is running" in invoke("rm", *words, "latest", code=1).stdout
    live.log({"a": 1})
    live.finish()
    invoke("rm", "-y", "latest")


def test_a_run_that_is_being_delivered_is_kept(make: Any, invoke: Any) -> None:
    run = make(delivery="thread")
    lock = run.claim("lines")
    assert "another process uses it" in invoke("rm", "-y", "latest", code=1).stdout
    lock.release()
    assert run.path.exists()


def test_a_damaged_run_goes_by_force(invoke: Any) -> None:
    run = made("runs", "p", "a", 1e9, digits="abcdef")
    (run.path / "run.json").write_text("{")
    said = invoke("rm", "-y", "abcdef", code=1).stdout
    assert "it is damaged" in said
    assert ".;" not in said
    invoke("rm", "-y", "--force", "abcdef")
    assert not run.path.exists()


def test_nothing_outside_of_the_store_is_deleted(invoke: Any, tmp_path: Path) -> None:
    run = made("runs", "p", "a", 1e9)
    (tmp_path / "outside").mkdir()
    shutil.move(run.path, tmp_path / "outside")
    run.path.symlink_to(tmp_path / "outside" / run.path.name)
    assert "symbolic link" in invoke("rm", "-y", "--force", run.path, code=1).stdout
    run.path.unlink()
    shutil.copytree(tmp_path / "outside" / run.path.name, "copy")
    assert "not in a .accel_track" in invoke("rm", "-y", "--force", "copy", code=1).stdout
    assert Path("copy/run.json").exists()


def test_a_link_in_a_run_is_not_followed(invoke: Any, tmp_path: Path) -> None:
    run = made("runs", "p", "a", 1e9)
    (tmp_path / "precious").mkdir()
    (run.path / "link").symlink_to(tmp_path / "precious")
    assert "is a link" in invoke("rm", "-y", "--force", "a", code=2).stderr
    assert (tmp_path / "precious").exists()


def test_a_killed_rm_leaves_no_half_run(invoke: Any) -> None:
    """What is moved out of the way is no run, and goes with the next deletion."""
    for n in range(3):
        run = made("runs", "p", f"a{n}", 1e9 + n)
        (run.rank() / "media").mkdir()
        for file in range(300):
            (run.rank() / "media" / f"{file:064x}.txt").write_bytes(b"")
    process = subprocess.Popen([sys.executable, "-m", "accel_track", "rm", "-y", "a*"], stdout=subprocess.DEVNULL)
    bin_ = Path("runs/.accel_track/.deleted")
    until(lambda: bin_.exists() or process.poll() is not None, every=0.0005)
    process.kill()
    process.wait()
    for one in json.loads(invoke("ls", "--json").stdout):
        assert one["error"] is None
        assert len(os.listdir(Path(one["path"], "rank-00000", "media"))) == 300
    made("runs", "p", "last", 2e9)
    invoke("rm", "-y", "*")
    assert not bin_.exists()
