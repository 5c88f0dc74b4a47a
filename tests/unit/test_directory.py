"""The folder of a run: names, identity, locks."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from accel_track.delivery.settings import Settings
from accel_track.errors import JournalError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.info import RunInfo, TrackerInfo
from accel_track.run import Run


def program(script, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


HOLD = """
    import sys
    from accel_track.journal.directory import RunDirectory
    run = RunDirectory(sys.argv[1])
    locks = [run.claim("mlflow"), run.claim_run()]
    print("held" if all(locks) else "not held", flush=True)
    sys.stdin.readline()
"""


def test_a_new_run_has_a_folder_that_only_its_owner_can_read():
    run = RunDirectory.create("logs", "digits", "first", ["train.py"])
    info = run.load()
    assert run.path == Path.cwd() / "logs/.accel_track/digits" / info.run_id
    assert (info.project, info.name, info.status, info.version) == ("digits", "first", "running", 1)
    assert (info.directory, info.command, info.pid) == (os.path.abspath("logs"), ["train.py"], os.getpid())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (run.path, Path("logs/.accel_track"))] == [0o700, 0o700]
    assert stat.S_IMODE((run.path / "run.json").stat().st_mode) == 0o600
    assert Path("logs/.accel_track/.gitignore").read_text() == "*\n"


def test_without_a_directory_it_is_in_the_working_directory():
    run = RunDirectory.create(None, "p", None)
    info = run.load()
    assert run.path.parent == Path.cwd() / ".accel_track/p"
    assert info.directory is None
    assert info.command == sys.argv


def test_two_runs_of_one_moment_have_different_folders():
    assert len({RunDirectory.create(None, "p", None).load().run_id for _ in range(20)}) == 20


def test_a_folder_that_cannot_be_made_is_an_error():
    Path(".accel_track").write_text("in the way")
    with pytest.raises(OSError, match=r"\.accel_track"):
        RunDirectory.create(None, "p", None)


def test_what_is_saved_comes_back():
    run = RunDirectory.create(None, "p", None)
    info = run.load()
    info.trackers["mlflow"] = TrackerInfo({"tags": {"a": 1}}, ["client"], {"run_id": "7"}, "http://localhost/7")
    info.status = "finished"
    run.save(info)
    assert json.loads((run.path / "run.json").read_text())["trackers"]["mlflow"]["url"] == "http://localhost/7"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run directory"),
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b"{}", "is damaged"),
        (b'{"run_id": 1, "project": "p", "created": 0}', "is damaged"),
        (b'{"run_id": "r", "project": "p", "created": 0, "trackers": []}', "is damaged"),
        (b'{"x": ' + b"[" * 100_000, "is damaged"),
        (b'{"run_id": "r", "project": "p", "created": 0, "version": 2}', "version 2"),
    ],
)
def test_something_else_than_a_run_is_an_error(content, message):
    Path("run").mkdir()
    if content is not None:
        Path("run/run.json").write_bytes(content)
    with pytest.raises(JournalError, match=message):
        RunDirectory("run").load()


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", "..", ".", "", " ", "a\0b"])
@pytest.mark.parametrize("field", ["run_id", "project", "name", "tracker"])
def test_names_that_lead_elsewhere_are_refused(field, name):
    Path("run").mkdir()
    info = RunInfo("r", "p", 0.0)
    if field == "tracker":
        info.trackers[name] = TrackerInfo()
    else:
        setattr(info, field, name)
    RunDirectory("run").save(info)
    with pytest.raises(JournalError, match="which is none"):
        RunDirectory("run").load()


@pytest.mark.parametrize("name", ["../../up", "/etc/x", "..", ".", "", "a\0b", "a\nb", "weights & biases!", "x" * 50])
def test_files_of_a_tracker_stay_in_their_folders_whatever_its_name_is(name):
    run = RunDirectory("run")
    for path, folder in ((run.cursor(name), "cursors"), (run.quarantine(name), "quarantine")):
        assert path.parent == Path("run/rank-00000") / folder
        assert path.name.isprintable()
        assert Path(os.path.normpath(path)) == path


def test_files_of_trackers_have_their_names():
    run = RunDirectory("run")
    assert run.cursor("my tracker-1.0", 3) == Path("run/rank-00003/cursors/my tracker-1.0.json")
    assert run.quarantine("wandb") == Path("run/rank-00000/quarantine/wandb.jsonl")
    names = ["a", "A", "a/b", "a\\b", "ab", "612f62x", "é", ".", "..", "..."]
    assert len({run.cursor(name) for name in names}) == len(names)


def test_ranks_are_those_with_a_folder():
    run = RunDirectory("run")
    for name in ("rank-00010", "rank-00002", "rank-2", "rank-000003", "other"):
        (run.path / name).mkdir(parents=True)
    (run.path / "rank-00004").write_text("")
    assert run.ranks() == [2, 10]
    assert run.rank(2) == Path("run/rank-00002")
    assert RunDirectory("missing").ranks() == []


def test_runs_are_found_below_a_directory_and_in_it():
    made = [RunDirectory.create(folder, "p", None).path for folder in ("a", "a/b", "c")]
    assert {run.path.absolute() for run in find_runs(".")} == set(made)
    assert [run.path.absolute() for run in find_runs("c")] == [made[2]]
    assert [run.path.absolute() for run in find_runs("c/.accel_track")] == [made[2]]
    assert [run.path for run in find_runs(made[0])] == [made[0]]
    assert [run.path.absolute() for run in find_runs("c/.accel_track/p")] == [made[2]]
    assert list(find_runs("missing")) == []


def test_a_run_that_has_lost_its_run_json_is_found_too():
    run = RunDirectory.create("a", "p", None)
    run.rank(3).mkdir()
    (run.path / "run.json").unlink()
    (run.path.parent / "no run").mkdir()
    for place in ("a", "a/.accel_track/p", run.path):
        assert [one.path.absolute() for one in find_runs(place)] == [run.path]
    with pytest.raises(JournalError, match=r"run\.json is missing; the journal beside it can still be read"):
        run.load()


def test_a_claim_is_exclusive_between_processes_and_ends_with_its_process():
    run = RunDirectory.create(None, "p", None)
    assert not run.is_live()
    process = program(HOLD, run.path)
    try:
        assert process.stdout.readline() == "held\n"
        assert run.claim("mlflow") is None
        assert run.claim_run() is None
        assert run.is_live()
        other = run.claim("wandb")
        assert other is not None
        other.release()
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not run.is_live()
    lock = run.claim("mlflow")
    assert lock is not None
    second = program(HOLD, run.path)
    assert second.communicate("\n", timeout=60)[0] == "not held\n"
    lock.release()


def test_looking_whether_a_run_is_live_leaves_nothing_behind():
    run = RunDirectory.create(None, "p", None)
    assert not run.is_live()
    assert not (run.path / "run.lock").exists()
    lock = run.claim_run()
    assert run.is_live()
    lock.release()
    assert not run.is_live()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_keep_the_claim():
    script = """
        import os, signal, sys
        from accel_track.journal.directory import RunDirectory
        lock = RunDirectory(sys.argv[1]).claim_run()
        child = os.fork()
        if child == 0:
            os.write(1, b"forked\\n")  # at once, also where Python's output is not buffered
            signal.pause()
        os.write(1, f"{child} {lock.is_locked}\\n".encode())
        sys.stdin.readline()
    """
    run = RunDirectory.create(None, "p", None)
    process = program(script, run.path)
    lines = sorted(process.stdout.readline() for _ in range(2))  # the child is past its hooks of the fork
    child, held = lines[0].split()
    try:
        assert held == "True"
        assert run.is_live()
        process.kill()
        process.wait(60)
        assert not run.is_live()
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.communicate(timeout=60)


def test_all_folders_and_files_are_their_owners_only() -> None:
    Path("model.ckpt").write_text("weights")
    mask = os.umask(0)
    try:
        run = Run([], project="p", directory="logs", settings=Settings.of(delivery="none"))
        run.log({"loss": 0.5}, 0)
        run.log_checkpoint("last", "model.ckpt")
        run.finish()
    finally:
        os.umask(mask)
    for path in (Path("logs/.accel_track"), *Path("logs/.accel_track").rglob("*")):
        if path.name != "model.ckpt":
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(Path("logs").stat().st_mode) == 0o777
